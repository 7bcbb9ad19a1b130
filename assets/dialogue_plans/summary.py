"""What the UI shows of dialogue plans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.schema import DIALOGUE_PLANS, SPLIT_NAMES
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import ROW_COUNT, sample_markdown, stored_at, table_markdown
from assets.seeds.schema import SEEDS
from assets.seeds.shards import source_shards
from resources.lake.tables import Lake


@dataclass(frozen=True)
class PartnerReuse:
    """How many partners several plans share: their questions are in several dialogues."""

    partners: int
    of_several: int  # partners of several seeds


def partner_reuse(plans: pl.DataFrame) -> PartnerReuse:
    """Count distinct partners and those of several seeds."""
    paired = plans.filter(pl.col("partner_seed_id").is_not_null())
    served = paired.group_by("partner_seed_id").len()
    return PartnerReuse(partners=served.height, of_several=served.filter(pl.col("len") > 1).height)


def scenario_by_split(plans: pl.DataFrame, scenarios: Scenarios) -> list[dict[str, object]]:
    """One row per scenario with the number of its plans in each split."""
    counts = {(scenario, split): n for scenario, split, n in plans.group_by("scenario", "split").len().iter_rows()}
    return [
        {"scenario": scenario, **{split: counts.get((scenario, split), 0) for split in SPLIT_NAMES}}
        for scenario in scenarios
    ]


def first_plan(plans: pl.DataFrame) -> pl.DataFrame:
    """The plan to show: the first with a similar question if there is one."""
    return plans.sort(pl.col("partner_seed_id").is_null(), maintain_order=True).head(1)


def sample_parts(
    lake: Lake, source: str, written: Sequence[str], plans: pl.DataFrame
) -> dict[str, list[tuple[str, str]]]:
    """By shard, one plan for `sample_markdown`: split, scenario and question, and the similar question.

    Questions are looked up in one pass over the source's shards, `written`.
    """
    wanted = {*plans["seed_id"], *plans["partner_seed_id"].drop_nulls()}
    questions: dict[str, str] = {}
    for shard in written:
        seeds = lake.read(SEEDS, [{"source": source, "shard": shard}], ["seed_id", "question"])
        found = seeds.filter(pl.col("seed_id").is_in(wanted))
        questions |= dict(zip(found["seed_id"], found["question"], strict=True))
    return {plan["shard"]: _parts(plan, questions) for plan in plans.iter_rows(named=True)}


def _parts(plan: dict[str, Any], questions: dict[str, str]) -> list[tuple[str, str]]:
    parts = [(f"{plan['split']}, {plan['scenario'].replace('_', ' ')}", questions.get(plan["seed_id"], ""))]
    if plan["partner_seed_id"]:
        similar = f"similar question, cosine similarity {plan['partner_similarity']:.2f}"
        parts.append((similar, questions.get(plan["partner_seed_id"], "")))
    return parts


def plans_metadata(
    lake: Lake, source: str, keys: Sequence[str], new: Sequence[str], scenarios: Scenarios, rules: PlanRules
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metadata of each of a source's shards, from its written plans."""
    written = source_shards(lake, source)
    columns = ["seed_id", "scenario", "partner_seed_id"]
    reuse = partner_reuse(lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in written], columns))
    counts, first = {}, []
    for shard in keys:  # one at a time, to bound the memory
        plans = lake.read(DIALOGUE_PLANS, [{"shard": shard}])
        first.append(first_plan(plans))
        counts[shard] = {
            "plans by scenario and split": table_markdown(scenario_by_split(plans, scenarios)),
            "plans without a similar question": plans.filter(plans["scenario"] != plans["drawn_scenario"]).height,
            ROW_COUNT: plans.height,
        }
    samples = sample_parts(lake, source, written, pl.concat(first))
    for shard in keys:
        facts = lake.facts(DIALOGUE_PLANS, {"shard": shard})
        yield (
            shard,
            {
                "sample plan": sample_markdown(*samples[shard], limit=2000),
                **counts[shard],
                "partners in the source": reuse.partners,
                "partners of several seeds": reuse.of_several,
                "planned": "now" if shard in new else "earlier, unchanged",
                "rules": "current" if facts["rules"] == rules.identity else "earlier ones, different from the current",
                "embedder": facts["embedder"] or "not needed",
                "file": stored_at(lake.store, lake.path(DIALOGUE_PLANS, {"shard": shard})),
            },
        )
