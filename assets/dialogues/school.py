"""What a run of the classroom is made of: where it reads and writes, whom it asks, and what it has to tell."""

from collections.abc import Callable
from dataclasses import dataclass

from assets.dialogues.classroom import Classroom
from assets.dialogues.prompts import PromptBook
from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import describe, usage_facts
from assets.dialogues.syllabus import Syllabus, read_syllabus
from assets.dialogues.teaching import Progress, Row, gate, teach_partitions
from assets.outcomes import Outcomes
from assets.partitions import lesson_key
from resources.chat.calls import Usage
from resources.chat.engine import ChatEngine
from resources.chat.leases import claim
from resources.chat.pace import Pace
from resources.chat.service import ChatService
from resources.lake import Lake


@dataclass(frozen=True, slots=True)
class TeachingRules:
    """How patient a run is."""

    regenerations: int  # how often a refused utterance is asked for again
    set_aside_limit: float  # a partition fails when a greater share of its dialogues is set aside (0..1)
    set_aside_minimum: int  # fewer refused than this never fail a partition


class School:
    """The resources of one run, and what it has to tell of each partition."""

    def __init__(
        self,
        lake: Lake,
        chat: ChatService,
        prompts: PromptBook,
        rules: TeachingRules,
        retracted: frozenset[str],
        outcomes: Outcomes,
    ) -> None:
        self.lake, self.chat, self.prompts, self.rules, self.retracted = lake, chat, prompts, rules, retracted
        self.outcomes = outcomes
        self.pace = Pace(Usage())

    async def teach(self, progress: Progress, show: Callable[[], None], run: str | None = None) -> None:
        """Teach every partition of `progress`, calling `show` after each dialogue. See `teach_partitions`.

        `run` is the run whose budget is drawn on.
        """
        profile = self.chat.profile
        scenarios = {lesson_key(key)["scenario"] for key in progress.keys}
        roles = tuple(role for name, script in SCENARIOS.items() if name.value in scenarios for role in script.roles)
        async with self.chat.engine(roles, run) as engine:
            self.pace = Pace(engine.total)
            room = Classroom(engine, self.prompts, profile, self.rules.regenerations)
            await teach_partitions(
                progress,
                read=self.read,
                room=room,
                scope=scope,
                written=lambda syllabus, rows: self.write(syllabus, rows, engine),
                show=lambda _: show(),
                claim=lambda key: claim(self.lake.store.uri(scope(key))),
            )

    def read(self, key: str) -> Syllabus:
        """A partition's syllabus; one that is current is reported as already there."""
        syllabus = read_syllabus(self.lake, key, self.prompts, self.chat.profile, self.retracted)
        if syllabus.current:
            rows = self.lake.read(DIALOGUES, [syllabus.keys]).to_dicts()
            path = self.lake.path(DIALOGUES, syllabus.keys)
            self.outcomes.described[key] = describe(rows, None, "passed", "", path)
        return syllabus

    def write(self, syllabus: Syllabus, rows: list[Row], engine: ChatEngine) -> None:
        """Write a finished partition with its gate."""
        usage = engine.take_usage(scope(syllabus.key))
        verdict, reason = gate(rows, self.rules.set_aside_limit, self.rules.set_aside_minimum)
        script = SCENARIOS[syllabus.scenario]
        facts = {
            "profile": self.chat.profile.name,
            "prompts": self.prompts.versions(script.prompt_names),
            "models": {role.value: self.chat.profile.roles[role].model for role in script.roles},
            "made_by": syllabus.made_by,
            "usage": usage_facts(usage),
        }
        frame = DIALOGUES.frame(rows)
        self.lake.write(DIALOGUES, syllabus.keys, frame, fingerprint=syllabus.fingerprint, gate=verdict, facts=facts)
        path = self.lake.path(DIALOGUES, syllabus.keys)
        self.outcomes.described[syllabus.key] = describe(rows, usage, verdict, reason, path)
        if verdict == "failed":
            self.outcomes.unfit[syllabus.key] = reason


def scope(key: str) -> str:
    """A partition's name in the journal and the usage."""
    return f"{DIALOGUES.name}/{key}"
