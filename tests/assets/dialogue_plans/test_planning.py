import itertools
from collections.abc import Callable
from random import Random
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
NO_ANALOGIES = ANALOGIES.model_copy(update={"scenarios": {"error_correction": 1, "debate": 1, "analogy": 0}})
RULES = PlanRules(splits=SplitShares(train=0.6, validation=0.2, test=0.2))


def plans(lake: Lake, *shards: str) -> pl.DataFrame:
    return lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in shards])


def partners(lake: Lake, *shards: str) -> dict[str, str | None]:
    return dict(plans(lake, *shards).select("seed_id", "partner_seed_id").iter_rows())


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
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    before = plans(lake, "sums-0000")
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))
    write_seeds("sums-0001", 40, reading=2)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    assert plans(lake, "sums-0000").equals(before)


def test_a_later_reading_finds_partners_among_earlier_ones(lake: Lake, write_seeds: WriteSeeds) -> None:
    first, _ = write_seeds("sums-0000", 2, vectors=[[1, 0], [0, 1]])
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, NO_ANALOGIES)
    (late,) = write_seeds("sums-0001", 1, reading=2, vectors=[[1, 0.1]])
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES)
    assert partners(lake, "sums-0001") == {late: first}


@pytest.mark.parametrize(
    ("pool", "duplicate", "retracted", "found"),
    [
        ([[0, 1], [1, 0.1], [1, 0.2]], None, [], 1),
        ([[1, 0], [1, 0.2], [0, 1]], 0, [], 1),
        ([[1, 0.1], [0, 1]], None, [0], 1),
        ([[1, 0.1]], 0, [], None),
    ],
    ids=["most similar", "no duplicate", "not retracted", "none"],
)
def test_the_partner_of_a_seed(
    lake: Lake,
    write_seeds: WriteSeeds,
    pool: list[list[float]],
    duplicate: int | None,
    retracted: list[int],
    found: int | None,
) -> None:
    names = write_seeds("sums-0000", len(pool), vectors=pool)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, NO_ANALOGIES)
    representatives = {} if duplicate is None else {0: names[duplicate]}
    (asker,) = write_seeds("sums-0001", 1, vectors=[[1, 0]], representatives=representatives)
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES, retracted={names[index] for index in retracted})
    assert partners(lake, "sums-0001") == {asker: None if found is None else names[found]}


def test_the_partner_is_drawn_from_the_nearest(lake: Lake, write_seeds: WriteSeeds) -> None:
    vectors = [[1, 0.01 * number] for number in range(30)]
    pool = write_seeds("sums-0000", 30, vectors=vectors)
    askers = write_seeds("sums-0001", 30, vectors=vectors)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, NO_ANALOGIES)
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES.model_copy(update={"neighbours": 3}))
    found = partners(lake, "sums-0001")
    assert {abs(number - pool.index(found[askers[number]] or "")) for number in range(1, 29)} == {0, 1}


@pytest.mark.parametrize("case", range(6))
def test_no_first_question_is_anothers_second_whatever_the_rules_and_the_order(
    lake: Lake, write_seeds: WriteSeeds, case: int
) -> None:
    draws = Random(case)
    shards = [f"sums-{number:04}" for number in range(4)]
    for number, shard in enumerate(shards):
        write_seeds(shard, draws.randint(1, 40), reading=1 + number // 2)
    for shard in draws.sample(shards, 4):
        scenarios = {"error_correction": 1, "debate": 1, "analogy": draws.choice([0, 1, 5])}
        rules = PlanRules(random_seed=draws.randint(0, 2), scenarios=scenarios)
        plan_shards(lake, "sums", [shard], SCENARIOS, rules)
    pairs = partners(lake, *shards)
    askers = {asker for asker, partner in pairs.items() if partner}
    assert askers
    assert not askers & set(pairs.values())


def test_a_partner_is_of_the_same_split(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 120)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    written = plans(lake, "sums-0000")
    split_of = dict(written.select("seed_id", "split").iter_rows())
    pairs = written.drop_nulls("partner_seed_id").select("seed_id", "partner_seed_id").rows()
    assert {split_of[asker] for asker, _ in pairs} == {"train", "validation", "test"}
    assert all(split_of[asker] == split_of[partner] for asker, partner in pairs)


def test_an_analogy_without_a_partner_gets_another_scenario(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 1, vectors=np.ones((1, 12)))  # cosine 0.29 to each of the others
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, NO_ANALOGIES)
    write_seeds("sums-0001", 12, vectors=np.eye(12))
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES.model_copy(update={"min_similarity": 0.5}))
    written = plans(lake, "sums-0001")
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


def test_a_partner_planned_later_under_other_rules_asks_nothing_and_goes_to_its_askers_split(
    lake: Lake, write_seeds: WriteSeeds
) -> None:
    write_seeds("sums-0000", 20)
    later = write_seeds("sums-0001", 20)
    test_only = SplitShares(train=0, validation=0, test=1)
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, PlanRules(splits=test_only))
    plan_shards(lake, "sums", ["sums-0001"], SCENARIOS, ANALOGIES)
    used = set(partners(lake, "sums-0000").values()) & set(later)
    written = plans(lake, "sums-0001").filter(pl.col("seed_id").is_in(list(used)))
    assert written.height
    assert set(written["drawn_scenario"]) == {"analogy"}
    assert not set(written["scenario"]) & {"analogy"}
    assert set(written["split"]) == {"test"}


def test_a_partner_is_of_the_same_source(lake: Lake, write_seeds: WriteSeeds) -> None:
    write_seeds("sums-0000", 20, vectors=np.ones((20, 2)))
    write_seeds("words-0000", 20, vectors=np.ones((20, 2)), embedder="tests:other")
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, PlanRules())
    plan_shards(lake, "words", ["words-0000"], SCENARIOS, PlanRules())
    for one, other in itertools.permutations(["sums-0000", "words-0000"]):
        found = {partner for partner in partners(lake, one).values() if partner}
        assert found
        assert not found & set(plans(lake, other)["seed_id"])


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
    assert plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, NO_ANALOGIES) == ["sums-0000"]
