"""A loaded scenario: its declaration and prompts, and what follows from them for every stage."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import Asked, Repeat, Say, ScenarioDeclaration, Side, Turn
from resources.identity import stable_hash

# Keys of a declaration that change no dialogue and no score.
_OF_NO_EFFECT = {"title", "description", "after", "position", "short_name", "share", "draws", "roles", "extends"}


@dataclass(frozen=True)
class Scenario:
    """One teaching scenario."""

    name: str
    declaration: ScenarioDeclaration
    prompts: PromptBook  # of its speakers

    @property
    def title(self) -> str:
        """Its name in texts for readers: `error correction`."""
        return self.declaration.title or self.name.replace("_", " ")

    @property
    def short_name(self) -> str:
        """Its name in comparison sets: `me`."""
        return self.declaration.short_name or self.name.replace("_", "")

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides which turns there are and what they must be.

        Keys with their default value are no part of it, so that a new key changes no scenario that does not use it.
        """
        content = self.declaration.model_dump(mode="json", exclude=_OF_NO_EFFECT, exclude_defaults=True)
        return stable_hash("scenario", self.name, content)

    @cached_property
    def says(self) -> tuple[Say, ...]:
        """Its steps that call a model, each once."""
        return tuple(turn for _, turn, _ in self.declaration.walk() if isinstance(turn, Say))

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The roles that call a model, in order of their first turn."""
        return tuple(dict.fromkeys(say.role for say in self.says))

    @cached_property
    def prompt_names(self) -> tuple[str, ...]:
        """Every prompt file that it uses, ordered by name."""
        return tuple(sorted(prompt_names(self.declaration)))

    @cached_property
    def needs_partner(self) -> bool:
        """Whether a dialogue is about a second, similar question."""
        return any(_uses_partner(turn) for _, turn, _ in self.declaration.walk())

    @property
    def repetitions(self) -> tuple[str, Mapping[int, float]] | None:
        """The number that is drawn for each plan: the draw's name, and the share of each value."""
        return next(iter(self.declaration.draws.items()), None)

    @cached_property
    def judged(self) -> tuple[Say, ...]:
        """The steps whose turns are judged, in order: the closing answer to each question."""
        return tuple(say for say in self.says if say.judged)

    def side(self, speaker: str) -> Side:
        """The side that a speaker's words are on. Raises KeyError for a speaker that it does not have."""
        return self.declaration.speakers[speaker].side

    def trains(self, speaker: str) -> bool:
        """Whether a speaker's turns carry loss."""
        declared = self.declaration.speakers[speaker]
        return declared.side == "gpt" and declared.trains

    def turns(self, repetitions: int | None = None) -> tuple[Turn, ...]:
        """The turns of a complete dialogue whose loops are not ended early.

        Args:
            repetitions: the number that was drawn for its plan; 1 by default.
        """
        return tuple(self._unroll(repetitions or 1, {}))

    def match(self, said: Sequence[tuple[str, str | None]], repetitions: int | None = None) -> tuple[Turn, ...] | None:
        """The turn of the scenario that each said turn is; None where they are no beginning of such a dialogue.

        Where loops can end early, a whole dialogue that fits takes precedence over a longer one that begins so.

        Args:
            said: speaker and role (None without a model call) of each turn, in order.
            repetitions: the number that was drawn for its plan; 1 by default.
        """
        fitting = [
            turns
            for turns in self._possible_turns(repetitions or 1)
            if [(turn.speaker, role_of(turn)) for turn in turns[: len(said)]] == list(said)
        ]
        shortest = min(fitting, key=len, default=None)
        return None if shortest is None else shortest[: len(said)]

    def is_complete(self, said: Sequence[tuple[str, str | None]], repetitions: int | None = None) -> bool:
        """Whether these are all turns of a dialogue, as in `match`."""
        return any(
            [(turn.speaker, role_of(turn)) for turn in turns] == list(said)
            for turns in self._possible_turns(repetitions or 1)
        )

    def calls(self, repetitions: int | None = None) -> Counter[str]:
        """How many turns of each role a dialogue has at most."""
        return Counter(turn.role for turn in self.turns(repetitions) if isinstance(turn, Say))

    def _possible_turns(self, repetitions: int) -> Iterator[tuple[Turn, ...]]:
        """The turns of every complete dialogue, the longest first: each loop may have ended early."""
        lengths: list[dict[int, int]] = [{}]
        for index, step in enumerate(self.declaration.steps):
            if isinstance(step, Repeat) and step.until_agree:
                longest = repetitions_of(step, repetitions)
                lengths = [one | {index: rounds} for one in lengths for rounds in range(longest, 0, -1)]
        for rounds in lengths:
            yield tuple(self._unroll(repetitions, rounds))

    def _unroll(self, repetitions: int, rounds: Mapping[int, int]) -> Iterator[Turn]:
        for index, step in enumerate(self.declaration.steps):
            if isinstance(step, Repeat):
                for _ in range(rounds.get(index, repetitions_of(step, repetitions))):
                    yield from step.steps
            else:
                yield step


class Scenarios(Mapping[str, Scenario]):
    """The scenarios of a deployment by name, in the order in which readers see them."""

    def __init__(self, scenarios: Iterable[Scenario]) -> None:
        ordered = sorted(scenarios, key=lambda one: (one.declaration.position, one.name))
        self._by_name = {scenario.name: scenario for scenario in ordered}

    def __getitem__(self, name: str) -> Scenario:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def names(self) -> list[str]:
        """All names."""
        return list(self)

    @property
    def paired(self) -> list[str]:
        """Names of those that need a similar question."""
        return [name for name, scenario in self.items() if scenario.needs_partner]

    @property
    def drawing(self) -> list[str]:
        """Names of those that draw a number for each plan."""
        return [name for name, scenario in self.items() if scenario.repetitions]

    @property
    def reviewed(self) -> list[str]:
        """Names of those in which an answer is reviewed."""
        return [name for name, scenario in self.items() if any(say.reviews for say in scenario.says)]

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that some scenario uses."""
        return tuple(dict.fromkeys(role for scenario in self.values() for role in scenario.roles))

    def prompt_versions(self) -> dict[str, str]:
        """`debate/debate_closer` to the content hash of that prompt file, of every scenario."""
        return {
            f"{name}/{prompt}": version
            for name, scenario in self.items()
            for prompt, version in scenario.prompts.versions().items()
        }

    def title(self, name: str) -> str:
        """A scenario's name for readers, also of one that is no longer declared."""
        return self[name].title if name in self else name.replace("_", " ")


def repetitions_of(step: Repeat, drawn: int) -> int:
    """How often a loop runs at most."""
    return step.repeat if isinstance(step.repeat, int) else drawn


def role_of(turn: Turn) -> str | None:
    """The role of a turn; None where no model is called."""
    return turn.role if isinstance(turn, Say) else None


def prompt_names(declaration: ScenarioDeclaration) -> set[str]:
    """Every prompt file that a declaration uses."""
    return {
        name
        for _, turn, _ in declaration.walk()
        for name in (turn.prompts if isinstance(turn, Say) else [turn.prompt] if turn.prompt else [])
    }


def titled(speaker: str) -> str:
    """A speaker's name as a heading: `student A` -> `Student A`."""
    return speaker[:1].upper() + speaker[1:]


def _uses_partner(turn: Turn) -> bool:
    second: Asked = "similar_question"
    if isinstance(turn, Say):
        asked = (turn.answers, turn.must_not_answer, turn.begins_with)
        return second in asked or any(value.startswith("similar_") for value in turn.visible)
    return turn.pose == second
