"""How much of a text is taken over from another, in runs of words."""

import re
from collections.abc import Sequence

from assets.dialogues.debate import DEBATERS
from assets.quality.inputs import DialogueInput, Turn

RUN_WORDS = 6
Run = tuple[str, ...]
_WORD = re.compile(r"[^\W_]+(?:[.,'’]\w+)*")


def words(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _WORD.findall(text.lower())


def copied_share(dialogue: DialogueInput) -> float:
    """The largest share of one debater's words in runs that are taken over from the other debater (0..1).

    Runs of the question do not count: both restate it. Student C sums up what the others said, and a strong student
    keeps what was right in the weak one's steps; neither is copying. Only what comes later can be a copy.
    """
    turns = [turn for turn in dialogue.turns if turn.role in DEBATERS.values()]
    question = {run for asked in dialogue.questions for run in runs(words(asked.text))}
    return max(
        (
            _taken_over(words(turn.text), _said_before(turns[:index], turn.role), question)
            for index, turn in enumerate(turns)
        ),
        default=0.0,
    )


def _taken_over(text: Sequence[str], said: set[Run], question: set[Run]) -> float:
    restated = covered_indexes(text, question)
    own = ["" if index in restated else word for index, word in enumerate(text)]  # no run of `said` holds ""
    return len(covered_indexes(own, said)) / len(text) if text else 0.0


def _said_before(turns: Sequence[Turn], role: str | None) -> set[Run]:
    return {run for turn in turns if turn.role != role for run in runs(words(turn.text))}


def runs(text: Sequence[str], length: int = RUN_WORDS) -> set[Run]:
    """Every run of `length` words in a row."""
    return {tuple(text[index : index + length]) for index in range(len(text) - length + 1)}


def covered_indexes(text: Sequence[str], known: set[Run], length: int = RUN_WORDS) -> set[int]:
    """Indexes of the words of `text` that are in one of the `known` runs."""
    return {
        index + step
        for index in range(len(text) - length + 1)
        if tuple(text[index : index + length]) in known
        for step in range(length)
    }
