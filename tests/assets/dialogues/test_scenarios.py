"""What every speaker of every scenario sees."""

from dataclasses import replace
from typing import Any

import pytest

from assets.dialogues.steps import FixedTurn, ModelTurn, play
from assets.dialogues.task import DialogueTask
from assets.framework.scenarios.documentation import turns_table
from tests.assets.dialogues.scripted import make_task
from tests.shipped_scenarios import NAMES, SCENARIOS

FIRST, SECOND = make_task("analogy").question, make_task("analogy").similar
assert SECOND is not None
REVIEWED = {"question": FIRST.text, "attempt": "said 2", "reference": FIRST.reference}


def steps_of(task: DialogueTask, ending: str = "") -> list[FixedTurn | ModelTurn]:
    """Every step, each utterance being `said <number>` and the ending."""
    generator, steps = play(SCENARIOS[task.scenario], task), []
    step = next(generator)
    while True:
        steps.append(step)
        try:
            step = generator.send(f"said {len(steps)}{ending}")
        except StopIteration:
            return steps


def model_turns(task: DialogueTask, ending: str = "") -> list[ModelTurn]:
    return [step for step in steps_of(task, ending) if isinstance(step, ModelTurn)]


@pytest.mark.parametrize("scenario", NAMES)
def test_every_role_and_prompt_that_is_used_is_declared_and_can_be_filled(scenario: str) -> None:
    drawn = {"repetitions": 2} if scenario == "debate" else {}
    tasks = [make_task(scenario, dialogue_id=str(number), **drawn) for number in range(12)]  # so that all is chosen
    tasks += [
        replace(
            task,
            question=replace(FIRST, reference_final=None),
            similar=task.similar and replace(task.similar, reference_final=None),
        )
        for task in tasks
    ]
    steps = [step for task in tasks for ending in ("", ". The answer is 7.") for step in steps_of(task, ending)]
    turns = [step for step in steps if isinstance(step, ModelTurn)]
    assert {step.prompt for step in steps if step.prompt} == set(SCENARIOS[scenario].prompt_names)
    assert {turn.say.role for turn in turns} == set(SCENARIOS[scenario].roles)
    assert all(SCENARIOS[scenario].prompts.render(turn.prompt, **turn.sees) for turn in turns)


@pytest.mark.parametrize(
    ("scenario", "role", "seen"),
    [
        ("error_correction", "weak_student", [{"speaker": "Student", "question": FIRST.text}]),
        ("error_correction", "critic_teacher", [REVIEWED | {"speaker": "Teacher"}]),
        ("error_correction", "strong_student", [REVIEWED | {"speaker": "Student", "advice": "said 3"}]),
        (
            "debate",
            "debater_b",
            [
                {"speaker": "Student B", "question": FIRST.text, "dialogue": dialogue}
                for dialogue in (
                    "Student A: said 2",
                    "Student A: said 2\n\nStudent B: said 3\n\nStudent A: said 4",
                )
            ],
        ),
        (
            "debate",
            "debate_closer",
            [
                {
                    "speaker": "Student C",
                    "question": FIRST.text,
                    "dialogue": "\n\n".join(f"Student {'BA'[n % 2 == 0]}: said {n}" for n in range(2, 6)),
                    "reference": FIRST.reference,
                }
            ],
        ),
        (
            "analogy",
            "explaining_teacher",
            [{"speaker": "Teacher", "question": FIRST.text, "reference": FIRST.reference}],
        ),
        (
            "analogy",
            "analogy_student",
            [
                {
                    "speaker": "Student",
                    "question": FIRST.text,
                    "explanation": "said 1",
                    "reference": FIRST.reference,
                },
                {
                    "speaker": "Student",
                    "question": FIRST.text,
                    "explanation": "said 1",
                    "first_answer": "said 2",
                    "similar_question": SECOND.text,
                    "similar_reference": SECOND.reference,
                },
            ],
        ),
    ],
)
def test_each_role_sees_what_the_method_says(scenario: str, role: str, seen: list[Any]) -> None:
    task = make_task(scenario, repetitions=2 if scenario == "debate" else None)
    seen = [{"language": "English", **one} for one in seen]
    assert [dict(turn.sees) for turn in model_turns(task) if turn.say.role == role] == seen


@pytest.mark.parametrize(
    ("ending", "suffix"), [(". The answer is 7.", "_right"), (". The answer is 9.", ""), (", I think.", "")]
)
def test_only_a_right_attempt_gets_the_prompts_for_right_attempts(ending: str, suffix: str) -> None:
    _, *prompts = (turn.prompt for turn in model_turns(make_task("error_correction"), ending))
    assert prompts == [f"critic_teacher{suffix}", f"strong_student{suffix}"]


def test_the_explaining_teachers_turn_opens_with_the_question() -> None:
    assert model_turns(make_task("analogy"))[0].opening == FIRST.text


def test_an_analogy_without_a_partner_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no similar question, which analogy needs"):
        steps_of(make_task("analogy", similar=None))


def test_the_table_of_turns_names_what_is_chosen_for_each_dialogue() -> None:
    notes = [row["notes"] for row in turns_table(SCENARIOS["debate"]) if "chosen" in row["notes"]]
    assert len(notes) == 1
    assert "view chosen by dialogue: plain or other method or misreading" in notes[0]
