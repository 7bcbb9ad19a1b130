"""Labelled dialogues, played through the real turn loop and scored by the real rules with a scripted judge."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assets.answers.read import read_final
from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.questions import Question
from assets.dialogues.task import DialogueTask, dialogue_id
from assets.dialogues.turn_loop import Dialogue, TurnLoop
from assets.framework.scenarios.scenario import Scenario
from assets.quality.configuration import load_quality_rules
from assets.quality.inputs import DialogueInput, dialogue_input
from assets.quality.judge import NOT_ASKED, Judgement, judge
from assets.quality.prompts import load_prompts
from assets.quality.rubric import RESULT, Finding, rubric_of
from assets.quality.rules import REASONS, decide
from assets.quality.score_dialogues import Screened, screen_dialogues
from resources.chat.calls import Call, Completion
from resources.chat.profile import load_profile

Case = Mapping[str, Any]
SCENARIOS = load_scenarios()
SHORT_NAMES = {scenario.short_name: name for name, scenario in SCENARIOS.items() if scenario.short_name}
PROFILE = load_profile("hosted")  # its judge decides
RULES, PROMPTS = load_quality_rules("standard"), load_prompts("standard")
# The finding that a truthful judge answers badly, by the kind of a labelled fault.
FAULTY_FINDINGS = {
    "result_told": "gave_result",
    "partial_result_told": "gave_result",
    "calculation_told": "gave_calculation",
    "false_praise": "verdict_true",
    "false_blame": "verdict_true",
    "reference_betrayed": "reference_betrayed",
    "wrong_result": RESULT,
    "code_bug": RESULT,
    "wrong_step": "steps_sound",
    "contradiction": "steps_sound",
    "speaks_for_others": "spoke_for_others",
    "copied": "own_view",
    "wrong_reference": "reference_doubtful",
}


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
    given: str = case["scenario"]
    name = SHORT_NAMES.get(given, given)
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


@dataclass
class ScriptedJudge:
    """Implements `Chat`: answers the rubric; the findings of `faulty` badly, all others well."""

    dialogue: DialogueInput
    faulty: frozenset[str]
    target_concurrency: int = 1

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """The verdict as JSON."""
        rubric = rubric_of(self.dialogue.scenario, self.dialogue.questions)
        last = next((key for key in reversed(rubric) if rubric[key].name == RESULT), RESULT)
        verdict = {
            key: {"reason": "As labelled.", "value": _value(finding, bad=self._is_bad(key, finding, last))}
            for key, finding in rubric.items()
        }
        return Completion(json.dumps(verdict), None, "stop", 1, 1, replayed=False)

    def _is_bad(self, key: str, finding: Finding, last: str) -> bool:
        return finding.name in self.faulty and (finding.name != RESULT or key == last)


def _value(finding: Finding, *, bad: bool) -> str:
    return next(value for value in finding.values if (value in finding.good) != bad)


def faulty_findings(case: Case) -> frozenset[str]:
    """What a truthful judge finds wrong with a case: its labelled faults, or that a step is unsound."""
    if is_good(case):
        return frozenset()
    kinds = [fault["kind"] for fault in case.get("faults") or []]
    return frozenset(FAULTY_FINDINGS.get(kind, "steps_sound") for kind in kinds) or frozenset({"steps_sound"})


def is_good(case: Case) -> bool:
    """Whether a case should be accepted."""
    return bool(case.get("good", case.get("expected") == "accept"))


def decide_case(case: Case, *, truthful: bool) -> tuple[bool, str]:
    """Whether rules and judge accept a case, and the reasons where they do not."""
    dialogue = as_input(play_case(case))
    (screened,) = screen_dialogues([dialogue], RULES)
    judgement = NOT_ASKED
    if not screened.failed:
        judgement = asyncio.run(_judged(screened, faulty_findings(case) if truthful else frozenset()))
    decided = decide(screened.signals, screened.failed, judgement, RULES)
    return decided.accepted, ", ".join(decided.reasons)


async def _judged(screened: Screened, faulty: frozenset[str]) -> Judgement:
    dialogue = screened.dialogue
    flags = [REASONS[code] for code in screened.flags]
    chat = ScriptedJudge(dialogue, faulty)
    return await judge(chat, PROMPTS, dialogue, regenerations=0, scope="cases", flags=flags)


def judge_cases(cases: Iterable[Case], judge_name: str) -> Iterator[tuple[str | None, str]]:
    """The outcome of each case with a judge that is `truthful`, or finds everything fine (`all_fine`)."""
    for case in cases:
        accepted, reasons = decide_case(case, truthful=judge_name == "truthful")
        if accepted == is_good(case):
            yield None, ""
        else:
            name = case.get("name") or f"{case['scenario']} about {case['question'][:60]!r}"
            yield ("acceptance" if accepted else "rejection"), f"{name}: {reasons or 'accepted'}"
