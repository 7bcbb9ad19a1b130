"""Each check on plans that pass it and on plans that fail it."""

from collections.abc import Callable

import polars as pl
import pytest
from dagster import AssetCheckSeverity, AssetKey, AssetSelection, DagsterInstance, materialize

from assets.dialogue_plans.assets import dialogue_plans
from assets.dialogue_plans.checks import CHECKS, PLANS, QUERIES, uneven
from assets.dialogue_plans.configuration import PlanRules, ScenarioShares, SplitShares
from assets.dialogue_plans.planning import pin_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake

Hold = Callable[..., list[str]]

RULES = PlanRules(
    scenarios=ScenarioShares(error_correction=1, debate=1, analogy=1),
    splits=SplitShares(train=1, validation=1, test=0),
)
KEYS = {"shard": "sums-0000"}


@pytest.fixture
def planned(lake: Lake, hold: Hold) -> pl.DataFrame:
    """Plans of a shard of 60 seeds, the second a duplicate of the first."""
    hold("sums-0000", 60, representatives={1: 0})
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    return lake.read(DIALOGUE_PLANS, [KEYS])


def spoil(lake: Lake, plans: pl.DataFrame) -> None:
    lake.write(DIALOGUE_PLANS, KEYS, plans, fingerprint="spoilt")


def faults(lake: Lake, name: str) -> list[tuple[object, ...]]:
    """The rows that a check's query returns over all plans of the lake."""
    (check,) = [check for check in PLANS if check.name == name]
    with lake.connect([DIALOGUE_PLANS, SEEDS], only={"this_run": lake.records(DIALOGUE_PLANS)}) as connection:
        return connection.execute((QUERIES / check.sql).read_text()).fetchall()


@pytest.mark.parametrize("name", [check.name for check in PLANS])
def test_plans_as_they_are_made_pass(lake: Lake, planned: pl.DataFrame, name: str) -> None:
    assert faults(lake, name) == []


@pytest.mark.parametrize("name", [check.name for check in PLANS])
def test_nothing_planned_passes(lake: Lake, name: str) -> None:
    assert faults(lake, name) == []


def test_a_seed_without_a_plan_is_found(lake: Lake, planned: pl.DataFrame) -> None:
    spoil(lake, planned[1:])
    assert faults(lake, "one_plan_a_seed")


def test_a_plan_without_a_seed_is_found(lake: Lake, planned: pl.DataFrame) -> None:
    stranger = planned[:1].with_columns(seed_id=pl.lit("0" * 32))
    spoil(lake, pl.concat([planned, stranger]))
    assert faults(lake, "one_plan_a_seed")


def test_duplicates_in_two_splits_are_found(lake: Lake, planned: pl.DataFrame) -> None:
    first = pl.col("seed_id") == planned["seed_id"][0]
    other = "validation" if planned["split"][0] == "train" else "train"
    spoil(lake, planned.with_columns(split=pl.when(first).then(pl.lit(other)).otherwise("split")))
    assert faults(lake, "duplicates_in_one_split")


@pytest.mark.parametrize(
    ("who", "partner"),
    [("analogy", None), ("analogy", "itself"), ("analogy", "nobody"), ("analogy", "split"), ("debate", "another")],
)
def test_a_partner_that_does_not_fit_is_found(lake: Lake, planned: pl.DataFrame, who: str, partner: str | None) -> None:
    asker = planned.filter(pl.col("scenario") == who).row(0, named=True)
    elsewhere = planned.filter(pl.col("split") != asker["split"])["seed_id"][0]
    name = {"itself": asker["seed_id"], "nobody": "0" * 32, "split": elsewhere, "another": elsewhere}.get(partner or "")
    here = pl.col("seed_id") == asker["seed_id"]
    spoil(lake, planned.with_columns(partner_seed_id=pl.when(here).then(pl.lit(name)).otherwise("partner_seed_id")))
    assert faults(lake, "partner_fits")


def test_a_partner_of_another_source_is_found(lake: Lake, hold: Hold, planned: pl.DataFrame) -> None:
    stranger = hold("words-0000", 1)[0]
    analogies = pl.col("scenario") == "analogy"
    spoil(
        lake,
        planned.with_columns(partner_seed_id=pl.when(analogies).then(pl.lit(stranger)).otherwise("partner_seed_id")),
    )
    assert faults(lake, "partner_fits")


@pytest.mark.parametrize(("scenario", "rounds"), [("debate", None), ("error_correction", 1)])
def test_rounds_without_a_debate_and_a_debate_without_rounds_are_found(
    lake: Lake, planned: pl.DataFrame, scenario: str, rounds: int | None
) -> None:
    there = pl.col("scenario") == scenario
    spoil(
        lake,
        planned.with_columns(debate_rounds=pl.when(there).then(pl.lit(rounds, pl.Int8)).otherwise("debate_rounds")),
    )
    assert faults(lake, "debates_have_rounds")


def test_a_mix_as_the_rules_say_is_even(lake: Lake, planned: pl.DataFrame) -> None:
    assert uneven(lake, "scenario", RULES.scenarios.expected) == []
    assert uneven(lake, "split", RULES.splits.expected) == []


def test_a_scenario_without_plans_is_uneven(lake: Lake, planned: pl.DataFrame) -> None:
    spoil(lake, planned.filter(pl.col("scenario") != "analogy"))
    assert "analogy" in [row["scenario"] for row in uneven(lake, "scenario", RULES.scenarios.expected)]


def test_chance_explains_more_on_few_plans(lake: Lake, hold: Hold) -> None:
    shares = {"error_correction": 0.25, "debate": 0.5, "analogy": 0.25}
    hold("few-0000", 30)
    pin_shards(lake, "few", ["few-0000"], RULES)
    assert uneven(lake, "scenario", shares) == []
    hold("many-0000", 900)
    pin_shards(lake, "many", ["many-0000"], RULES)
    assert uneven(lake, "scenario", shares) != []


@pytest.mark.parametrize(("seeds", "severity"), [(30, AssetCheckSeverity.WARN), (400, AssetCheckSeverity.ERROR)])
def test_a_lopsided_mix_of_scenarios_is_a_remark_on_few_plans_and_a_failure_on_many(
    lake: Lake, hold: Hold, seeds: int, severity: AssetCheckSeverity
) -> None:
    hold("sums-0000", seeds)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    only_debate = RULES.model_copy(update={"scenarios": ScenarioShares(error_correction=0, debate=1, analogy=0)})
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [dialogue_plans, *CHECKS],
            selection=AssetSelection.checks_for_assets(AssetKey("dialogue_plans")),
            instance=instance,
            resources={
                "lake": lake,
                "plan_rules": only_debate,
                "seeds_configuration": load_seeds_configuration("demo"),
            },
        )
    found = {check.check_name: (check.passed, check.severity) for check in result.get_asset_check_evaluations()}
    assert found["scenario_balance"] == (False, severity)
