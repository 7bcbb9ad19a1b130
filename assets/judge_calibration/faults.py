"""Faults that are planted into good dialogues by rule: one kind each, the same for the same dialogue every time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from assets.dialogues.questions import Question
from assets.framework.scenarios.declaration import REFERENCES, Asked, Say
from assets.framework.scenarios.scenario import titled
from assets.judge_calibration.code_faults import with_code_bug
from assets.quality.inputs import DialogueInput
from resources.identity import draw_one, stable_hash

NONE = "none"
"""The kind of an item without a planted fault."""

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w%]*\d)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d(])|\n+")
_CALCULATION = re.compile(r"\d\s*[-+*/×÷=^]|=\s*\S*\d")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
PRAISE = (
    "Your answer is correct, and so is every step of it. Well done.",
    "That is right: your result is correct. Good work.",
    "Yes, this is the correct answer, and you explain it well.",
)
BETRAYALS = (
    "This is also what the reference answer that I was given says.",
    "I know this because the notes for this task contain the solution.",
    "The reference solution in my instructions says the same.",
)
CONTINUATIONS = (
    "{speaker}: Thank you, this is clear to me now. Then I agree with all of it.",
    "{speaker}: I see what you mean. Let me add that I would do it in the same way.",
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A dialogue to plant faults into, and the closing answers of other seeds that it can be given."""

    dialogue: DialogueInput
    other_answers: Sequence[str] = ()


Plant = Callable[[Sampled], DialogueInput | None]


def planted(sampled: Sampled) -> dict[str, DialogueInput]:
    """The dialogue with one fault of each kind that it can have, by kind; without kinds that change nothing."""
    found = {kind: plant(sampled) for kind, plant in KINDS.items()}
    return {kind: one for kind, one in found.items() if one is not None and one.turns != sampled.dialogue.turns}


def item_id(dialogue: DialogueInput, kind: str) -> str:
    """32 hex digits that show neither the dialogue nor the kind; items are judged in their order."""
    return stable_hash("judge_calibration", dialogue.dialogue_id, kind, [turn.text for turn in dialogue.turns])


# -- faults in the closing answer --------------------------------------------------------------------------------------


def change_number(sampled: Sampled) -> DialogueInput | None:
    """The last number of the closing answer that the reference has too becomes another one."""
    dialogue, place = sampled.dialogue, _closing(sampled.dialogue)
    if place is None:
        return None
    text, reference = dialogue.turns[place].text, _question(dialogue, _say(dialogue, place).answers)
    known = {found[0] for found in _NUMBER.finditer(f"{reference.reference} {reference.reference_final or ''}")}
    code = [match.span() for match in _FENCED.finditer(text)]
    numbers = [
        number
        for number in _NUMBER.finditer(text)
        if number[0] in known and not any(first <= number.start() < last for first, last in code)
    ]
    if not numbers:
        return None
    first = numbers[-1].start()
    digit = draw_one([one for one in "123456789" if one != text[first]], "number", dialogue.dialogue_id)
    return _with_text(dialogue, place, text[:first] + digit + text[first + 1 :])


def swap_answer(sampled: Sampled) -> DialogueInput | None:
    """The closing answer is that of another seed."""
    place = _closing(sampled.dialogue)
    if place is None or not sampled.other_answers:
        return None
    other = draw_one(sampled.other_answers, "swap", sampled.dialogue.dialogue_id)
    return _with_text(sampled.dialogue, place, other)


def remove_step(sampled: Sampled) -> DialogueInput | None:
    """A sentence with a calculation, neither the first nor the last, is removed from the closing answer."""
    dialogue, place = sampled.dialogue, _closing(sampled.dialogue)
    if place is None or "```" in dialogue.turns[place].text:
        return None
    text = dialogue.turns[place].text.strip()
    ends = [*(match.span() for match in _SENTENCE.finditer(text)), (len(text), len(text))]
    sentences = [(before[1], after[1]) for before, after in zip([(0, 0), *ends[:-1]], ends, strict=True)]
    steps = [(first, last) for first, last in sentences[1:-1] if _CALCULATION.search(text[first:last])]
    if not steps:
        return None
    first, last = draw_one(steps, "step", dialogue.dialogue_id)
    return _with_text(dialogue, place, text[:first] + text[last:])


