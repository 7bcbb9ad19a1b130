"""What a teacher claims about a student's answer, read from the text, and whether the claim is true."""

import re
from collections.abc import Sequence
from typing import Literal

from assets.answers.mentions import mentions_result, tells_result
from assets.framework.scenarios.declaration import Pose, Say
from assets.quality.inputs import DialogueInput, Turn

TeacherClaim = Literal["right", "wrong", "unclear"]

_THING = r"(?:final |overall )?(?:answer|result|solution|conclusion|response|calculation|reasoning|process|work|method)"
_LINK = r"(?:is|was|are|were|looks?|seems?|appears?(?: to be)?|'s)"
_DEGREE = (
    r"(?:(?:all|also|indeed|now|quite|completely|absolutely|perfectly|entirely|mostly|clearly|simply|just|still) )*"
)
_RIGHT = r"(?:correct|right|accurate|perfect|spot on)"
_WRONG = r"(?:wrong|incorrect|not (?:\w+ )?(?:correct|right|accurate)|inaccurate|mistaken|flawed)"
_NOTHING_WRONG = re.compile(
    r"\b(?:nothing (?:is |was )?wrong|(?:no|not any|without(?: any)?) (?:mistakes?|errors?)"
    r"|(?:did not|didn't) make (?:a|any) (?:mistakes?|errors?)|not (?:wrong|incorrect))\b"
)
_SAYS_RIGHT = re.compile(
    rf"\b(?:{_THING} {_LINK} {_DEGREE}{_RIGHT}|you(?: are|'re| were) {_DEGREE}{_RIGHT}"
    rf"|(?:that|this|it)(?: is|'s) {_DEGREE}{_RIGHT}|(?:you )?(?:got|have) (?:it|the {_THING}) {_DEGREE}right"
    rf"|you (?:have )?(?:solved|answered|reached|found|got)\b[^.!?]*\b(?:correctly|the (?:correct|right) {_THING})"
    rf"|(?:correct|right|well done|good job|excellent|great job|perfect)[!,.])"
)
_SAYS_WRONG = re.compile(
    rf"\b(?:{_THING} {_LINK} {_DEGREE}{_WRONG}|you(?: are|'re| were) {_DEGREE}{_WRONG}"
    rf"|(?:that|this|it)(?: is|'s) {_DEGREE}{_WRONG}"
    r"|(?:made|make|contains?|has|have|is|was) (?:a|an|some|several|one|the) (?:\w+ )?(?:mistakes?|errors?)"
    r"|(?:mistake|error) (?:is|was|lies|occurs|occurred|in)|incorrect|(?:went|goes|going) wrong|wrong[!,.])"
)
# In this order, and what was read is taken out: "no mistake" is no mistake, "not right" is not right.
_CLAIMS: tuple[tuple[TeacherClaim, re.Pattern[str]], ...] = (
    ("right", _NOTHING_WRONG),
    ("wrong", _SAYS_WRONG),
    ("right", _SAYS_RIGHT),
)
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
# A condition or a task speaks of no answer that was given: "check whether it is right", "the correct answer should …".
_HYPOTHETICAL = re.compile(r"\b(?:if|whether|make sure|ensure|to be sure|until|so that)\b")


def claim_of(text: str) -> TeacherClaim:
    """Whether a teacher calls the student's answer right or wrong; `unclear` where neither or both are said.

    A sentence with a condition says nothing. Praise for the process beside a fault of the result is `unclear`, and so
    is every wording that the patterns do not know: a claim is read only where it is plain.
    """
    said: set[TeacherClaim] = set()
    for sentence in _SENTENCE.findall(" ".join(text.lower().replace("’", "'").split())):
        if _HYPOTHETICAL.search(sentence):
            continue
        for claim, pattern in _CLAIMS:
            sentence, found = pattern.subn(" … ", sentence)
            if found:
                said.add(claim)
    return said.pop() if len(said) == 1 else "unclear"


def false_claim(dialogue: DialogueInput) -> bool | None:
    """Whether a turn calls a right answer wrong, or a wrong one right; None where that is unknown.

    The scenario declares which step `reviews` an earlier answer in the speaker's own words, and which one `praises` it
    in a fixed text.
    """
    answers = {step.say: turn.final_answer for step, turn in dialogue.steps if isinstance(step, Say)}
    found: list[bool | None] = []
    for step, turn in dialogue.steps:
        reviewed = step.reviews if isinstance(step, Say) else step.praises
        if not reviewed:
            continue
        claim = "right" if isinstance(step, Pose) else claim_of(turn.text)
        answer = answers.get(reviewed)
        found.append(None if claim == "unclear" or answer not in ("right", "wrong") else claim != answer)
    if any(found):
        return True
    return None if None in found else False


def gave_away_result(dialogue: DialogueInput) -> bool | None:
    """Whether a step that must not answer a question did so before the other side (METHOD: the result is not the
    teacher's to say).

    None where that is unknown: nothing is stated, and the seed has no result to look for, or its question names it.
    """
    silent = [
        (step, turn, index)
        for index, (step, turn) in enumerate(dialogue.steps)
        if isinstance(step, Say) and step.must_not_answer
    ]
    if not silent:
        return False
    asked = dialogue.questions[0]
    stated = [
        tells_result(
            dialogue.own_words(turn), asked.reference_final, "\n".join([asked.text, *_students(dialogue.turns[:index])])
        )
        for _, turn, index in silent
    ]
    if any(stated):
        return True
    return None if not asked.reference_final or mentions_result(asked.text, asked.reference_final) else False


def _students(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.side == "gpt"]
