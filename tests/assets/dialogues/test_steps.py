"""How the keys of a declaration decide what is played."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from assets.dialogues.steps import ModelTurn, Steps, play
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import ScenarioDeclaration
from assets.framework.scenarios.faults import declaration_faults
from assets.framework.scenarios.scenario import Scenario
from tests.assets.dialogues.scripted import make_task
from tests.shipped_scenarios import SCENARIOS

END = {
    "say": "end",
    "speaker": "learner",
    "role": "expert",
    "prompt": "end",
    "sees": ["question"],
    "answers": "question",
    "judged": True,
}
CHOICES = {"view": {"plain": 0, "misreading": 1}, "mood": {"calm": 1}}
POSE = {"pose": "question", "speaker": "guide"}


def say(name: str, speaker: str, **keys: Any) -> dict[str, Any]:
    return {"say": name, "speaker": speaker, "role": "expert", "prompt": name, "sees": ["question"], **keys}


def played(steps: list[Any], texts: dict[str, list[str]], **task: Any) -> list[ModelTurn]:
    """The turns of models; a step says its texts one after the other, `nothing` where it has none."""
    content = {
        "description": "Steps.",
        "speakers": {"guide": {"side": "human"}, "learner": {"side": "gpt"}},
        "roles": {"expert": {}},
        "draws": {"rounds": {1: 1, 3: 1}} if any(step.get("repeat") == "rounds" for step in steps) else {},
        "choices": CHOICES if "'chosen'" in str(steps) else {},
        "steps": steps,
    }
    declaration = ScenarioDeclaration.model_validate(content)
    assert declaration_faults(declaration) == []
    scenario = Scenario("steps", declaration, PromptBook([Path()], {}))
    left = {name: iter(said) for name, said in texts.items()}
    return model_turns(play(scenario, make_task("debate", **task)), left)


def model_turns(steps: Steps, left: Mapping[str, Iterator[str]] = MappingProxyType({})) -> list[ModelTurn]:
    """The turns of models; a step says its texts in `left`, `nothing` where there is none."""
    found = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, ModelTurn):
                found.append(step)
                step = steps.send(next(left.get(step.say.say, iter(())), "nothing"))
            else:
                step = steps.send(step.text)
    except StopIteration:
        return found


SEVEN, NINE = "The answer is 7.", "The answer is 9."
ARGUE = [say("view", "learner", answers="question"), say("reply", "guide", answers="question")]
REMARK = [say("remark", "learner"), say("nod", "guide")]


@pytest.mark.parametrize(
    ("loop", "texts", "rounds"),
    [
        ({"repeat": 2, "steps": ARGUE}, {}, 2),
        ({"repeat": "rounds", "steps": ARGUE}, {}, 3),  # as drawn
        ({"repeat": 3, "steps": ARGUE, "until_agree": ["learner", "guide"]}, {"view": [SEVEN], "reply": [SEVEN]}, 1),
        (
            {"repeat": 3, "steps": ARGUE, "until_agree": ["learner", "guide"]},
            {"view": [SEVEN, SEVEN], "reply": [NINE, SEVEN]},
            2,
        ),
        ({"repeat": 3, "steps": ARGUE, "until_agree": ["learner", "guide"]}, {"view": [SEVEN] * 3}, 3),  # no answer
        # turns that answer nothing do not count
        (
            {"repeat": 3, "steps": [*ARGUE, *REMARK], "until_agree": ["learner", "guide"]},
            {"view": [SEVEN], "reply": [SEVEN], "remark": [NINE]},
            1,
        ),
    ],
)
def test_a_loop_runs_as_often_as_declared_or_until_two_speakers_agree(
    loop: dict[str, Any], texts: dict[str, list[str]], rounds: int
) -> None:
    turns = played([POSE, loop, END], texts, repetitions=3)
    assert [turn.say.say for turn in turns].count("view") == rounds


@pytest.mark.parametrize(
    ("when", "said", "holds"),
    [
        ({"right": "try"}, SEVEN, True),
        ({"right": "try"}, NINE, False),
        ({"right": "try"}, "I do not know.", False),
        ({"wrong": "try"}, NINE, True),
        ({"wrong": "try"}, "I do not know.", False),
        ({"domain": "math"}, "", True),
        ({"domain": "code"}, "", False),
        ({"open_task": False}, "", True),
        ({"open_task": True}, "", False),
        ({"opening": False}, "", True),
        ({"opening": True}, "", False),
        ({"spoke_before": True}, "", False),  # the guide has posed the question, but no model has written it
        ({"chosen": {"view": "misreading", "mood": "calm"}}, "", True),
        ({"chosen": {"view": "plain", "mood": "calm"}}, "", False),
        ({"right": "try", "domain": "math"}, SEVEN, True),
        ({"right": "try", "domain": "code"}, SEVEN, False),
    ],
)
def test_a_variant_of_a_prompt_is_used_where_all_its_facts_hold(when: dict[str, Any], said: str, holds: bool) -> None:
    review = say("review", "guide", variants=[{"when": when, "prompt": "other"}])
    turns = played([POSE, say("try", "learner", answers="question"), review, END], {"try": [said]})
    assert turns[1].prompt == ("other" if holds else "review")


def test_a_step_sees_the_latest_text_of_another_and_all_of_its_own_turns() -> None:
    loop = {"repeat": 2, "steps": [say("view", "learner"), say("reply", "guide", sees=["view", "own_turns"])]}
    turns = played([POSE, loop, {**END, "sees": ["view", "dialogue"]}], {"view": ["a", "b"], "reply": ["c", "d"]})
    replies = [turn.sees for turn in turns if turn.say.say == "reply"]
    assert [(seen["view"], seen["own_turns"]) for seen in replies] == [("a", ""), ("b", "c")]
    assert turns[-1].sees["view"] == "b"
    assert turns[-1].sees["dialogue"] == "Learner: a\n\nGuide: c\n\nLearner: b\n\nGuide: d"


def test_a_choice_is_drawn_by_the_dialogue_and_holds_for_all_of_it() -> None:
    declaration = SCENARIOS["debate"].declaration
    prompts = {}
    for number in range(30):
        task = make_task("debate", dialogue_id=str(number), repetitions=2)
        prompts[number] = [
            step.prompt
            for steps in (play(SCENARIOS["debate"], task), play(SCENARIOS["debate"], task))
            for step in model_turns(steps)
            if step.say.say == "reply"
        ]
        assert prompts[number] == prompts[number][:2] * 2
    views = [one[0].removeprefix("debater_reply").strip("_") or "plain" for one in prompts.values()]
    assert set(views) == set(declaration.choices["view"])
    assert {one[1] for one in prompts.values()} == {"debater_reply_again"}
