"""The demo seeds under the standard rules have every scenario and split.

A changed demo seed is another seed with other draws: if this fails, choose another `random_seed` in
assets/dialogue_plans/configurations/standard.yaml.
"""

import polars as pl
import pytest

from assets.dialogue_plans.configuration import load_plan_rules
from assets.dialogue_plans.planning import draw_plans, order_seeds
from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.intake import take_in
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake
from tests.shipped_scenarios import SCENARIOS


@pytest.fixture
def drawn(lake: Lake) -> pl.DataFrame:
    """The plans of all demo seeds as drawn, before partners are drawn."""
    seeds_configuration, rules = load_seeds_configuration("demo"), load_plan_rules()
    nothing_pinned = pl.DataFrame(schema={"representative": pl.String, "split": pl.String})
    plans = []
    for source in seeds_configuration.source_names:
        shards = take_in(lake, seeds_configuration, source).shards
        seeds = lake.read(SEEDS, [{"source": source, "shard": shard} for shard in shards])
        plans.append(draw_plans(order_seeds(seeds, nothing_pinned, rules), shards, SCENARIOS, rules))
    return pl.concat(plans)


def test_every_scenario_is_drawn_in_every_source(drawn: pl.DataFrame) -> None:
    counts = drawn.group_by("source", "drawn_scenario").len()
    assert counts.height == 9
    assert counts["len"].min() == 3


def test_most_seeds_are_for_training_and_some_are_held_out(drawn: pl.DataFrame) -> None:
    counts = dict(drawn["split"].value_counts().iter_rows())
    assert counts["train"] >= 25
    assert set(counts) == {"train", "validation", "test"}
