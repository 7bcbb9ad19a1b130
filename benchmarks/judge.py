"""How well a profile's judge separates right answers from wrong ones, on the hand-made dialogues of judge_cases.yaml.

    python -m benchmarks.judge                       the embedded model
    python -m benchmarks.judge --profile my.yaml     another judge
    python -m benchmarks.judge --prompts my_prompts  another prompt

Prints, by domain and for right and wrong answers: accepted, rejected, not judged; and what the rules that need no
judge make of the same answers. A judge without judgement accepts as many wrong answers as right ones.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from assets.answers.read import read_final
from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.questions import Question
from assets.quality.configuration import load_quality_rules
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.judge import JUDGE_ROLE, judge
from assets.quality.prompts import load_prompts
from assets.quality.rules import failed_rules
from assets.quality.signals import read_signals
from resources.chat.profile import load_profile
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.opening import open_store

CASES = Path(__file__).parent / "judge_cases.yaml"
ADVICE = "Look at your steps again, and think about what the question asks."


def dialogue_of(case: dict[str, Any], which: str) -> DialogueInput:
    """An error correction that ends with the case's right or wrong answer."""
    final = read_final(case["reference"], case["domain"])
    return DialogueInput(
        dialogue_id=stable_hash(case["question"], which),
        scenario=load_scenarios()["error_correction"],
        domain=case["domain"],
        complete=True,
        turns=(
            Turn("teacher", None, "human", case["question"]),
            Turn("student", "weak_student", "gpt", case["first"], "stop"),
            Turn("teacher", "critic_teacher", "human", ADVICE, "stop"),
            Turn("student", "strong_student", "gpt", case[which], "stop"),
        ),
        questions=(Question("seed", case["question"], case["reference"], final, case["domain"]),),
        first_answer="unknown",
    )


async def measure(profile_name: str, prompts: str | None, show: bool) -> None:
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    cases_played = [(which, dialogue_of(case, which)) for case in cases for which in ("right", "wrong")]
    rules, profile = load_quality_rules("standard"), load_profile(profile_name)
    book = load_prompts(prompts or profile.prompts)
    with tempfile.TemporaryDirectory() as folder:
        async with ChatService(profile, open_store(folder)).engine([JUDGE_ROLE]) as engine:
            slots = asyncio.Semaphore(engine.target_concurrency)

            async def ask(dialogue: DialogueInput) -> str:
                async with slots:
                    found = await judge(engine, book, dialogue, regenerations=rules.judge.regenerations, scope="bench")
                if show:
                    print(found)
                if found.verdict is None:
                    return "not judged"
                return "accepted" if found.verdict.correct else "rejected"

            started = time.monotonic()
            verdicts = await asyncio.gather(*(ask(dialogue) for _, dialogue in cases_played))
            seconds = time.monotonic() - started
    counts: Counter[tuple[str, str, str]] = Counter()
    for (which, dialogue), verdict in zip(cases_played, verdicts, strict=True):
        failed = failed_rules(read_signals(dialogue), dialogue.domain, rules, complete=True)
        for domain in (dialogue.domain, "all"):
            counts[domain, which, verdict] += 1
            counts[domain, which, "rules pass"] += not failed
            counts[domain, which, "both pass"] += not failed and verdict == "accepted"
    columns = ("accepted", "rejected", "not judged", "rules pass", "both pass")
    print(
        f"{len(cases_played)} dialogues, {seconds:.0f} s\n{'answers':18}" + "".join(f"{name:>12}" for name in columns)
    )
    for domain in ("math", "code", "general", "all"):
        for which in ("right", "wrong"):
            print(f"{f'{domain}, {which}':18}" + "".join(f"{counts[domain, which, name]:12}" for name in columns))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--prompts", help="a shipped set or a folder; by default the profile's")
    parser.add_argument("--show", action="store_true", help="print every verdict")
    options = parser.parse_args()
    asyncio.run(measure(options.profile, options.prompts, options.show))
