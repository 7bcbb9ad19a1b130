"""What plans come to, for the UI."""

from dataclasses import dataclass

import polars as pl

from assets.lesson_plans.schema import LESSON_PLANS, SCENARIO_NAMES, SPLIT_NAMES
from assets.partitions import Scenario
from assets.seeds.schema import SEEDS
from resources.lake import Lake


@dataclass(frozen=True)
class PartnerReuse:
    """How often analogies share partners: those questions are taught more than once."""

    partners: int
    serve_several: int
    ask_themselves: int


def partner_reuse(plans: pl.DataFrame) -> PartnerReuse:
    """Count distinct partners, those of several askers, and those that are askers themselves."""
    analogies = plans.filter(pl.col("scenario") == Scenario.ANALOGY)
    served = analogies.group_by("partner_seed_id").len()
    return PartnerReuse(
        partners=served.height,
        serve_several=served.filter(pl.col("len") > 1).height,
        ask_themselves=served.join(analogies, left_on="partner_seed_id", right_on="seed_id", how="semi").height,
    )


def scenario_by_split(plans: pl.DataFrame) -> list[dict[str, object]]:
    """One row a scenario with its plans in each split."""
    counts = {(scenario, split): n for scenario, split, n in plans.group_by("scenario", "split").len().iter_rows()}
    return [
        {"scenario": scenario, **{split: counts.get((scenario, split), 0) for split in SPLIT_NAMES}}
        for scenario in SCENARIO_NAMES
    ]


def sample_plan(lake: Lake, source: str, shards: list[str], plans: pl.DataFrame) -> str:
    """One plan in words with its question: an analogy with its partner's where there is one, else the first."""
    plan = plans.sort(pl.col("scenario") != Scenario.ANALOGY, maintain_order=True).row(0, named=True)
    wanted = [plan["seed_id"], plan["partner_seed_id"]]
    questions: dict[str, str] = {}
    for shard in shards:
        seeds = lake.read(SEEDS, [{"source": source, "shard": shard}], ["seed_id", "question"])
        questions |= dict(seeds.filter(pl.col("seed_id").is_in(wanted)).iter_rows())
    lines = [f"{plan['split']}, {plan['scenario'].replace('_', ' ')}", questions[plan["seed_id"]]]
    if plan["partner_seed_id"]:
        lines += [f"and then, at a similarity of {plan['partner_similarity']:.2f}:", questions[plan["partner_seed_id"]]]
    return "\n\n".join(lines)


def plans_of(lake: Lake, shards: list[str]) -> pl.DataFrame:
    """The written plans of the given shards."""
    return lake.read(LESSON_PLANS, [{"shard": shard} for shard in shards])
