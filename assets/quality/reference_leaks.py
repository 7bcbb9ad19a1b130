"""Phrases which show that the speaker saw a hidden reference answer."""

import re

from assets.framework.scenarios.declaration import Say
from assets.quality.inputs import DialogueInput

_ANSWER = r"(?:answers?|solutions?|responses?|results?)"
_HIDDEN = r"(?:reference|given|provided|supplied|expected|attached|correct|standard|official|model|gold(?:en)?)"
# The phrase refers to an answer that the speaker was given, not to one of the world ("the official answer of Rust").
_REFERS = r"(?= (?:says?|shows?|states?|gives?|confirms?|is \S*\d|that i|i (?:was|am|have))|[,.;]|$)"
# No speaker of a dialogue has a reason to say this.
_BY_ANYONE = (
    rf"\breference[- ]{_ANSWER}\b",
    r"\b(?:answer|solution)[- ]key\b",
    r"\bground[- ]truth\b",
    r"\bfor (?:your|my) eyes only\b",
    rf"\b(?:as|according to) the (?:{_HIDDEN} {_ANSWER}|solution){_REFERS}",
)
# Who reviews an answer may call it "the provided solution"; nobody else has been given one.
_BY_OTHERS = (
    rf"\bthe (?:(?:given|provided|supplied|expected|attached) {_ANSWER}|\w+ {_ANSWER} (?:given|provided))"
    r"(?= (?:says?|shows?|states?|gives?|confirms?|is (?:\S*\d|\w+[.,;]))|[,.;]|$)",
    rf"\b(?:based on|from|with|to|per) the (?:given|provided|supplied|expected|attached) {_ANSWER}(?! of\b)",
    rf"\bthe {_ANSWER} (?:that )?(?:i|we) (?:was|were|am|are|have been) (?:given|shown|told|provided)\b",
    rf"\bthe {_ANSWER} (?:that (?:is|was) )?(?:provided|given|supplied|attached)"
    r"(?= (?:to (?:me|us)|above|below|here|in|by the (?:teacher|prompt|user|instructions?))|[.,])",
    rf"\b(?:i|we)(?:'ve| have| was| were| am| are)?(?: been)? (?:given|shown|told|provided with) the {_ANSWER}\b",
    rf"\b(?:agrees? with|matche?s?|fits) the (?:{_HIDDEN} )?{_ANSWER}(?=[,.;]| (?:that|in my)|$)",
    r"\bas (?:\w+ )?in the notes\b(?! (?:of|in|app)\b)",
    r"\bmy (?:own )?notes?\b(?! app\b)",
)
_ANYONE = re.compile("|".join(_BY_ANYONE))
_OTHERS = re.compile("|".join((*_BY_ANYONE, *_BY_OTHERS)))
LONGEST = 50_000  # characters that are searched


def betrays_reference(dialogue: DialogueInput) -> bool:
    """Whether some generated utterance mentions the reference answer that only its prompt had.

    Phrases of the question itself do not count ("compare it with the standard solution").
    """
    asked = _plain(" ".join(question.in_full for question in dialogue.questions))
    reviewing = {id(turn) for step, turn in dialogue.steps if isinstance(step, Say) and step.reviews}
    return any(
        passage not in asked
        for turn in dialogue.spoken
        for passage in reference_mentions(dialogue.own_words(turn), by_reviewer=id(turn) in reviewing)
    )


def reference_mentions(text: str, *, by_reviewer: bool) -> list[str]:
    """The passages of an utterance that mention a reference answer, in lower case."""
    return [match.group() for match in (_ANYONE if by_reviewer else _OTHERS).finditer(_plain(text))]


def _plain(text: str) -> str:
    return " ".join(text[:LONGEST].lower().replace("’", "'").split())
