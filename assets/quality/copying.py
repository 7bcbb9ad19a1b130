"""How much of a text is taken over from another, in runs of words."""

import re
from collections.abc import Sequence

from assets.framework.scenarios.declaration import Say
from assets.quality.inputs import DialogueInput, Turn

RUN_WORDS = 6
Run = tuple[str, ...]
_WORD = re.compile(r"[^\W_]+(?:[.,'’]\w+)*")


def words(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _WORD.findall(text.lower())


def copied_share(dialogue: DialogueInput) -> float:
    """The largest share of a turn's words in runs that are taken over from another speaker (0..1).

    Only steps that the scenario declares with `own_words` count, as copies and as what is copied. Runs of the question
    do not count: everybody restates it. Only what comes later can be a copy.
    """
    turns = [turn for step, turn in dialogue.steps if isinstance(step, Say) and step.own_words]
    question = {run for asked in dialogue.questions for run in runs(words(asked.text))}
    return max(
        (
            _taken_over(words(turn.text), _said_before(turns[:index], turn.speaker), question)
            for index, turn in enumerate(turns)
        ),
        default=0.0,
    )


def _taken_over(text: Sequence[str], said: set[Run], question: set[Run]) -> float:
    restated = covered_indexes(text, question)
    own = ["" if index in restated else word for index, word in enumerate(text)]  # no run of `said` holds ""
    return len(covered_indexes(own, said)) / len(text) if text else 0.0


def _said_before(turns: Sequence[Turn], speaker: str) -> set[Run]:
    return {run for turn in turns if turn.speaker != speaker for run in runs(words(turn.text))}


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
