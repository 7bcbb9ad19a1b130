"""A scenario as its YAML file declares it: speakers, roles, and the steps of a dialogue in order.

`docs/scenarios.md` explains every key with an example. What a single value must look like is checked here; whether the
parts fit each other is checked in `assets.framework.scenarios.faults`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from resources.configuration import Configuration

Side: TypeAlias = Literal["human", "gpt"]
Asked: TypeAlias = Literal["question", "similar_question"]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
StepName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=40)]  # a placeholder too
SpeakerName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9'-]*( [A-Za-z0-9'-]+)*$", max_length=40)]

QUESTIONS: tuple[Asked, ...] = ("question", "similar_question")
REFERENCES: Mapping[str, Asked] = {"reference": "question", "similar_reference": "similar_question"}
SO_FAR = ("dialogue", "own_turns")  # what models wrote until now: all turns, and those of the same speaker
GIVEN = (*QUESTIONS, *REFERENCES, *SO_FAR)
"""Values that a step can see without an earlier step of that name."""
SPEAKER = "speaker"
LANGUAGE = "language"
FOR_ALL = frozenset({SPEAKER, LANGUAGE})
"""Values that every prompt may use, inside a sentence: who speaks, and in which language."""
MOST_REPETITIONS = 20


class Speaker(Configuration):
    """A name in the dialogue."""

    side: Side = Field(description="The side of the ShareGPT conversation on which its turns are: `human` or `gpt`.")
    trains: bool = Field(default=True, description="Whether its turns carry loss; turns of the side `human` never do.")


class RoleDeclaration(Configuration):
    """A role that a profile assigns a model to."""

    description: str = Field(default="", description="One line for readers.")
    weak: bool = Field(
        default=False, description="Played by a weak model, which must not see a reference, not even in others' words."
    )


class Condition(Configuration):
    """Facts that have to hold, all of them."""

    right: StepName | None = Field(
        default=None, description="An earlier step whose final answer agrees with its reference."
    )
    wrong: StepName | None = Field(default=None, description="An earlier step whose final answer is another one.")
    domain: Literal["math", "code", "general"] | None = Field(
        default=None, description="The domain of the question that the step is about."
    )
    open_task: bool | None = Field(
        default=None, description="Whether the reference of that question has no single result."
    )
    opening: bool | None = Field(default=None, description="Whether no model has spoken yet.")
    spoke_before: bool | None = Field(
        default=None, description="Whether a model has written a turn of the speaker before."
    )
    chosen: dict[Name, Name] | None = Field(
        default=None, description="What was chosen for the dialogue, by the name of the choice."
    )

    @model_validator(mode="after")
    def _has_a_fact(self) -> "Condition":
        if not self.model_fields_set:
            raise ValueError("has to name at least one fact")
        return self


class Variant(Configuration):
    """Another prompt for a step, used where its condition holds."""

    when: Condition
    prompt: Name


class Pose(Configuration):
    """A turn without a model call: a question, as it is or inside a plain text."""

    pose: Asked = Field(description="Which question.")
    speaker: str = Field(description="Who says it.")
    prompt: Name | None = Field(default=None, description="A plain text file that has the question in it.")
    praises: StepName | None = Field(default=None, description="An earlier answer that the text calls right.")


class Say(Configuration):
    """A turn that a model writes."""

    say: StepName = Field(description="The step's name; later steps see the turn's text by it.")
    speaker: str = Field(description="Who says it.")
    role: Name = Field(description="Whose model writes it.")
    prompt: Name = Field(description="The prompt file, without `.txt`.")
    variants: tuple[Variant, ...] = Field(default=(), description="Other prompts; the first that applies is used.")
    sees: tuple[StepName, ...] = Field(
        description="What the speaker sees, by name: given values and earlier steps. Its prompts use every one of them."
    )
    may_see: tuple[StepName, ...] = Field(default=(), description="The same, but its prompts may leave them out.")
    answers: Asked | None = Field(
        default=None, description="The question whose reference the final answer is compared with."
    )
    must_not_answer: Asked | None = Field(
        default=None, description="The question whose result the speaker must not state."
    )
    begins_with: Asked | None = Field(default=None, description="A question that stands before the text.")
    layout: Literal["free", "one_paragraph"] = Field(
        default="free",
        description="`one_paragraph`: prose becomes one paragraph; code, lists, tables, verse and letters keep lines.",
    )
    reviews: StepName | None = Field(default=None, description="An earlier answer that it calls right or wrong.")
    own_words: bool = Field(
        default=False, description="Must not copy what other speakers said, where they are to use their own words too."
    )
    judged: bool = Field(default=False, description="Whether the judge judges it: the closing answer to its question.")

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt file that it may use."""
        return (self.prompt, *(variant.prompt for variant in self.variants))

    @property
    def visible(self) -> tuple[str, ...]:
        """All that its prompts may use."""
        return (*self.sees, *self.may_see)


