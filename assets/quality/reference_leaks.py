"""Phrases which show that the speaker saw a hidden reference answer."""

import re

from assets.framework.scenarios.declaration import Say
from assets.quality.inputs import DialogueInput

_ANSWER = r"(?:answers?|solutions?|responses?)(?! (?:choices|options))"
# No speaker of a dialogue has a reason to say this.
_BY_ANYONE = (
    rf"\b(?:reference|standard|official|gold(?:en)?|model|ground[- ]truth)[- ]{_ANSWER}",
    r"\b(?:answer|solution)[- ]key\b",
    r"\bground[- ]truth\b",
    r"\bfor (?:your|my) eyes only\b",
)
# Who reviews an answer may call it "the provided solution"; nobody else has been given one.
_BY_OTHERS = (
    rf"\b(?:the|this|that) (?:provided|given|supplied|expected|attached) {_ANSWER}",
    rf"\b(?:the|this|that) {_ANSWER} (?:that (?:is|was) )?(?:provided|given|supplied|attached)"
    r"(?= (?:to (?:me|us)|above|below|here|in|by the (?:teacher|prompt|user|instructions?))|[.,])",
    r"\b(?:i|we)(?:'ve| have| was| were| am| are)?(?: been)? (?:given|shown|told|provided with)"
    r" the (?:answer|solution|result)",
    r"\b(?:my|the|your) notes? (?:say|says|said|show|shows|give|gives|state|states|confirm|confirms)\b",
    r"\b(?:according to|based on|as (?:shown |stated |given |written )?in|in|from|with|to|per) (?:my|the|your) notes\b",
)
_ANYONE = re.compile("|".join(_BY_ANYONE))
_OTHERS = re.compile("|".join((*_BY_ANYONE, *_BY_OTHERS)))


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
    return " ".join(text.lower().replace("’", "'").split())
