"""One question of a benchmark, whatever its kind, and the error of a row that holds none."""

from dataclasses import dataclass

from resources.chat.calls import Message


class NotAQuestion(ValueError):
    """A row is not a question of its benchmark's form. The message says why."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of the answers to choose from."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """One question, whatever its benchmark. Fields and their order are part of stored fingerprints."""

    text: str
    reference: str  # the right option's label, the reference answer, or for code the tests' source
    item_id: str = ""
    cluster: str = ""
    options: tuple[Option, ...] = ()
    worked: str = ""  # a worked answer, for shots
    entry_point: str = ""  # code: the function that the tests call
    start: str = ""  # code: what the answer completes
    solution: str = ""  # code: a whole program that passes, where the benchmark has one
    messages: tuple[Message, ...] = ()  # what is sent, where lm-eval wrote it

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its options."""
        return tuple(option.label for option in self.options)
