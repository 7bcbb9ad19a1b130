import itertools
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from assets.dialogue_plans.configuration import DebateRounds, PlanRules, ScenarioShares, SplitShares
from assets.dialogue_plans.planning import PlanError, pin_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake

Hold = Callable[..., list[str]]

ANALOGIES = PlanRules(
    scenarios=ScenarioShares(error_correction=0, debate=0, analogy=1),
    splits=SplitShares(train=1, validation=0, test=0),
    neighbours=1,
)
RULES = PlanRules(splits=SplitShares(train=0.6, validation=0.2, test=0.2))


def plans(lake: Lake, *shards: str) -> pl.DataFrame:
    return lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in shards])


def partners(lake: Lake, shard: str) -> dict[str, str | None]:
    return dict(plans(lake, shard).select("seed_id", "partner_seed_id").iter_rows())


def test_each_seed_gets_one_plan_in_the_order_of_its_shard(lake: Lake, hold: Hold) -> None:
    names = hold("sums-0000", 20)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    assert plans(lake, "sums-0000")["seed_id"].to_list() == names


def test_a_plan_does_not_depend_on_what_is_planned_with_it(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 12)
    hold("sums-0001", 12)
    pin_shards(lake, "sums", ["sums-0001"], RULES)
    alone = lake.read(DIALOGUE_PLANS, [{"shard": "sums-0001"}])
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0001"}))
    pin_shards(lake, "sums", ["sums-0000", "sums-0001"], RULES)
    assert plans(lake, "sums-0001").equals(alone)


def test_seeds_of_a_later_reading_change_no_plan_of_an_earlier_one(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 12)
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)
    before = plans(lake, "sums-0000")
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))
    hold("sums-0001", 40, reading=2)
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)
    assert plans(lake, "sums-0000").equals(before)


def test_a_later_reading_finds_partners_among_earlier_ones(lake: Lake, hold: Hold) -> None:
    first, _ = hold("sums-0000", 2, vectors=[[1, 0], [0, 1]])
    (late,) = hold("sums-0001", 1, reading=2, vectors=[[1, 0.1]])
    pin_shards(lake, "sums", ["sums-0001"], ANALOGIES)
    assert partners(lake, "sums-0001") == {late: first}


def test_the_partner_is_the_most_similar_question_that_is_no_duplicate(lake: Lake, hold: Hold) -> None:
    asker, duplicate, near, far = hold(
        "sums-0000", 4, vectors=[[1, 0], [1, 0], [1, 0.2], [0, 1]], representatives={1: 0}
    )
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)
    found = partners(lake, "sums-0000")
    assert (found[asker], found[duplicate], found[far]) == (near, near, near)


def test_the_partner_is_drawn_from_the_nearest(lake: Lake, hold: Hold) -> None:
    names = hold("sums-0000", 30, vectors=[[1, 0.01 * number] for number in range(30)])
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES.model_copy(update={"neighbours": 3}))
    places = {name: place for place, name in enumerate(names)}
    inner = {asker: partner for asker, partner in partners(lake, "sums-0000").items() if 3 <= places[asker] < 27}
    distances = [abs(places[asker] - places[partner or ""]) for asker, partner in inner.items()]
    assert max(distances) <= 2
    assert len(set(distances)) > 1


def test_a_partner_is_of_the_same_split(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 60)
    rules = PlanRules(scenarios=ANALOGIES.scenarios, splits=RULES.splits)
    pin_shards(lake, "sums", ["sums-0000"], rules)
    written = plans(lake, "sums-0000")
    split_of = dict(written.select("seed_id", "split").iter_rows())
    pairs = written.drop_nulls("partner_seed_id").select("seed_id", "partner_seed_id").rows()
    assert set(split_of.values()) == {"train", "validation", "test"}
    assert all(split_of[asker] == split_of[partner] for asker, partner in pairs)


def test_an_analogy_without_a_partner_becomes_another_scenario_and_says_so(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 12, vectors=np.eye(12))
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES.model_copy(update={"min_similarity": 0.5}))
    written = plans(lake, "sums-0000")
    assert set(written["drawn_scenario"]) == {"analogy"}
    assert set(written["scenario"]) == {"error_correction", "debate"}
    assert written["partner_seed_id"].null_count() == 12


def test_a_source_of_one_seed_can_be_planned(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 1)
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)
    assert plans(lake, "sums-0000")["scenario"][0] != "analogy"


def test_a_retracted_seed_is_no_ones_partner(lake: Lake, hold: Hold) -> None:
    asker, taken_down, other = hold("sums-0000", 3, vectors=[[1, 0], [1, 0.1], [0, 1]])
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES, retracted={taken_down})
    assert partners(lake, "sums-0000")[asker] == other


