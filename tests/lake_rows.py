"""Rows of the tables, with everything that a test does not care about filled in."""

from collections.abc import Sequence
from typing import Any

from assets.dialogues.sharegpt_roles import SIDES
from assets.framework.partitions import Scenario, source_of


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


def plan_row(seed_id: str, shard: str, scenario: Scenario, **columns: Any) -> dict[str, Any]:
    """A row of `dialogue_plans`: a debate has one round."""
    return {
        "seed_id": seed_id,
        "source": source_of(shard),
        "shard": shard,
        "domain": "math",
        "representative": seed_id,
        "split": "train",
        "scenario": scenario.value,
        "drawn_scenario": scenario.value,
        "debate_rounds": 1 if scenario is Scenario.DEBATE else None,
        **columns,
    }


def dialogue_row(dialogue_id: str, seed_id: str, shard: str, scenario: Scenario, **columns: Any) -> dict[str, Any]:
    """A row of `scenario_dialogues`: complete, without turns."""
    return {
        "dialogue_id": dialogue_id,
        "scenario": scenario.value,
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


def turn_rows(
    scenario: Scenario, speakers: Sequence[str], roles: Sequence[str | None], texts: Sequence[str], **columns: Any
) -> list[dict[str, Any]]:
    """The `turns` of a dialogue; as many as there are texts."""
    return [
        {
            "speaker": speaker,
            "role": role,
            "side": SIDES[scenario][speaker],
            "text": text,
            "trains": SIDES[scenario][speaker] == "gpt",
            "finish_reason": "stop" if role else None,
            **columns,
        }
        for speaker, role, text in zip(speakers, roles, texts, strict=False)
    ]
