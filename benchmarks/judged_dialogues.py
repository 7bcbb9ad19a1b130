"""Labelled dialogues, played through the real turn loop and scored by the real rules with a scripted judge."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.answers.read import read_final
from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.questions import Question
from assets.dialogues.task import DialogueTask, dialogue_id
from assets.dialogues.turn_loop import Dialogue, TurnLoop
from assets.framework.scenarios.scenario import Scenario
from assets.quality.inputs import DialogueInput, dialogue_input
from resources.chat.calls import Call, Completion
from resources.chat.profile import load_profile

Case = Mapping[str, Any]
SCENARIOS = load_scenarios()
SHORT_NAMES = {scenario.short_name: name for name, scenario in SCENARIOS.items()}
PROFILE = load_profile("hosted")  # its judge decides


@dataclass
class ScriptedSpeakers:
    """Implements `Chat`: each turn's text comes from the case, also where it is asked for again."""

    texts: list[str]  # of the turns that a model writes, in order
    target_concurrency: int = 1
    asked: tuple[str, int] = ("", -1)  # the turn that was asked for last, and its text's index

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """The text of the turn."""
        if call.turn != self.asked[0]:
            self.asked = (call.turn, self.asked[1] + 1)
        text = self.texts[min(self.asked[1], len(self.texts) - 1)]
        return Completion(text, None, "stop", 1, 1, replayed=False)


def task_of(case: Case) -> DialogueTask:
    """The dialogue that a case is about."""
    name = SHORT_NAMES.get(case["scenario"], case["scenario"])
    scenario = SCENARIOS[name]
    first = _question("first", case["question"], case["reference"], case)
    second = None
    if scenario.needs_partner:
        question, reference = _similar(case)
        second = _question("second", question, reference, {"domain": case["domain"]})
    return DialogueTask(
        dialogue_id=dialogue_id(name, first.seed_id, second.seed_id if second else None),
        scenario=name,
        shard="cases-0000",
        source="cases",
        domain=case["domain"],
        split="train",
        question=first,
        similar=second,
        repetitions=_repetitions(scenario, case),
    )


def _question(name: str, text: str, reference: str, case: Case) -> Question:
    final = case["reference_final"] if "reference_final" in case else read_final(reference, case["domain"])
    return Question(name, text, reference, final, case["domain"])


def _similar(case: Case) -> tuple[str, str]:
    """The similar question and its reference; a case of lines has the question in its third turn alone."""
    if "similar_question" in case:
        return case["similar_question"], case["similar_reference"]
    return case["turns"][2].partition("\n\n")[2], case["lines"][-1]


def _repetitions(scenario: Scenario, case: Case) -> int | None:
    if scenario.repetitions is None:
        return None
    texts = texts_of(case)
    return next(number for number in range(1, 21) if sum(scenario.calls(number).values()) >= len(texts))


def texts_of(case: Case) -> list[str]:
    """What the models say, in order, without the question in front of an explanation."""
    if "lines" in case:
        return list(case["lines"])
    return [
        turn["text"].removeprefix(case["question"]).lstrip("\n") if index == 0 else turn["text"]
        for index, turn in enumerate(case["turns"])
        if turn["role"]
    ]


def play_case(case: Case) -> Dialogue:
    """Play a case through the turn loop."""
    loop = TurnLoop(ScriptedSpeakers(texts_of(case)), SCENARIOS, PROFILE, regenerations=2)
    return asyncio.run(loop.run(task_of(case), "cases"))


def as_input(dialogue: Dialogue) -> DialogueInput:
    """A played dialogue as the quality stage reads it."""
    task = dialogue.task
    questions = {question.seed_id: question for question in (task.question, task.similar) if question}
    return dialogue_input(dialogue.row(), dialogue.scenario, questions, task.repetitions)
