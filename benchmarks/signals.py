"""How many dialogues per second the signals take, on made-up dialogues of about 250 words.

    python -m benchmarks.signals                 200 dialogues
    python -m benchmarks.signals --dialogues 2000

Prints dialogues per second for all signals together and milliseconds per dialogue for the costly ones, then for the
search for near-duplicates. One process, one thread.
"""

import argparse
import random
import time
from collections.abc import Callable

from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.questions import Question
from assets.dialogues.refusals import is_refusal
from assets.framework.language_detection import is_in_language
from assets.framework.near_duplicates import group_near_duplicates
from assets.quality.code_blocks import code_parses
from assets.quality.copying import copied_share
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.reference_leaks import betrays_reference
from assets.quality.secrets_scan import count_secrets
from assets.quality.signals import final_answer, read_signals, reference_overlap, repetition
from assets.quality.teacher_claims import false_claim, gave_away_result
from benchmarks.results_table import Measured, quick_options, show

DEBATE = load_scenarios()["debate"]
WORDS = [
    "we",
    "then",
    "take",
    "the",
    "number",
    "of",
    "apples",
    "away",
    "from",
    "all",
    "those",
    "on",
    "her",
    "table",
    "and",
    "count",
]
CODE = "```python\ndef count(apples, eaten):\n    return apples - eaten\n```"


def synthetic_dialogue(number: int) -> DialogueInput:
    """A debate about a sum, of random words."""
    draw = random.Random(number)

    def speech() -> str:
        sentences = (" ".join(draw.choices(WORDS, k=12)).capitalize() + "." for _ in range(5))
        return f"{' '.join(sentences)}\n{CODE if draw.random() < 0.2 else ''}\nThe answer is {draw.randint(1, 99)}."

    question = Question("seed", f"Ann has {number} apples and eats 3.", f"{number} - 3 = 7. #### 7", "7", "math")
    turns = (
        Turn("teacher", None, "human", question.text),
        Turn("student A", "debater_a", "gpt", speech(), "stop"),
        Turn("student B", "debater_b", "human", speech(), "stop"),
        Turn("student C", "debate_closer", "gpt", speech(), "stop"),
    )
    return DialogueInput(str(number), DEBATE, "math", True, turns, (question,), "wrong", 1)


SIGNALS: dict[str, Callable[[DialogueInput], object]] = {
    "language": lambda one: [is_in_language(turn.text) for turn in one.spoken],
    "secrets": lambda one: count_secrets("\n".join(turn.text for turn in one.turns)),
    "final answer": final_answer,
    "overlap": reference_overlap,
    "repetition": repetition,
    "refusal": lambda one: [is_refusal(turn.text) for turn in one.spoken],
    "betrayal": betrays_reference,
    "copying": copied_share,
    "teacher": lambda one: (false_claim(one), gave_away_result(one)),
    "code": lambda one: code_parses(one.answers),
}


def main(count: int, quick: bool, as_json: bool) -> None:
    dialogues = [synthetic_dialogue(number) for number in range(count)]
    for one in dialogues[:5]:
        read_signals(one)  # the language models are loaded with the first
    started = time.perf_counter()
    for one in dialogues:
        read_signals(one)
    seconds = time.perf_counter() - started
    if quick:
        show([Measured("All quality signals", f"{count / seconds:,.0f} dialogues/s")], as_json)
        return
    print(f"all signals: {count / seconds:,.0f} dialogues/s, {1000 * seconds / count:.2f} ms each")
    for name, signal in SIGNALS.items():
        started = time.perf_counter()
        for one in dialogues:
            signal(one)
        print(f"  {name:14} {1000 * (time.perf_counter() - started) / count:6.2f} ms")
    started = time.perf_counter()
    texts = ((one.dialogue_id, "\n".join(turn.text for turn in one.turns)) for one in dialogues)
    group_near_duplicates([], texts, 0.85)
    print(f"near-duplicates: {1000 * (time.perf_counter() - started) / count:.2f} ms a dialogue")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=200)
    quick_options(parser)
    options = parser.parse_args()
    main(options.dialogues, options.quick, options.json)
