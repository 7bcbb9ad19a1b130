"""Synthetic dialogues that compress like text: words of a vocabulary, the common ones often."""

import random
from itertools import accumulate
from typing import Any

from assets.dialogues.load_scenarios import load_scenarios
from resources.identity import stable_hash

SCENARIOS = load_scenarios()


_LETTERS = random.Random(0)
VOCABULARY = ["".join(_LETTERS.choices("etaoinshrdlu", k=_LETTERS.randint(2, 9))) for _ in range(20_000)]
# Zipf's law: the n-th word is as frequent as one n-th of the first.
_TOTALS = list(accumulate(1 / place for place in range(1, len(VOCABULARY) + 1)))


def speech(draw: random.Random, words: int) -> str:
    """That many words in sentences."""
    drawn = draw.choices(VOCABULARY, cum_weights=_TOTALS, k=words)
    return ". ".join(" ".join(drawn[start : start + 12]).capitalize() for start in range(0, words, 12)) + "."


def dialogue(number: int, words: int = 60) -> dict[str, Any]:
    """A row of `scenario_dialogues`: a debate of one round."""
    draw, debate = random.Random(number), SCENARIOS["debate"]
    turns = [
        {
            "speaker": turn.speaker,
            "role": None if place == 0 else "debater",
            "side": debate.side(turn.speaker),
            "text": speech(draw, words),
            "trains": debate.trains(turn.speaker),
            "model": "synthetic",
            "temperature": 0.6,
            "finish_reason": "stop",
            "prompt_version": "0123456789abcdef",
        }
        for place, turn in enumerate(debate.turns(1))
    ]
    return {
        "dialogue_id": stable_hash("synthetic", number),
        "scenario": "debate",
        "shard": "synthetic-0000",
        "source": "synthetic",
        "domain": "math",
        "split": "train",
        "seed_id": stable_hash("seed", number),
        "generation": 0,
        "status": "complete",
        "turns": turns,
        "discarded": [],
        "first_answer": "unknown",
        "prompt_tokens": 100,
        "completion_tokens": 20,
    }
