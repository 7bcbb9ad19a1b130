"""What a run of the classroom is made of: where it reads and writes, whom it asks, and what it has to tell."""

from collections.abc import Callable
from dataclasses import dataclass

from assets.dialogues.inputs import PartitionInputs, read_inputs
from assets.dialogues.prompts import PromptBook
from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import describe, usage_facts
from assets.dialogues.teaching import Progress, Row, gate, teach_partitions
from assets.dialogues.turn_loop import TurnLoop
from assets.framework.outcomes import Outcomes
from assets.framework.partitions import partition_columns
from resources.chat.calls import Usage
from resources.chat.engine import ChatEngine
from resources.chat.service import ChatService
from resources.chat.throughput import Throughput
from resources.claims import claim_partition
from resources.lake.tables import Lake


@dataclass(frozen=True, slots=True)
class TeachingRules:
    """How patient a run is."""

    regenerations: int  # how often a refused utterance is asked for again
    set_aside_limit: float  # a partition fails when a greater share of its dialogues is set aside (0..1)
    set_aside_minimum: int  # fewer refused than this never fail a partition


class DialogueRunner:
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
        self.throughput = Throughput(Usage())

    async def teach(self, progress: Progress, show: Callable[[], None], run: str | None = None) -> None:
        """Teach every partition of `progress`, calling `show` after each dialogue. See `teach_partitions`.

        `run` is the run whose budget is drawn on.
        """
        profile = self.chat.profile
        scenarios = {partition_columns(key)["scenario"] for key in progress.keys}
        roles = tuple(role for name, script in SCENARIOS.items() if name.value in scenarios for role in script.roles)
        async with self.chat.engine(roles, run) as engine:
            self.throughput = Throughput(engine.total)
            room = TurnLoop(engine, self.prompts, profile, self.rules.regenerations)
            await teach_partitions(
                progress,
                read=self.read,
                room=room,
                scope=scope,
                written=lambda inputs, rows: self.write(inputs, rows, engine),
                show=lambda _: show(),
                claim=lambda key: claim_partition(self.lake.store.uri(scope(key))),
            )

    def read(self, key: str) -> PartitionInputs:
        """A partition's inputs; one that is current is reported as already there."""
        inputs = read_inputs(self.lake, key, self.prompts, self.chat.profile, self.retracted)
        if inputs.current:
            rows = self.lake.read(DIALOGUES, [inputs.keys]).to_dicts()
            path = self.lake.path(DIALOGUES, inputs.keys)
            self.outcomes.described[key] = describe(rows, None, "passed", "", path)
        return inputs

    def write(self, inputs: PartitionInputs, rows: list[Row], engine: ChatEngine) -> None:
        """Write a finished partition with its gate."""
        usage = engine.take_usage(scope(inputs.key))
        verdict, reason = gate(rows, self.rules.set_aside_limit, self.rules.set_aside_minimum)
        script = SCENARIOS[inputs.scenario]
        facts = {
            "profile": self.chat.profile.name,
            "prompts": self.prompts.versions(script.prompt_names),
            "models": {role.value: self.chat.profile.roles[role].model for role in script.roles},
            "made_by": inputs.made_by,
            "usage": usage_facts(usage),
        }
        frame = DIALOGUES.frame(rows)
        self.lake.write(DIALOGUES, inputs.keys, frame, fingerprint=inputs.fingerprint, gate=verdict, facts=facts)
        path = self.lake.path(DIALOGUES, inputs.keys)
        self.outcomes.described[inputs.key] = describe(rows, usage, verdict, reason, path)
        if verdict == "failed":
            self.outcomes.unfit[inputs.key] = reason


def scope(key: str) -> str:
    """A partition's name in the journal and the usage."""
    return f"{DIALOGUES.name}/{key}"
