"""Rows of the tables, with everything that a test does not care about filled in."""

from collections.abc import Sequence
from typing import Any

from assets.framework.partitions import source_of
from assets.framework.scenarios.scenario import role_of
from tests.shipped_scenarios import SCENARIOS


def seed_row(seed_id: str, shard: str, question: str, answer: str, **columns: Any) -> dict[str, Any]:
    """A row of `raw_seeds`."""
    return {
        "seed_id": seed_id,
        "source": source_of(shard),
        "shard": shard,
        "reading": 1,
        "domain": "math",
        "question": question,
        "answer": answer,
        "representative": seed_id,
        "licence": "MIT",
        "origin_file": "sums.jsonl",
        "origin_row": 0,
        **columns,
    }


def plan_row(seed_id: str, shard: str, scenario: str, **columns: Any) -> dict[str, Any]:
    """A row of `dialogue_plans`: loops run once."""
    return {
        "seed_id": seed_id,
        "source": source_of(shard),
        "shard": shard,
        "domain": "math",
        "representative": seed_id,
        "split": "train",
        "scenario": scenario,
        "drawn_scenario": scenario,
        "repetitions": 1 if SCENARIOS[scenario].repetitions else None,
        **columns,
    }


def dialogue_row(dialogue_id: str, seed_id: str, shard: str, scenario: str, **columns: Any) -> dict[str, Any]:
    """A row of `scenario_dialogues`: complete, without turns."""
    return {
        "dialogue_id": dialogue_id,
        "scenario": scenario,
        "shard": shard,
        "source": source_of(shard),
        "domain": "math",
        "split": "train",
        "seed_id": seed_id,
        "generation": 0,
        "status": "complete",
        "turns": [],
        "discarded": [],
        "first_answer": "unknown",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        **columns,
    }


def turn_rows(scenario: str, texts: Sequence[str], **columns: Any) -> list[dict[str, Any]]:
    """The `turns` of a dialogue whose loops run once; as many as there are texts."""
    declared = SCENARIOS[scenario]
    return [
        {
            "speaker": turn.speaker,
            "role": role_of(turn),
            "side": declared.side(turn.speaker),
            "text": text,
            "trains": declared.trains(turn.speaker),
            "finish_reason": "stop" if role_of(turn) else None,
            **columns,
        }
        for turn, text in zip(declared.turns(1), texts, strict=False)
    ]
