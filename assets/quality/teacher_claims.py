"""What a teacher claims about a student's answer, read from the text, and whether the claim is true."""

import re
from collections.abc import Sequence
from typing import Literal

from assets.answers.mentions import gives_away_result, mentions_result
from assets.framework.scenarios.declaration import Pose, Say
from assets.quality.inputs import DialogueInput, Turn

TeacherClaim = Literal["right", "wrong", "unclear"]

_PARTS = (
    r"(?:answer|result|solution|conclusion|response|calculation|computation|reasoning|process|work|method|approach|logic|"
    r"step|sum|total|product|multiplication|addition|subtraction|division|line|part|formula|equation|code|function|"
    r"program|claim|choice|option|reading|attempt|number|value)s?"
)
_RESULTS = (
    r"(?:final answer|answer|result|solution|conclusion|response|choice|calculation|code|function|program|value|number|"
    r"total|sum|product)"
)
_WHOLE = rf"(?:(?:final |overall |whole )?{_RESULTS}(?: (?:that )?you \w+| of \S+)?|everything|all of it)"
_THING = (
    rf"(?:(?:final|overall|first|second|third|last|whole) )?{_PARTS}(?: \d+)?"
    r"(?: (?:that )?you \w+| in [^,;.]{1,30}| of \S+)?"
)
_LINK = r"(?:is|was|are|were|looks?|seems?(?: to be)?|appears?(?: to be)?|remains?|comes out)"
_DEGREE = (
    r"(?:(?:all|also|indeed|now|quite|completely|absolutely|perfectly|entirely|mostly|clearly|simply|just|still|both|"
    r"already|fully|exactly|very|too|almost|nearly|partly) )*"
)
_RIGHT = r"(?:correct|right|accurate|perfect|spot on|sound|complete|valid|fine|flawless)"
_WRONG = (
    r"(?:wrong|incorrect|inaccurate|mistaken|flawed|invalid|off|faulty|false|"
    r"too (?:small|large|big|high|low|much|little|many|few))"
)
_YOU = r"you(?: are| were| have)?"
_CORRECTLY = rf"(?:correctly|(?:the )?(?:correct|right) (?:final )?{_RESULTS})"
_ACHIEVED = (
    r"(?:solved?|answer(?:ed)?|reach(?:ed)?|found|find|got|get|obtained?|have|arrived? at|worked? out|gave|give)"
)
# In this order; what was read is taken out, so that "not right" is not right and "no mistake" is no mistake.
_PATTERNS: tuple[tuple[TeacherClaim, str], ...] = (
    (
        "right",
        r"\b(?:nothing (?:is |was )?(?:wrong|missing|incorrect)|(?:no|not any|without(?: any)?) (?:mistakes?|errors?)"
        r"|did not make (?:a|any) (?:mistakes?|errors?)|not (?:wrong|incorrect|mistaken))\b",
    ),
    (
        "wrong",
        rf"\b(?:{_THING} {_LINK} {_DEGREE}not {_DEGREE}{_RIGHT}|{_YOU} {_DEGREE}not {_DEGREE}{_RIGHT}"
        rf"|(?:that|this|it) {_LINK} {_DEGREE}not {_DEGREE}(?:the |a )?(?:{_RIGHT}|answer|it\b)"
        rf"|(?:did|do|have|has|does) not (?:quite )?{_ACHIEVED}\b[^.!?]{{0,40}}\b{_CORRECTLY}"
        rf"|(?:almost|nearly|not quite) {_ACHIEVED}\b[^.!?]{{0,40}}\b{_CORRECTLY}|not (?:quite|yet|entirely)\b"
        rf"|(?:almost|nearly) (?:right|correct|there))",
    ),
    (
        "wrong",
        rf"\b(?:{_THING} {_LINK} {_DEGREE}{_WRONG}\b|{_YOU} {_DEGREE}(?:wrong|incorrect|mistaken)\b"
        rf"|(?:that|this|it) {_LINK} {_DEGREE}(?:wrong|incorrect|mistaken|off)\b"
        r"|(?:made|make|contains?|has|have|is|was) (?:a|an|some|several|one|the|your) (?:\w+ )?(?:mistakes?|errors?)\b"
        r"|(?:mistake|error) (?:is|was|lies|occurs|occurred|in)\b|incorrect\b|(?:went|goes|going) (?:wrong|astray)\b"
        r"|wrong(?=[!,.;:]|$)|should (?:have been|have \w+ed)\b|(?:added|subtracted|multiplied|divided|counted) \w* ?"
        r"(?:instead of|where|although|rather than)\b|says the opposite\b|contradicts?\b)",
    ),
    (
        "right",
        rf"\b(?:{_WHOLE} {_LINK} {_DEGREE}{_RIGHT}\b"
        rf"|{_YOU} {_DEGREE}(?:correct|right|spot on)\b(?! (?:to|about|that))"
        rf"|(?:that|this|it) {_LINK} {_DEGREE}(?:correct|right)\b"
        rf"|(?:agrees?|matche?s?) (?:with )?the (?:correct|right|expected) (?:{_RESULTS}|one)"
        rf"|{_YOU} {_DEGREE}{_ACHIEVED}\b[^.!?]{{0,40}}\b{_CORRECTLY})"
        r"|^[\s…]*(?:yes, )?(?:correct|right|well done|excellent|perfect|(?:good|great) (?:job|work))(?=[!,.])",
    ),
)
_CLAIMS = tuple((claim, re.compile(pattern)) for claim, pattern in _PATTERNS)
_SENTENCE = re.compile(r"[^.!?;]+[.!?;]*")
# A condition or a task speaks of no answer that was given: "check whether it is right", "the correct answer should …".
_HYPOTHETICAL = re.compile(r"\b(?:if|whether|make sure|ensure|to be sure|until|so that|would be|might be)\b")
_NEGATIONS = (("n't", " not"), ("cannot", "can not"), ("'re", " are"), ("'ve", " have"), ("'s ", " is "))
LONGEST = 20_000  # characters that are read


def claim_of(text: str) -> TeacherClaim:
    """Whether a teacher calls the student's answer right or wrong; `unclear` where neither or both are said.

    A sentence with a condition says nothing. Praise for the process beside a fault of the result is `unclear`, and so
    is every wording that the patterns do not know: a claim is read only where it is plain.
    """
    plain = " ".join(text[:LONGEST].lower().replace("’", "'").split())
    for short, long in _NEGATIONS:
        plain = plain.replace(short, long)
    said: set[TeacherClaim] = set()
    for sentence in _SENTENCE.findall(plain):
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
        gives_away_result(
            dialogue.own_words(turn), asked.reference_final, "\n".join([asked.text, *_students(dialogue.turns[:index])])
        )
        for _, turn, index in silent
    ]
    if any(stated):
        return True
    return None if not asked.reference_final or mentions_result(asked.text, asked.reference_final) else False


def _students(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.side == "gpt"]
