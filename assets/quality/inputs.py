"""What quality reads: dialogues with their questions, as plain data and from the lake."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.questions import PartnerQuestions, Question, Questions, read_questions
from assets.dialogues.schema import DIALOGUES
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import source_of
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.declaration import Turn as Step
from assets.framework.scenarios.scenario import Scenario
from resources.lake.tables import Lake


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance, as `scenario_dialogues` holds it."""

    speaker: str  # "teacher", "student", "student A", ...
    role: str | None  # the profile's role; None where no model was called
    side: str  # "human" or "gpt"
    text: str
    finish_reason: str | None = None
    final_answer: str | None = None  # of a student's turn: "right", "wrong" or "unknown"


@dataclass(frozen=True, slots=True)
class DialogueInput:
    """A dialogue with its question, and the similar one where its scenario has one."""

    dialogue_id: str
    scenario: Scenario
    domain: str
    complete: bool  # False: set aside
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]
    first_answer: str  # "right", "wrong" or "unknown": the first student's own
    repetitions: int | None = None  # the number that was drawn for its plan

    @property
    def answers(self) -> tuple[str, ...]:
        """The judged answers, in the order of the questions; empty where there is none.

        A scenario may have a similar question that no judged turn answers: there may be fewer answers than questions.
        """
        said = {step.say: turn.text for step, turn in self.steps if isinstance(step, Say)}
        return tuple(said.get(say.say, "") for say in self.scenario.judged)

    @property
    def steps(self) -> tuple[tuple[Step, Turn], ...]:
        """Each turn with the step of the scenario that it is; none where the turns are not those of the scenario."""
        said = [(turn.speaker, turn.role) for turn in self.turns]
        return tuple(zip(self.scenario.match(said, self.repetitions) or (), self.turns, strict=False))

    @property
    def spoken(self) -> tuple[Turn, ...]:
        """The turns that a model wrote."""
        return tuple(turn for turn in self.turns if turn.role is not None)

    def own_words(self, turn: Turn) -> str:
        """A turn's text without the question that was put in front of a teacher's explanation."""
        opening = self.questions[0].text if self.questions else ""
        return turn.text.removeprefix(opening) if turn.side == "human" else turn.text


def read_dialogues(
    lake: Lake, keys: Mapping[str, str], partners: PartnerQuestions
) -> tuple[list[dict[str, Any]], list[DialogueInput]]:
    """One partition of dialogues, ordered by dialogue_id: its rows, and the same dialogues with their questions.

    Args:
        lake: where they are.
        keys: scenario and shard.
        partners: the second questions of the run's dialogues, and the scenarios.

    Raises:
        PartitionError: a seed is not in the lake.
    """
    shard = keys["shard"]
    rows = lake.read(DIALOGUES, [keys]).sort("dialogue_id").to_dicts()
    own = read_questions(lake, source_of(shard), [shard], {row["seed_id"] for row in rows})
    questions = {**partners.read(), **own}
    repetitions = dict(lake.read(DIALOGUE_PLANS, [keys], ["seed_id", "repetitions"]).iter_rows())
    scenario = partners.scenarios[keys["scenario"]]
    try:
        return rows, [dialogue_input(row, scenario, questions, repetitions.get(row["seed_id"])) for row in rows]
    except KeyError as error:
        raise PartitionError(
            f"dialogues of {keys['scenario']}|{shard} are about the seed {error.args[0]}, which is not in raw_seeds; "
            "materialise raw_seeds of its source, then the dialogues"
        ) from error


def dialogue_input(
    row: Mapping[str, Any], scenario: Scenario, questions: Questions, repetitions: int | None
) -> DialogueInput:
    """A row of `scenario_dialogues` with its questions.

    Raises:
        KeyError: the row names a seed that is not there; the message is the seed_id.
    """
    return DialogueInput(
        dialogue_id=row["dialogue_id"],
        scenario=scenario,
        domain=row["domain"],
        complete=row["status"] == "complete",
        turns=tuple(
            Turn(*(turn[name] for name in ("speaker", "role", "side", "text", "finish_reason", "final_answer")))
            for turn in row["turns"]
        ),
        questions=tuple(questions[key] for key in (row["seed_id"], row["partner_seed_id"]) if key is not None),
        first_answer=row["first_answer"],
        repetitions=repetitions,
    )