def test_debates_alone_have_rounds_one_or_two(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 60)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    written = plans(lake, "sums-0000")
    assert set(written.filter(pl.col("scenario") == "debate")["debate_rounds"]) == {1, 2}
    assert written.filter(pl.col("scenario") != "debate")["debate_rounds"].null_count() == len(
        written.filter(pl.col("scenario") != "debate")
    )


def test_the_share_of_short_debates_is_configured(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 30)
    pin_shards(lake, "sums", ["sums-0000"], RULES.model_copy(update={"debate_rounds": DebateRounds(one=0, two=1)}))
    assert set(plans(lake, "sums-0000")["debate_rounds"].drop_nulls()) == {2}


def test_many_seeds_are_shared_out_as_the_rules_say(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 2000)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    written = plans(lake, "sums-0000")
    for column, shares in (("scenario", RULES.scenarios.expected), ("split", RULES.splits.expected)):
        counts = dict(written[column].value_counts().iter_rows())
        assert {name: count / 2000 for name, count in counts.items()} == pytest.approx(shares, abs=0.04)


def test_another_random_seed_draws_other_plans(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 40)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    first = plans(lake, "sums-0000")
    lake.store.delete(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))
    pin_shards(lake, "sums", ["sums-0000"], RULES.model_copy(update={"random_seed": 1}))
    assert not plans(lake, "sums-0000").equals(first)


def test_a_written_shard_is_left_as_it_is_under_other_rules(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 20)
    pin_shards(lake, "sums", ["sums-0000"], RULES)
    before = plans(lake, "sums-0000")
    assert pin_shards(lake, "sums", ["sums-0000"], RULES.model_copy(update={"random_seed": 1})) == []
    assert plans(lake, "sums-0000").equals(before)


def test_a_late_duplicate_goes_to_the_split_of_its_group_under_other_rules(lake: Lake, hold: Hold) -> None:
    (first,) = hold("sums-0000", 1)
    pin_shards(lake, "sums", ["sums-0000"], PlanRules(splits=SplitShares(train=0, validation=0, test=1)))
    keys = {"source": "sums", "shard": "sums-0001"}
    hold("sums-0001", 1, reading=2)
    seeds = lake.read(SEEDS, [keys]).with_columns(representative=pl.lit(first))
    lake.write(SEEDS, keys, seeds, fingerprint="duplicate")
    pin_shards(lake, "sums", ["sums-0001"], PlanRules(splits=SplitShares(train=1, validation=0, test=0)))
    assert plans(lake, "sums-0001")["split"].to_list() == ["test"]


def test_a_partner_planned_later_goes_to_its_askers_split_under_other_rules(lake: Lake, hold: Hold) -> None:
    (asker,) = hold("sums-0000", 1, vectors=[[1, 0]])
    (partner,) = hold("sums-0001", 1, vectors=[[1, 0.1]])
    test_only = SplitShares(train=0, validation=0, test=1)
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES.model_copy(update={"splits": test_only}))
    pin_shards(lake, "sums", ["sums-0001"], ANALOGIES)
    assert partners(lake, "sums-0000") == {asker: partner}
    assert plans(lake, "sums-0001")["split"].to_list() == ["test"]


def test_sources_never_meet(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 5, vectors=np.ones((5, 2)))
    hold("words-0000", 5, vectors=np.ones((5, 2)), embedder="tests:other")
    pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)
    pin_shards(lake, "words", ["words-0000"], ANALOGIES)
    for one, other in itertools.permutations(["sums-0000", "words-0000"]):
        assert not set(partners(lake, one).values()) & set(plans(lake, other)["seed_id"])


def test_vectors_of_two_embedders_are_refused(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 3)
    hold("sums-0001", 3, embedder="tests:other")
    with pytest.raises(PlanError, match=r"tests:other.*tests:vectors.*materialise seed_embeddings for sums again"):
        pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)


def test_vectors_of_two_lengths_are_refused(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 2, vectors=np.eye(2))
    hold("sums-0001", 3, vectors=np.eye(3))
    with pytest.raises(PlanError, match="vectors of lengths 2 and"):
        pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)


def test_missing_vectors_are_named_with_what_to_do(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 3)
    hold("sums-0001", 2, embedder=None)
    with pytest.raises(PlanError, match="2 of 5 seeds have no embedding; materialise seed_embeddings for sums"):
        pin_shards(lake, "sums", ["sums-0000"], ANALOGIES)


def test_no_vectors_are_needed_where_nothing_is_an_analogy(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 3, embedder=None)
    no_analogies = PlanRules(scenarios=ScenarioShares(error_correction=1, debate=1, analogy=0))
    assert pin_shards(lake, "sums", ["sums-0000"], no_analogies) == ["sums-0000"]


def test_a_shard_without_seeds_is_named(lake: Lake, hold: Hold) -> None:
    hold("sums-0000", 3)
    with pytest.raises(PlanError, match="no shard sums-0007; materialise raw_seeds for sums"):
        pin_shards(lake, "sums", ["sums-0000", "sums-0007"], RULES)
