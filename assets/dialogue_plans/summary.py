"""Summaries of dialogue plans for the UI."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.schema import SCENARIO_NAMES, SPLIT_NAMES
from assets.framework.partitions import Scenario
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake


@dataclass(frozen=True)
class PartnerReuse:
    """How many partners several analogies share: their questions are in several dialogues."""

    partners: int
    of_several: int  # partners of several seeds
    with_partner: int  # partners that are analogies too


def partner_reuse(plans: pl.DataFrame) -> PartnerReuse:
    """Count distinct partners, those of several seeds, and those that have a partner themselves."""
    analogies = plans.filter(pl.col("scenario") == Scenario.ANALOGY)
    served = analogies.group_by("partner_seed_id").len()
    return PartnerReuse(
        partners=served.height,
        of_several=served.filter(pl.col("len") > 1).height,
        with_partner=served.join(analogies, left_on="partner_seed_id", right_on="seed_id", how="semi").height,
    )


def scenario_by_split(plans: pl.DataFrame) -> list[dict[str, object]]:
    """One row per scenario with the number of its plans in each split."""
    counts = {(scenario, split): n for scenario, split, n in plans.group_by("scenario", "split").len().iter_rows()}
    return [
        {"scenario": scenario, **{split: counts.get((scenario, split), 0) for split in SPLIT_NAMES}}
        for scenario in SCENARIO_NAMES
    ]


def first_plan(plans: pl.DataFrame) -> pl.DataFrame:
    """The plan to show: the first analogy if there is one."""
    return plans.sort(pl.col("scenario") != Scenario.ANALOGY, maintain_order=True).head(1)


def describe_plans(lake: Lake, source: str, shards: Sequence[str], plans: pl.DataFrame) -> dict[str, str]:
    """Shard to a description of its plan with its question, and for an analogy its partner's question.

    The questions are read in one pass over all `shards` of the source.
    """
    wanted = {*plans["seed_id"], *plans["partner_seed_id"].drop_nulls()}
    questions: dict[str, str] = {}
    for shard in shards:
        seeds = lake.read(SEEDS, [{"source": source, "shard": shard}], ["seed_id", "question"])
        found = seeds.filter(pl.col("seed_id").is_in(wanted))
        questions |= dict(zip(found["seed_id"], found["question"], strict=True))
    return {plan["shard"]: _description(plan, questions) for plan in plans.iter_rows(named=True)}


def _description(plan: dict[str, Any], questions: dict[str, str]) -> str:
    lines = [f"{plan['split']}, {plan['scenario'].replace('_', ' ')}", questions.get(plan["seed_id"], "")]
    if plan["partner_seed_id"]:
        similar = f"and then, at a similarity of {plan['partner_similarity']:.2f}:"
        lines += [similar, questions.get(plan["partner_seed_id"], "")]
    return "\n\n".join(lines)