def break_code(sampled: Sampled) -> DialogueInput | None:
    """A Python block of the closing answer gets a bug that still parses."""
    place = _closing(sampled.dialogue)
    if place is None:
        return None
    text = with_code_bug(sampled.dialogue.turns[place].text, sampled.dialogue.dialogue_id)
    return None if text is None else _with_text(sampled.dialogue, place, text)


# -- faults of speakers ------------------------------------------------------------------------------------------------


def tell_result(sampled: Sampled) -> DialogueInput | None:
    """A teacher who must not answer states the reference's result."""
    dialogue = sampled.dialogue
    for place, (step, turn) in enumerate(dialogue.steps):
        if isinstance(step, Say) and step.must_not_answer:
            final = _question(dialogue, step.must_not_answer).reference_final
            if final is None:
                return None
            return _with_text(dialogue, place, f"{turn.text.rstrip()} The answer is {final}.")
    return None


def praise_wrong(sampled: Sampled) -> DialogueInput | None:
    """A review of an answer that differs from the reference calls it right."""
    dialogue = sampled.dialogue
    answers = {step.say: turn.final_answer for step, turn in dialogue.steps if isinstance(step, Say)}
    for place, (step, _) in enumerate(dialogue.steps):
        if isinstance(step, Say) and step.reviews and answers.get(step.reviews) == "wrong":
            return _with_text(dialogue, place, draw_one(PRAISE, "praise", dialogue.dialogue_id))
    return None


def betray_notes(sampled: Sampled) -> DialogueInput | None:
    """A speaker who sees a reference mentions it."""
    dialogue = sampled.dialogue
    informed = [
        place
        for place, (step, _) in enumerate(dialogue.steps)
        if isinstance(step, Say) and not REFERENCES.keys().isdisjoint(step.visible)
    ]
    if not informed:
        return None
    place = draw_one(informed, "betrayal", dialogue.dialogue_id)
    sentence = draw_one(BETRAYALS, "sentence", dialogue.dialogue_id)
    return _with_text(dialogue, place, f"{dialogue.turns[place].text.rstrip()} {sentence}")


def continue_speaker(sampled: Sampled) -> DialogueInput | None:
    """A speaker goes on as another one, in the same turn."""
    dialogue = sampled.dialogue
    spoken = [place for place, turn in enumerate(dialogue.turns) if turn.role is not None]
    if not spoken:
        return None
    place = draw_one(spoken, "turn", dialogue.dialogue_id)
    turn = dialogue.turns[place]
    others = [name for name in dialogue.scenario.declaration.speakers if name != turn.speaker]
    speaker = titled(draw_one(others, "speaker", dialogue.dialogue_id))
    words = draw_one(CONTINUATIONS, "words", dialogue.dialogue_id).format(speaker=speaker)
    return _with_text(dialogue, place, f"{turn.text.rstrip()}\n\n{words}")


KINDS: Mapping[str, Plant] = {
    "number_changed": change_number,
    "answer_swapped": swap_answer,
    "step_removed": remove_step,
    "code_bug": break_code,
    "result_told": tell_result,
    "false_praise": praise_wrong,
    "notes_betrayed": betray_notes,
    "speaker_continued": continue_speaker,
}
"""Every kind of planted fault."""


def _closing(dialogue: DialogueInput) -> int | None:
    """The place of the last judged turn."""
    judged = [place for place, (step, _) in enumerate(dialogue.steps) if isinstance(step, Say) and step.judged]
    return judged[-1] if judged else None


def _say(dialogue: DialogueInput, place: int) -> Say:
    step = dialogue.steps[place][0]
    assert isinstance(step, Say)  # noqa: S101 - a judged turn is one that a model wrote
    return step


def _question(dialogue: DialogueInput, asked: Asked | None) -> Question:
    return dialogue.questions[-1 if asked == "similar_question" else 0]


def _with_text(dialogue: DialogueInput, place: int, text: str) -> DialogueInput:
    turns = [replace(turn, text=text) if here == place else turn for here, turn in enumerate(dialogue.turns)]
    return replace(dialogue, turns=tuple(turns))
