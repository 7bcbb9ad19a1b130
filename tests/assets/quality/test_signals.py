"""Signals of whole dialogues."""

from dataclasses import replace
from typing import Any

import pytest

from assets.dialogues.questions import Question
from assets.framework.partitions import Scenario
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.signals import (
    final_answer,
    read_signals,
    reference_overlap,
    repetition,
    structure_ok,
)

SUM = Question("s1", "What is 3 + 4?", "3 + 4 = 7", "7", "math")
SIMILAR = Question("s2", "What is 5 + 6?", "5 + 6 = 11", "11", "math")
CAPITAL = Question("s3", "What is the capital of France?", "The capital of France is Paris.", None, "general")


def test_a_good_task_has_good_signals(task: Any) -> None:
    signals = read_signals(task())
    assert (signals.structure_ok, signals.final_answer, signals.false_claim) == (True, "right", False)
    assert not (signals.betrays_reference or signals.truncated or signals.refused or signals.secrets)


@pytest.mark.parametrize(
    ("scenario", "said", "questions"),
    [
        ("error_correction", ("q", "a", "b", "c"), (SUM,)),
        ("debate", ("q", "a", "b", "c"), (SUM,)),
        ("analogy", ("q", "a", "b", "c"), (SUM, SIMILAR)),
    ],
)
def test_every_scenario_has_its_structure(task: Any, scenario: str, said: tuple[str, ...], questions: Any) -> None:
    assert structure_ok(task(scenario, *said, questions=questions))


def test_a_debate_of_two_rounds_has_six_turns(task: Any) -> None:
    one = task("debate", "q", "a", "b", "c")
    two = replace(one, turns=(*one.turns[:3], *one.turns[1:]), debate_rounds=2)
    assert structure_ok(two)
    assert not structure_ok(replace(two, debate_rounds=1))


@pytest.mark.parametrize(
    "broken",
    [
        lambda one: replace(one, turns=one.turns[:-1]),
        lambda one: replace(one, turns=one.turns[::-1]),
        lambda one: replace(one, turns=(*one.turns[:3], replace(one.turns[3], side="human"))),
        lambda one: replace(one, turns=(*one.turns[:3], replace(one.turns[3], role="weak_student"))),
        lambda one: replace(one, turns=(*one.turns[:3], replace(one.turns[3], text="  "))),
        lambda one: replace(one, turns=(*one.turns, one.turns[0])),
        lambda one: replace(one, turns=()),
    ],
    ids=["cut short", "wrong order", "wrong side", "wrong role", "silent", "one too many", "nothing"],
)
def test_broken_structure_is_seen(task: Any, broken: Any) -> None:
    assert not structure_ok(broken(task()))


@pytest.mark.parametrize(
    ("closing", "expected"),
    [
        ("So 3 + 4 = 7. The answer is 7.", "right"),
        ("So 3 + 4 = 8. The answer is 8.", "wrong"),
        ("I think I should add them, and that is all.", "missing"),
        ("The answer is 8. Wait. The answer is 7.", "wrong"),
        ("Anna says the answer is 8, but 3 + 4 = 7. The answer is 7.", "right"),
    ],
)
def test_the_closing_answer_is_compared_with_the_reference(task: Any, closing: str, expected: str) -> None:
    assert final_answer(task("error_correction", "q", "a", "b", closing, questions=(SUM,))) == expected


def test_a_reference_without_result_leaves_the_answer_unknown(task: Any) -> None:
    assert final_answer(task("error_correction", "q", "a", "b", "It is Lyon.", questions=(CAPITAL,))) == "unknown"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("The answer is 7.", "The answer is 11.", "right"),
        ("The answer is 7.", "The answer is 12.", "wrong"),
        ("The answer is 8.", "The answer is 11.", "wrong"),
        ("Let us add.", "The answer is 11.", "missing"),
    ],
)
def test_an_analogy_is_as_good_as_its_worse_answer(task: Any, first: str, second: str, expected: str) -> None:
    assert final_answer(task("analogy", "q", first, "q2", second, questions=(SUM, SIMILAR))) == expected


@pytest.mark.parametrize(
    ("closing", "expected"),
    [
        ("It is Paris.", 1.0),
        ("The capital of France is Marseille.", 0.0),
    ],
)
def test_overlap_counts_what_the_reference_says_beyond_the_question(task: Any, closing: str, expected: float) -> None:
    assert reference_overlap(task("error_correction", "q", "a", "b", closing, questions=(CAPITAL,))) == expected


def test_overlap_counts_all_words_where_the_question_has_them_all(task: Any) -> None:
    echo = Question("s", "Say: hello world", "hello world", None, "general")
    assert reference_overlap(task("error_correction", "q", "a", "b", "Hello!", questions=(echo,))) == 0.5


def test_a_loop_is_fully_repetitive(task: Any) -> None:
    loop = "I add three and four and get seven again. " * 12
    assert repetition(task("error_correction", "q", "a", "b", loop)) == 1.0


def test_plain_speech_does_not_repeat_itself(task: Any) -> None:
    assert repetition(task()) == 0.0


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        ("refused", "I'm sorry, but I cannot help with that."),
        ("betrays_reference", "According to the reference answer it is 7."),
        ("secrets", "Use the key AKIAIOSFODNN7EXAMPLE for it."),
    ],
)
def test_a_bad_utterance_shows(task: Any, signal: str, text: str) -> None:
    good, bad = (read_signals(task("error_correction", "q", "a", "b", said)) for said in ("It is 7.", text))
    assert not getattr(good, signal)
    assert getattr(bad, signal)


def test_another_language_shows(task: Any) -> None:
    german = "Wir ziehen die fünf verschenkten Murmeln ab und haben dann noch sieben Murmeln übrig, und damit ist gut."
    assert not read_signals(task("error_correction", "q", "a", "b", german)).english


def test_a_cut_off_utterance_shows(task: Any) -> None:
    one = task()
    cut = replace(one, turns=(*one.turns[:3], replace(one.turns[3], finish_reason="length")))
    assert read_signals(cut).truncated


def test_words_are_those_of_the_students(task: Any) -> None:
    assert read_signals(task("error_correction", "a long question", "one two", "advice", "three")).words == 3


def test_a_dialogue_that_ended_at_once_has_signals_too() -> None:
    empty = DialogueInput("d", Scenario.ANALOGY, "math", False, (), (SUM, SIMILAR), "unknown")
    signals = read_signals(empty)
    assert (signals.structure_ok, signals.final_answer, signals.words) == (False, "missing", 0)


def test_what_a_seed_says_is_not_held_against_the_class(task: Any) -> None:
    odd = Question("s", "Compare it with the standard solution.", "They are equal.", None, "general")
    turns = ("Compare it with the standard solution.", "a", "b", "I compare it with the standard solution: equal.")
    assert not read_signals(task("error_correction", *turns, questions=(odd,))).betrays_reference


def test_the_teacher_poses_the_question_before_the_explanation() -> None:
    posed = Turn("teacher", "explaining_teacher", "human", "What is 3 + 4?\n\nThink of counting on.")
    one = DialogueInput("d", Scenario.ANALOGY, "math", True, (posed,), (SUM, SIMILAR), "unknown")
    assert one.own_words(posed).strip() == "Think of counting on."
