from collections.abc import Callable
from typing import Any

import pytest

from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.steps import FixedTurn, ModelTurn
from assets.dialogues.task import DialogueTask
from assets.framework.partitions import Scenario
from assets.framework.prompts import PromptBook
from resources.chat.profile import Role

MakeTask = Callable[..., DialogueTask]


def played(task: DialogueTask, ending: str = "") -> list[FixedTurn | ModelTurn]:
    """Every step, each utterance being `said <number>` and the ending."""
    script, steps = SCENARIOS[task.scenario].steps(task), []
    step = next(script)
    while True:
        steps.append(step)
        try:
            step = script.send(f"said {len(steps)}{ending}")
        except StopIteration:
            return steps


def sees(steps: list[FixedTurn | ModelTurn], role: Role) -> list[dict[str, str]]:
    return [dict(step.sees) for step in steps if isinstance(step, ModelTurn) and step.role is role]


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_role_and_prompt_that_is_used_is_declared(scenario: Scenario, make_task: MakeTask) -> None:
    task = make_task(scenario, debate_rounds=2 if scenario is Scenario.DEBATE else None)
    steps = [*played(task), *played(task, ". The answer is 7.")]
    used = {step.prompt for step in steps if step.prompt}
    assert used == set(SCENARIOS[scenario].prompt_names)
    assert {step.role for step in steps if isinstance(step, ModelTurn)} == set(SCENARIOS[scenario].roles)


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_prompt_can_be_filled(scenario: Scenario, make_task: MakeTask, prompts: PromptBook) -> None:
    for step in played(make_task(scenario)):
        if isinstance(step, ModelTurn):
            assert prompts.render(step.prompt, **step.sees)


def test_the_weak_student_sees_the_question_only(make_task: MakeTask) -> None:
    task = make_task(Scenario.ERROR_CORRECTION)
    assert sees(played(task), Role.WEAK_STUDENT) == [{"question": task.question.text}]


def test_teacher_and_strong_student_see_the_dialogue_and_the_reference(make_task: MakeTask) -> None:
    task = make_task(Scenario.ERROR_CORRECTION)
    before = {"question": task.question.text, "answer": "said 2", "reference": task.question.reference}
    steps = played(task)
    assert sees(steps, Role.CRITIC_TEACHER) == [before]
    assert sees(steps, Role.STRONG_STUDENT) == [before | {"advice": "said 3"}]


def test_of_a_right_answer_only_what_is_missing_is_asked_for(make_task: MakeTask) -> None:
    steps = played(make_task(Scenario.ERROR_CORRECTION), ". The answer is 7.")
    assert [step.prompt for step in steps[2:]] == ["critic_teacher_right", "strong_student_right"]


@pytest.mark.parametrize("ending", [". The answer is 9.", ", I think."])
def test_of_any_other_answer_the_teacher_finds_out(ending: str, make_task: MakeTask) -> None:
    steps = played(make_task(Scenario.ERROR_CORRECTION), ending)
    assert [step.prompt for step in steps[2:]] == ["critic_teacher", "strong_student"]


def test_each_debater_sees_the_whole_debate_so_far_and_no_reference(make_task: MakeTask) -> None:
    steps = played(make_task(Scenario.DEBATE, debate_rounds=2))
    assert [seen["transcript"] for seen in sees(steps, Role.DEBATER_B)] == [
        "Student A: said 2",
        "Student A: said 2\n\nStudent B: said 3\n\nStudent A: said 4",
    ]
    assert all("reference" not in seen for role in (Role.DEBATER_A, Role.DEBATER_B) for seen in sees(steps, role))


def test_student_c_sees_the_debate_and_the_reference(make_task: MakeTask) -> None:
    task = make_task(Scenario.DEBATE)
    (seen,) = sees(played(task), Role.DEBATE_CLOSER)
    assert (seen["transcript"], seen["reference"]) == (
        "Student A: said 2\n\nStudent B: said 3",
        task.question.reference,
    )


def test_the_explaining_teacher_poses_the_question_and_sees_no_reference(make_task: MakeTask) -> None:
    task = make_task(Scenario.ANALOGY)
    step: Any = played(task)[0]
    assert step.opening == task.question.text
    assert step.sees == {"question": task.question.text}


def test_the_second_answer_of_an_analogy_is_to_the_second_question(make_task: MakeTask) -> None:
    task = make_task(Scenario.ANALOGY)
    assert task.similar is not None
    _, second = sees(played(task), Role.ANALOGY_STUDENT)
    assert (second["question"], second["reference"]) == (task.similar.text, task.similar.reference)


def test_an_analogy_without_a_partner_cannot_be_played(make_task: MakeTask) -> None:
    with pytest.raises(ValueError, match="an analogy without a partner"):
        played(make_task(Scenario.ANALOGY, similar=None))
