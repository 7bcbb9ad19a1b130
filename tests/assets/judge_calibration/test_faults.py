"""Planted faults: each is the fault that its kind names, and kinds that a dialogue cannot have are skipped."""

from dataclasses import replace

import pytest

from assets.dialogues.questions import Question
from assets.judge_calibration.faults import BETRAYALS, KINDS, PRAISE, Sampled, planted
from assets.judge_calibration.items import make_items
from assets.quality.inputs import DialogueInput
from tests.assets.quality.samples import CORRECTED, MARBLES, SIMILAR, SUM, make_dialogue

STEPS = (
    "Tom has 12 marbles at first. He gives away 5, so 12 - 5 = 7. That is fewer than before. The answer is 7 marbles."
)
POEM = Question("s3", "Write a line about rain.", "Rain falls softly.", None, "general")


def closing(text: str) -> DialogueInput:
    return make_dialogue("error_correction", *CORRECTED[:3], text)


def answer(kind: str, dialogue: DialogueInput, *others: str) -> str:
    """The closing answer after planting."""
    return planted(Sampled(dialogue, others))[kind].answers[-1]


def test_a_number_of_the_reference_is_changed_where_it_stands_last() -> None:
    changed = answer("number_changed", closing(STEPS))
    assert changed != STEPS
    assert changed.rpartition("The answer is ")[0] == STEPS.rpartition("The answer is ")[0]
    assert changed.endswith(" marbles.")


def test_a_sentence_with_a_calculation_is_removed() -> None:
    assert answer("step_removed", closing(STEPS)) == STEPS.replace(" He gives away 5, so 12 - 5 = 7.", "")


def test_the_closing_answer_of_another_seed_is_taken() -> None:
    assert answer("answer_swapped", closing(STEPS), "It is 11.") == "It is 11."


def test_code_gets_a_bug() -> None:
    code = "This prints 7:\n\n```python\nprint(12 - 5)\n```"
    assert answer("code_bug", closing(code)) != code


@pytest.mark.parametrize(
    ("kind", "turn", "sentences"),
    [
        ("result_told", 2, ["The answer is 7."]),
        ("false_praise", 2, PRAISE),
        ("notes_betrayed", None, BETRAYALS),
        ("speaker_continued", None, ["\n\nTeacher: ", "\n\nStudent: "]),
    ],
)
def test_a_speaker_breaks_a_rule(kind: str, turn: int | None, sentences: list[str]) -> None:
    dialogue = make_dialogue()
    found = planted(Sampled(dialogue))[kind]
    pairs = zip(dialogue.turns, found.turns, strict=True)
    (changed,) = [place for place, (before, after) in enumerate(pairs) if before != after]
    assert turn in (None, changed)
    assert dialogue.turns[changed].role is not None
    assert any(sentence in found.turns[changed].text for sentence in sentences)


@pytest.mark.parametrize(
    ("dialogue", "missing"),
    [
        (make_dialogue(first_answer="right"), {"false_praise", "code_bug", "answer_swapped"}),
        (
            make_dialogue("debate", POEM.text, "Drops fall.", "Rain sings.", "Rain falls.", questions=(POEM,)),
            {"number_changed", "step_removed", "code_bug", "result_told", "false_praise", "answer_swapped"},
        ),
    ],
)
def test_kinds_that_a_dialogue_cannot_have_are_skipped(dialogue: DialogueInput, missing: set[str]) -> None:
    assert planted(Sampled(dialogue)).keys() == KINDS.keys() - missing


def test_items_are_shuffled_show_no_kind_and_are_the_same_every_time() -> None:
    other = make_dialogue(
        "error_correction", SIMILAR.text, "5 + 6 is 10.", "Count again.", "It is 11.", questions=(SIMILAR,)
    )
    dialogues = [replace(closing(STEPS), questions=(MARBLES,)), other]
    items = make_items(dialogues)
    assert items == make_items(list(reversed(dialogues)))
    assert [item.id for item in items] == sorted({item.id for item in items})
    assert not {item.id for item in items} & {dialogue.dialogue_id for dialogue in dialogues}
    assert sum(item.kind == "none" for item in items) == 2
    assert {item.dialogue.answers[-1] for item in items if item.kind == "answer_swapped"} == {STEPS, "It is 11."}


def test_an_answer_with_the_same_result_is_never_swapped_in() -> None:
    same = make_dialogue("error_correction", SUM.text, "It is 8.", "Count again.", "It is 7.", questions=(SUM,))
    assert "answer_swapped" not in {
        item.kind for item in make_items([closing(STEPS), replace(same, questions=(replace(SUM, seed_id="s9"),))])
    }
