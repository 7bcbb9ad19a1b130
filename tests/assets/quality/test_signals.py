"""Signals of whole dialogues."""

from dataclasses import replace
from typing import Any

import pytest

from assets.dialogues.questions import Question
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.judge import judge_messages
from assets.quality.prompts import load_prompts
from assets.quality.signals import final_answer, read_signals, reference_overlap, repetition, structure_ok
from tests.assets.quality.samples import SIMILAR, SUM, corrected, make_dialogue
from tests.shipped_scenarios import SCENARIOS

CAPITAL = Question("s3", "What is the capital of France?", "The capital of France is Paris.", None, "general")
ECHO = Question("s", "Say: hello world", "hello world", None, "general")
ODD = Question("s", "Compare it with the standard solution.", "They are equal.", None, "general")
DEBATE = make_dialogue("debate", "q", "a", "b", "c", questions=(SUM,))
TWO_ROUNDS = replace(DEBATE, turns=(*DEBATE.turns[:3], *DEBATE.turns[1:]), repetitions=2)
NOTHING = DialogueInput("d", SCENARIOS["analogy"], "math", False, (), (SUM, SIMILAR), "unknown")
GERMAN = "Wir ziehen die fünf verschenkten Murmeln ab und haben dann noch sieben Murmeln übrig, und damit ist gut."


def changed_last(**changes: Any) -> DialogueInput:
    good = make_dialogue()
    return replace(good, turns=(*good.turns[:3], replace(good.turns[3], **changes)))


def test_a_good_dialogue_has_good_signals() -> None:
    signals = read_signals(make_dialogue())
    assert (signals.structure_ok, signals.final_answer, signals.false_claim) == (True, "right", False)
    assert not (signals.betrays_reference or signals.truncated or signals.refused or signals.secrets)


@pytest.mark.parametrize(
    ("dialogue", "ok"),
    [
        (make_dialogue(), True),
        (DEBATE, True),
        (make_dialogue("analogy", "q", "a", "b", "c", questions=(SUM, SIMILAR)), True),
        (TWO_ROUNDS, True),
        (replace(TWO_ROUNDS, repetitions=1), False),
        (replace(make_dialogue(), turns=make_dialogue().turns[:-1]), False),
        (replace(make_dialogue(), turns=make_dialogue().turns[::-1]), False),
        (replace(make_dialogue(), turns=make_dialogue().turns * 2), False),
        (replace(make_dialogue(), turns=()), False),
        (changed_last(side="human"), False),
        (changed_last(role="weak_student"), False),
        (changed_last(text="  "), False),
    ],
)
def test_the_turns_must_be_those_of_the_scenario(dialogue: DialogueInput, ok: bool) -> None:
    assert structure_ok(dialogue) is ok


@pytest.mark.parametrize(
    ("dialogue", "expected"),
    [
        (corrected("So 3 + 4 = 7. The answer is 7."), "right"),
        (corrected("So 3 + 4 = 8. The answer is 8."), "wrong"),
        (corrected("I think I should add them, and that is all."), "missing"),
        (corrected("The answer is 8. Wait. The answer is 7."), "wrong"),
        (corrected("Anna says the answer is 8, but 3 + 4 = 7. The answer is 7."), "right"),
        (corrected("It is Lyon.", CAPITAL), "unknown"),  # the reference has no result
        # an analogy is as good as its worse answer
        *(
            (make_dialogue("analogy", "q", first, "q2", second, questions=(SUM, SIMILAR)), expected)
            for first, second, expected in (
                ("The answer is 7.", "The answer is 11.", "right"),
                ("The answer is 7.", "The answer is 12.", "wrong"),
                ("The answer is 8.", "The answer is 11.", "wrong"),
                ("Let us add.", "The answer is 11.", "missing"),
            )
        ),
    ],
)
def test_the_closing_answer_is_compared_with_the_reference(dialogue: DialogueInput, expected: str) -> None:
    assert final_answer(dialogue) == expected


def test_a_similar_question_need_not_be_judged() -> None:
    analogy = SCENARIOS["analogy"]
    *others, last = analogy.declaration.steps
    steps = (*others, last.model_copy(update={"judged": False}))
    scenario = replace(analogy, declaration=analogy.declaration.model_copy(update={"steps": steps}))
    answered = ("q", "The answer is 7.", "q2", "The answer is 12.")
    dialogue = replace(make_dialogue("analogy", *answered, questions=(SUM, SIMILAR)), scenario=scenario)
    assert read_signals(dialogue).final_answer == "right"
    assert judge_messages(load_prompts("standard"), dialogue)


@pytest.mark.parametrize(
    ("closing", "question", "expected"),
    [
        ("It is Paris.", CAPITAL, 1.0),
        ("The capital of France is Marseille.", CAPITAL, 0.0),
        ("Hello!", ECHO, 0.5),  # the question has all words of the reference: then all count
    ],
)
def test_overlap_counts_what_the_reference_says_beyond_the_question(
    closing: str, question: Question, expected: float
) -> None:
    assert reference_overlap(corrected(closing, question)) == expected


@pytest.mark.parametrize(
    ("dialogue", "share"), [(corrected("I add three and four and get seven again. " * 12), 1.0), (make_dialogue(), 0.0)]
)
def test_a_loop_is_fully_repetitive(dialogue: DialogueInput, share: float) -> None:
    assert repetition(dialogue) == share


@pytest.mark.parametrize(
    ("dialogue", "signal", "value"),
    [
        (corrected("I'm sorry, but I cannot help with that."), "refused", True),
        (corrected("According to the reference answer it is 7."), "betrays_reference", True),
        (
            make_dialogue("error_correction", ODD.text, "a", "b", f"I do. {ODD.text}", questions=(ODD,)),
            "betrays_reference",
            False,  # the question says so itself
        ),
        (corrected("Use the key AKIAIOSFODNN7EXAMPLE for it."), "secrets", 1),
        (corrected(GERMAN), "english", False),
        (changed_last(finish_reason="length"), "truncated", True),
        (make_dialogue("error_correction", "a long question", "one two", "advice", "three"), "words", 3),
        (NOTHING, "structure_ok", False),
        (NOTHING, "final_answer", "missing"),
        (NOTHING, "words", 0),
    ],
)
def test_a_signal_shows_what_is_wrong(dialogue: DialogueInput, signal: str, value: Any) -> None:
    assert getattr(read_signals(dialogue), signal) == value


def test_a_teachers_own_words_are_without_the_question() -> None:
    turn = Turn("teacher", "explaining_teacher", "human", "What is 3 + 4?\n\nThink of counting on.")
    assert replace(NOTHING, turns=(turn,)).own_words(turn).strip() == "Think of counting on."
