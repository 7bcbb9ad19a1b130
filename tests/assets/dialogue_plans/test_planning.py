import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.dialogue_plans.configuration import PlanRules, SplitShares, of_the_whole
from assets.dialogue_plans.planning import PlanError, plan_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake
from tests.shipped_scenarios import SCENARIOS

WriteSeeds = Callable[..., list[str]]

ANALOGIES = PlanRules(
    scenarios={"error_correction": 0, "debate": 0, "analogy": 1},
    splits=SplitShares(train=1, validation=0, test=0),
    neighbours=1,
)
RULES = PlanRules(splits=SplitShares(train=0.6, validation=0.2, test=0.2))


def plans(lake: Lake, *shards: str) -> pl.DataFrame:
    return lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in shards])


def partners(lake: Lake, shard: str) -> dict[str, str | None]:
    return dict(plans(lake, shard).select("seed_id", "partner_seed_id").iter_rows())


def test_each_seed_gets_one_plan_in_the_order_of_its_shard(lake: Lake, write_seeds: WriteSeeds) -> None:
    names = write_seeds("sums-0000", 20)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    assert plans(lake, "sums-0000")["seed_id"].to_list() == names


def test_a_plan_does_not_depend_on_what_is_planned_with_it(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 12)
    write_seeds("sums-0001", 12)
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, RULES)
    alone = plans(lake, "sums-0001")
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0001"}))
    plan_shards(lake, "sums", ["sums-0000", "sums-0001"], SCENARIOS, RULES)
    assert plans(lake, "sums-0001").equals(alone)


def test_seeds_of_a_later_reading_change_no_plan_of_an_earlier_one(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 12)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES)
    before = plans(lake, "sums-0000")
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))
    write_seeds("sums-0001", 40, reading=2)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES)
    assert plans(lake, "sums-0000").equals(before)


def test_a_later_reading_finds_partners_among_earlier_ones(lake: Lake, write_seeds: WriteSeeds) -> None:
    first, _ = write_seeds("sums-0000", 2, vectors=[[1, 0], [0, 1]])
    (late,) = write_seeds("sums-0001", 1, reading=2, vectors=[[1, 0.1]])
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES)
    assert partners(lake, "sums-0001") == {late: first}


@pytest.mark.parametrize(
    ("vectors", "representatives", "retracted", "found"),
    [
        ([[1, 0], [1, 0], [1, 0.2], [0, 1]], {1: 0}, [], {0: 2, 1: 2, 3: 2}),
        ([[1, 0], [1, 0.1], [0, 1]], {}, [1], {0: 2}),
        ([[1, 0]], {}, [], {0: None}),
    ],
    ids=["most similar, no duplicate", "not retracted", "none in a source of one seed"],
)
def test_the_partner_of_a_seed(
    lake: Lake,
    write_seeds: WriteSeeds,
    vectors: list[list[float]],
    representatives: dict[int, int],
    retracted: list[int],
    found: dict[int, int | None],
) -> None:
    names = write_seeds("sums-0000", len(vectors), vectors=vectors, representatives=representatives)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES, retracted={names[index] for index in retracted})
    written = partners(lake, "sums-0000")
    assert {index: written[names[index]] for index in found} == {
        index: None if partner is None else names[partner] for index, partner in found.items()
    }


def test_the_partner_is_drawn_from_the_nearest(lake: Lake, write_seeds: WriteSeeds) -> None:
    names = write_seeds("sums-0000", 30, vectors=[[1, 0.01 * number] for number in range(30)])
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES.model_copy(update={"neighbours": 3}))
    indexes = {name: index for index, name in enumerate(names)}
    inner = {asker: partner for asker, partner in partners(lake, "sums-0000").items() if 3 <= indexes[asker] < 27}
    distances = [abs(indexes[asker] - indexes[partner or ""]) for asker, partner in inner.items()]
    assert max(distances) <= 2
    assert len(set(distances)) > 1


def test_a_partner_is_of_the_same_split(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 60)
    rules = PlanRules(scenarios=ANALOGIES.scenarios, splits=RULES.splits)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, rules)
    written = plans(lake, "sums-0000")
    split_of = dict(written.select("seed_id", "split").iter_rows())
    pairs = written.drop_nulls("partner_seed_id").select("seed_id", "partner_seed_id").rows()
    assert set(split_of.values()) == {"train", "validation", "test"}
    assert all(split_of[asker] == split_of[partner] for asker, partner in pairs)


def test_an_analogy_without_a_partner_gets_another_scenario(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 12, vectors=np.eye(12))
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES.model_copy(update={"min_similarity": 0.5}))
    written = plans(lake, "sums-0000")
    assert set(written["drawn_scenario"]) == {"analogy"}
    assert set(written["scenario"]) == {"error_correction", "debate"}
    assert written["partner_seed_id"].null_count() == 12


