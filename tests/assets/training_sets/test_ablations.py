"""Ablations on the tiny lake, whose release has rows of all three scenarios."""

from typing import Any

import polars as pl
import pytest

from assets.training_sets.ablations import ABLATIONS
from assets.training_sets.variants import TrainingSetError


@pytest.mark.parametrize("variant", ABLATIONS)
def test_an_ablation_has_the_releases_seeds_in_its_splits_and_order(studio: Any, variant: str) -> None:
    columns = ["seed_id", "split"]
    assert studio.rows(variant).select(columns).equals(studio.rows("boost_qa").select(columns))


@pytest.mark.parametrize("variant", ABLATIONS)
def test_it_holds_the_dialogues_of_its_scenarios_as_the_release_has_them(studio: Any, variant: str) -> None:
    told = studio.rows(variant).filter(pl.col("scenario") != "original")
    kept = studio.rows("boost_qa").filter(pl.col("scenario").is_in(ABLATIONS[variant]))
    assert told.equals(kept)


@pytest.mark.parametrize("variant", ABLATIONS)
def test_its_other_seeds_have_their_original_answers(studio: Any, variant: str) -> None:
    filled = studio.rows(variant).filter(pl.col("scenario") == "original")
    original = studio.rows("ori").filter(pl.col("seed_id").is_in(filled["seed_id"].implode()))
    assert filled.equals(original)


def test_the_manifest_says_how_many_dialogues_it_holds(studio: Any) -> None:
    counts = studio.make("me").manifest["counts"]
    told = studio.rows("boost_qa").filter(pl.col("scenario") == "error_correction").height
    assert counts == {"error_correction": told, "original": 7 - told}


def test_a_scenario_without_rows_is_refused(studio: Any) -> None:
    for name in ("trains", "eggs", "verbs"):
        studio.tiny.change(name, accepted=False)
    with pytest.raises(TrainingSetError, match=r"no rows of debate, so 'me_db' would show nothing of it"):
        studio.make("me_db")


def test_an_ablation_that_leaves_nothing_out_is_refused(studio: Any) -> None:
    for name in ("trains", "eggs", "verbs"):
        studio.tiny.change(name, accepted=False)
    with pytest.raises(TrainingSetError, match="'me_ep' would be boost_qa itself"):
        studio.make("me_ep")
