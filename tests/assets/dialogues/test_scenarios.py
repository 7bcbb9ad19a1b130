"""What every speaker of every scenario sees."""

from typing import Any

import pytest

from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.steps import FixedTurn, ModelTurn
from assets.dialogues.task import DialogueTask
from assets.framework.partitions import Scenario
from resources.chat.profile import Role
from tests.assets.dialogues.scripted import PROMPTS, make_task

FIRST, SECOND = make_task(Scenario.ANALOGY).question, make_task(Scenario.ANALOGY).similar
assert SECOND is not None
REVIEWED = {"question": FIRST.text, "answer": "said 2", "reference": FIRST.reference}


def steps_of(task: DialogueTask, ending: str = "") -> list[FixedTurn | ModelTurn]:
    """Every step, each utterance being `said <number>` and the ending."""
    generator, steps = SCENARIOS[task.scenario].steps(task), []
    step = next(generator)
    while True:
        steps.append(step)
        try:
            step = generator.send(f"said {len(steps)}{ending}")
        except StopIteration:
            return steps


def model_turns(task: DialogueTask, ending: str = "") -> list[ModelTurn]:
    return [step for step in steps_of(task, ending) if isinstance(step, ModelTurn)]


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_role_and_prompt_that_is_used_is_declared_and_can_be_filled(scenario: Scenario) -> None:
    task = make_task(scenario, debate_rounds=2 if scenario is Scenario.DEBATE else None)
    steps = [*steps_of(task), *steps_of(task, ". The answer is 7.")]
    turns = [step for step in steps if isinstance(step, ModelTurn)]
    assert {step.prompt for step in steps if step.prompt} == set(SCENARIOS[scenario].prompt_names)
    assert {turn.role for turn in turns} == set(SCENARIOS[scenario].roles)
    assert all(PROMPTS.render(turn.prompt, **turn.sees) for turn in turns)


@pytest.mark.parametrize(
    ("scenario", "role", "seen"),
    [
        (Scenario.ERROR_CORRECTION, Role.WEAK_STUDENT, [{"question": FIRST.text}]),
        (Scenario.ERROR_CORRECTION, Role.CRITIC_TEACHER, [REVIEWED]),
        (Scenario.ERROR_CORRECTION, Role.STRONG_STUDENT, [REVIEWED | {"advice": "said 3"}]),
        (
            Scenario.DEBATE,
            Role.DEBATER_B,
            [
                {"name": "Student B", "question": FIRST.text, "transcript": transcript}
                for transcript in (
                    "Student A: said 2",
                    "Student A: said 2\n\nStudent B: said 3\n\nStudent A: said 4",
                )
            ],
        ),
        (
            Scenario.DEBATE,
            Role.DEBATE_CLOSER,
            [
                {
                    "name": "Student C",
                    "question": FIRST.text,
                    "transcript": "\n\n".join(f"Student {'BA'[n % 2 == 0]}: said {n}" for n in range(2, 6)),
                    "reference": FIRST.reference,
                }
            ],
        ),
        (Scenario.ANALOGY, Role.EXPLAINING_TEACHER, [{"question": FIRST.text}]),
        (
            Scenario.ANALOGY,
            Role.ANALOGY_STUDENT,
            [
                {"question": FIRST.text, "explanation": "said 1", "reference": FIRST.reference},
                {
                    "question": SECOND.text,
                    "explanation": "said 1",
                    "first_question": FIRST.text,
                    "first_answer": "said 2",
                    "reference": SECOND.reference,
                },
            ],
        ),
    ],
)
def test_each_role_sees_what_the_method_says(scenario: Scenario, role: Role, seen: list[Any]) -> None:
    task = make_task(scenario, debate_rounds=2 if scenario is Scenario.DEBATE else None)
    assert [dict(turn.sees) for turn in model_turns(task) if turn.role is role] == seen


@pytest.mark.parametrize(
    ("ending", "suffix"), [(". The answer is 7.", "_right"), (". The answer is 9.", ""), (", I think.", "")]
)
def test_only_a_right_attempt_gets_the_prompts_for_right_attempts(ending: str, suffix: str) -> None:
    _, *prompts = (turn.prompt for turn in model_turns(make_task(Scenario.ERROR_CORRECTION), ending))
    assert prompts == [f"critic_teacher{suffix}", f"strong_student{suffix}"]


def test_the_explaining_teachers_turn_opens_with_the_question() -> None:
    assert model_turns(make_task(Scenario.ANALOGY))[0].opening == FIRST.text


def test_an_analogy_without_a_partner_is_an_error() -> None:
    with pytest.raises(ValueError, match="an analogy without a partner"):
        steps_of(make_task(Scenario.ANALOGY, similar=None))