@pytest.mark.parametrize(
    ("shares", "numbers"), [({}, {1, 2}), ({"debate": {1: 0, 2: 1}}, {2})], ids=["as declared", "two only"]
)
def test_only_scenarios_that_draw_a_number_have_one(
    lake: Lake, write_seeds: WriteSeeds, shares: dict[str, dict[int, float]], numbers: set[int]
) -> None:
    write_seeds("sums-0000", 60)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES.model_copy(update={"repetitions": shares}))
    written = plans(lake, "sums-0000")
    assert set(written.filter(pl.col("scenario") == "debate")["repetitions"]) == numbers
    assert set(written.filter(pl.col("scenario") != "debate")["repetitions"]) == {None}


def test_many_seeds_have_the_shares_of_the_rules(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 2000)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    written = plans(lake, "sums-0000")
    for column, shares in (
        ("scenario", RULES.scenario_shares(SCENARIOS)),
        ("split", of_the_whole(RULES.splits.shares)),
    ):
        counts = dict(written[column].value_counts().iter_rows())
        assert {name: count / 2000 for name, count in counts.items()} == pytest.approx(shares, abs=0.04)


def test_other_rules_draw_other_plans_but_change_no_written_ones(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 40)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    first = plans(lake, "sums-0000")
    other = RULES.model_copy(update={"random_seed": 1})
    assert plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, other) == []
    assert plans(lake, "sums-0000").equals(first)
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, other)
    assert not plans(lake, "sums-0000").equals(first)


def test_a_late_duplicate_goes_to_the_split_of_its_group_under_other_rules(lake: Lake, write_seeds: WriteSeeds) -> None:
    (first,) = write_seeds("sums-0000", 1)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, PlanRules(splits=SplitShares(train=0, validation=0, test=1)))
    keys = {"source": "sums", "shard": "sums-0001"}
    write_seeds("sums-0001", 1, reading=2)
    seeds = lake.read(SEEDS, [keys]).with_columns(representative=pl.lit(first))
    lake.write(SEEDS, keys, seeds, fingerprint="duplicate")
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, PlanRules(splits=SplitShares(train=1, validation=0, test=0)))
    assert plans(lake, "sums-0001")["split"].to_list() == ["test"]


def test_a_partner_planned_later_goes_to_its_askers_split_under_other_rules(
    lake: Lake, write_seeds: WriteSeeds
) -> None:
    (asker,) = write_seeds("sums-0000", 1, vectors=[[1, 0]])
    (partner,) = write_seeds("sums-0001", 1, vectors=[[1, 0.1]])
    test_only = SplitShares(train=0, validation=0, test=1)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES.model_copy(update={"splits": test_only}))
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES)
    assert partners(lake, "sums-0000") == {asker: partner}
    assert plans(lake, "sums-0001")["split"].to_list() == ["test"]


def test_a_partner_is_of_the_same_source(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 5, vectors=np.ones((5, 2)))
    write_seeds("words-0000", 5, vectors=np.ones((5, 2)), embedder="tests:other")
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, ANALOGIES)
    plan_shards(lake, "words", ["words-0000"], SCENARIOS, ANALOGIES)
    for one, other in itertools.permutations(["sums-0000", "words-0000"]):
        assert not set(partners(lake, one).values()) & set(plans(lake, other)["seed_id"])


@pytest.mark.parametrize(
    ("shards", "planned", "message"),
    [
        (
            {"sums-0000": {}, "sums-0001": {"embedder": "tests:other"}},
            "sums-0000",
            r"tests:other.*tests:vectors.*materialise seed_embeddings for sums again",
        ),
        (
            {"sums-0000": {"vectors": np.eye(3)}, "sums-0001": {"vectors": np.ones((3, 2))}},
            "sums-0000",
            "vectors of lengths 3 and",
        ),
        (
            {"sums-0000": {}, "sums-0001": {"embedder": None}},
            "sums-0000",
            "3 of 6 seeds have no embedding; materialise seed_embeddings for sums",
        ),
        ({"sums-0000": {}}, "sums-0007", "no shard sums-0007; materialise raw_seeds for sums"),
    ],
)
def test_shards_that_cannot_be_planned_are_named_with_what_to_do(
    lake: Lake, write_seeds: WriteSeeds, shards: dict[str, dict[str, Any]], planned: str, message: str
) -> None:
    for shard, options in shards.items():
        write_seeds(shard, 3, **options)
    with pytest.raises(PlanError, match=message):
        plan_shards(lake, "sums", [planned], SCENARIOS, ANALOGIES)


def test_no_vectors_are_needed_where_nothing_is_an_analogy(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 3, embedder=None)
    no_analogies = PlanRules(scenarios={"error_correction": 1, "debate": 1, "analogy": 0})
    assert plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, no_analogies) == ["sums-0000"]
