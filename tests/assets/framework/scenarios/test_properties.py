"""What holds for every valid declaration, whoever writes it; the declarations are generated."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from assets.dialogues.questions import Question
from assets.dialogues.steps import FixedTurn, ModelTurn, play
from assets.dialogues.task import DialogueTask
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import Repeat, Say, ScenarioDeclaration, Turn
from assets.framework.scenarios.faults import declaration_faults
from assets.framework.scenarios.scenario import Scenario, role_of

SPEAKERS = {"human": ("guide", "peer"), "gpt": ("learner", "student A")}
ROLES = ("beginner", "coach", "expert")
ANSWERS = ("The answer is 7.", "The answer is 9.", "I do not know.")


@dataclass
class Draft:
    """A declaration while it is drawn."""

    draw: Any
    says: list[dict[str, Any]] = field(default_factory=list)

    def turn(self, side: str) -> dict[str, Any]:
        """A turn of some speaker of a side."""
        draw = self.draw
        speaker = draw(st.sampled_from(SPEAKERS[side]))
        if draw(st.integers(0, 4)) == 0:
            return {"pose": draw(st.sampled_from(["question", "similar_question"])), "speaker": speaker}
        return self.say(speaker)

    def say(self, speaker: str, **keys: Any) -> dict[str, Any]:
        """A turn that a model writes. A weak role sees questions alone."""
        draw = self.draw
        role = draw(st.sampled_from(ROLES))
        given = ["question", "similar_question"]
        if role != "beginner":
            given += ["reference", "similar_reference", "dialogue", "own_turns", *(one["say"] for one in self.says)]
        answering = [one["say"] for one in self.says if "answers" in one]
        step = {
            "say": f"step_{'abcdefghijklmnopqrstuvwxyz'[len(self.says)]}",
            "speaker": speaker,
            "role": role,
            "prompt": "one",
            "sees": draw(st.lists(st.sampled_from(given), min_size=1, max_size=4, unique=True)),
            **keys,
        }
        if "answers" not in step and draw(st.booleans()):
            step["answers"] = draw(st.sampled_from(["question", "similar_question"]))
        conditions = [{"opening": True}, {"spoke_before": True}, {"domain": "code"}, {"open_task": False}]
        conditions += [{fact: name} for name in answering for fact in ("right", "wrong")]
        step["variants"] = [
            {"when": when, "prompt": "other"} for when in draw(st.lists(st.sampled_from(conditions), max_size=2))
        ]
        self.says.append(step)
        return step

    def loop(self, first: str, second: str) -> dict[str, Any]:
        """A loop of one or two pairs of turns, which may end when two speakers agree."""
        draw = self.draw
        repeat = draw(st.sampled_from(["rounds", 1, 2, 3]))
        steps = [self.turn(side) for _ in range(draw(st.integers(0, 1))) for side in (first, second)]
        if not draw(st.booleans()):
            return {"repeat": repeat, "steps": [*steps, self.turn(first), self.turn(second)]}
        two = [draw(st.sampled_from(SPEAKERS[side])) for side in (first, second)]
        steps += [self.say(speaker, answers="question") for speaker in two]
        return {"repeat": repeat, "until_agree": two, "steps": steps}


@st.composite
def scenarios(draw: Any) -> Scenario:
    """A valid scenario: blocks of turns and loops, human first, a judged answer last."""
    repetitions = draw(st.dictionaries(st.integers(1, 4), st.just(1), min_size=1, max_size=2))
    draft = Draft(draw)
    steps: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["pair", "loop", "human, loop, gpt"])):
            case "pair":
                steps += [draft.turn("human"), draft.turn("gpt")]
            case "loop":
                steps.append(draft.loop("human", "gpt"))
            case _:
                steps += [draft.turn("human"), draft.loop("gpt", "human"), draft.turn("gpt")]
    steps.append(draft.turn("human"))
    steps.append(draft.say("learner", answers="question", judged=True))
    turns = [turn for step in steps for turn in step.get("steps", [step])]
    repeats = {step.get("repeat") for step in steps}
    content = {
        "description": "Generated.",
        "speakers": {
            name: {"side": side, "trains": draw(st.booleans())}
            for side, names in SPEAKERS.items()
            for name in names
            if name in {turn["speaker"] for turn in turns}
        },
        "roles": {role: {"weak": role == "beginner"} for role in {turn["role"] for turn in turns if "role" in turn}},
        "draws": {"rounds": repetitions} if "rounds" in repeats else {},
        "steps": steps,
    }
    declaration = ScenarioDeclaration.model_validate(content)
    assert declaration_faults(declaration) == []
    return Scenario("generated", declaration, PromptBook([Path()], {}))


@dataclass
class Played:
    """A dialogue that came to its end."""

    scenario: Scenario
    steps: list[FixedTurn | ModelTurn]

    @property
    def said(self) -> list[tuple[str, str | None]]:
        """Speaker and role of each turn."""
        return [
            (one.say.speaker, one.say.role) if isinstance(one, ModelTurn) else (one.speaker, None) for one in self.steps
        ]


def drawn_numbers(scenario: Scenario) -> list[int | None]:
    return list(scenario.repetitions[1]) if scenario.repetitions else [None]


def played(scenario: Scenario, repetitions: int | None, answers: list[str]) -> Played:
    """Play it; the utterances are `answers`, from the beginning again at their end."""
    first, second = (Question(name, f"What is {name}?", "7", "7", "math") for name in ("one", "two"))
    task = DialogueTask("d", scenario.name, "x-0000", "x", "math", "train", first, second, repetitions)
    generator, steps = play(scenario, task), []
    try:
        step = next(generator)
        while True:
            steps.append(step)
            step = generator.send(answers[len(steps) % len(answers)])
    except StopIteration:
        return Played(scenario, steps)


ends_early = st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=6)


def loops_that_end_early(scenario: Scenario) -> bool:
    return any(isinstance(step, Repeat) and step.until_agree for step in scenario.declaration.steps)


@settings(max_examples=150)
@given(scenario=scenarios(), answers=ends_early, data=st.data())
def test_a_dialogue_alternates_ends_and_costs_the_calls_of_the_estimate(
    scenario: Scenario, answers: list[str], data: st.DataObject
) -> None:
    repetitions = data.draw(st.sampled_from(drawn_numbers(scenario)))
    dialogue = played(scenario, repetitions, answers)
    sides = [scenario.side(speaker) for speaker, _ in dialogue.said]
    assert sides == ["human", "gpt"] * (len(sides) // 2)
    calls = Counter(role for _, role in dialogue.said if role)
    if loops_that_end_early(scenario):
        event(f"ended early: {calls != scenario.calls(repetitions)}")
        assert calls <= scenario.calls(repetitions)
    else:
        assert calls == scenario.calls(repetitions)


@settings(max_examples=150)
@given(scenario=scenarios(), answers=ends_early, data=st.data())
def test_what_was_played_is_recognised_and_complete_only_at_its_end(
    scenario: Scenario, answers: list[str], data: st.DataObject
) -> None:
    repetitions = data.draw(st.sampled_from(drawn_numbers(scenario)))
    said = played(scenario, repetitions, answers).said
    assert scenario.is_complete(said, repetitions)
    length = data.draw(st.integers(0, len(said)))
    found = scenario.match(said[:length], repetitions)
    assert found is not None
    assert [(turn.speaker, role_of(turn)) for turn in found] == said[:length]
    if not loops_that_end_early(scenario):
        assert scenario.is_complete(said[:length], repetitions) == (length == len(said))
    assert scenario.match([*said, said[0]], repetitions) is None or loops_that_end_early(scenario)
    assert scenario.match([*said[:length], ("nobody", None)], repetitions) is None


def steps_played(dialogue: Played) -> list[str | None]:
    return [one.say.say if isinstance(one, ModelTurn) else None for one in dialogue.steps]


def name_of(turn: Turn) -> str | None:
    return turn.say if isinstance(turn, Say) else None


@settings(max_examples=100)
@given(scenario=scenarios(), answers=ends_early)
def test_each_turn_is_the_step_that_it_was_played_as_where_no_loop_ends_early(
    scenario: Scenario, answers: list[str]
) -> None:
    for repetitions in drawn_numbers(scenario):
        dialogue = played(scenario, repetitions, answers)
        found = scenario.match(dialogue.said, repetitions)
        assert found is not None
        if loops_that_end_early(scenario):
            # The judged step comes once, last, so it is the same one however the loops ended.
            assert name_of(found[-1]) == steps_played(dialogue)[-1]
        else:
            assert [name_of(turn) for turn in found] == steps_played(dialogue)


@settings(max_examples=100)
@given(scenario=scenarios(), answers=ends_early)
def test_a_model_sees_exactly_what_its_step_names(scenario: Scenario, answers: list[str]) -> None:
    for step in played(scenario, drawn_numbers(scenario)[0], answers).steps:
        if isinstance(step, ModelTurn):
            assert set(step.sees) == {"speaker", "language", *step.say.visible}
            assert step.prompt in step.say.prompts