Turn: TypeAlias = Pose | Say


def _kind(step: Any) -> str | None:
    keys = step if isinstance(step, Mapping) else getattr(type(step), "model_fields", {})
    kinds = {"pose": "pose", "say": "say", "repeat": "repeat", "steps": "repeat"}
    return next((kind for key, kind in kinds.items() if key in keys), None)


TurnStep: TypeAlias = Annotated[Annotated[Pose, Tag("pose")] | Annotated[Say, Tag("say")], Discriminator(_kind)]


class Repeat(Configuration):
    """Steps that are repeated."""

    repeat: int | str = Field(description="How often: a number, or the name of a draw.")
    until_agree: tuple[str, str] | None = Field(
        default=None, description="Two speakers; it ends early when their final answers agree."
    )
    steps: tuple[TurnStep, ...] = Field(min_length=1, description="What is repeated.")


Step: TypeAlias = Annotated[
    Annotated[Pose, Tag("pose")] | Annotated[Say, Tag("say")] | Annotated[Repeat, Tag("repeat")], Discriminator(_kind)
]
STEP_MODELS: Mapping[str, type[Configuration]] = {"pose": Pose, "say": Say, "repeat": Repeat}


class ScenarioDeclaration(Configuration):
    """One scenario; the file's name is the scenario's name."""

    extends: str = Field(
        default="",
        description="Another scenario file, by its path from this one: its keys hold where this file has none, and so "
        "do its prompts.",
    )
    title: str = Field(default="", description="How texts for readers name it; by default the file's name.")
    description: str = Field(min_length=1, description="One sentence for the dataset card.")
    after: str = Field(default="", description="The publication it follows.")
    position: int = Field(default=100, description="Its place among the scenarios; ties are ordered by name.")
    short_name: str = Field(
        default="", pattern="^[a-z0-9]*$", description="Its name in comparison sets; by default the file's name."
    )
    share: float = Field(default=1, ge=0, description="Its share of the seeds, where the plan rules give no other.")
    speakers: dict[SpeakerName, Speaker] = Field(min_length=2)
    roles: dict[Name, RoleDeclaration] = Field(min_length=1)
    draws: dict[Name, dict[int, float]] = Field(
        default_factory=dict, max_length=1, description="A number that is drawn for each plan: value to share."
    )
    choices: dict[Name, dict[Name, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="What is chosen for each dialogue, by the hash of its id: value to share. See the condition "
        "`chosen`.",
    )
    steps: tuple[Step, ...] = Field(min_length=2)
    rubric: tuple[Name, ...] = Field(
        default=(),
        description="What the judge is asked beside the result, by the names of `assets/quality/rubric.py`; by default "
        "all that the steps allow.",
    )

    @field_validator("draws")
    @classmethod
    def _numbers_can_be_drawn(cls, draws: dict[str, dict[int, float]]) -> dict[str, dict[int, float]]:
        for name, shares in draws.items():
            if not all(1 <= value <= MOST_REPETITIONS for value in shares) or not shares:
                raise ValueError(f"{name}: the numbers have to be from 1 to {MOST_REPETITIONS}")
            if min(shares.values()) < 0 or not sum(shares.values()):
                raise ValueError(f"{name}: the shares have to be positive")
        return draws

    @field_validator("choices")
    @classmethod
    def _values_can_be_chosen(cls, choices: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for name, shares in choices.items():
            if not sum(shares.values()):
                raise ValueError(f"{name}: some share has to be positive")
        return choices

    def walk(self) -> Iterator[tuple[tuple[int | str, ...], Turn, Repeat | None]]:
        """Every turn once: its path in the file, the turn, and the loop that it is in."""
        for index, step in enumerate(self.steps):
            if isinstance(step, Repeat):
                for inner, turn in enumerate(step.steps):
                    yield ("steps", index, "steps", inner), turn, step
            else:
                yield ("steps", index), step, None
