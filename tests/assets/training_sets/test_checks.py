"""Every check on sets that pass it, and on sets that do not."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetCheckSeverity, DagsterInstance, asset, materialize

from assets.training_sets.checks import training_sets_checks
from assets.training_sets.variants import make_boost_qa, make_ori
from tests.tiny_lake import TinyLake

Change = Callable[[pl.DataFrame], pl.DataFrame]


@asset(name="training_sets")
def made() -> None:
    """Stands for the asset: the sets were made before."""


@pytest.fixture
def sets(tiny_lake: TinyLake) -> TinyLake:
    """A lake with both variants of one release."""
    release = tiny_lake.release()
    make_boost_qa(tiny_lake.lake, release)
    make_ori(tiny_lake.lake, release)
    return tiny_lake


def evaluations(tiny_lake: TinyLake) -> Mapping[str, Any]:
    with DagsterInstance.ephemeral() as instance:
        result = materialize([made, training_sets_checks], instance=instance, resources={"lake": tiny_lake.lake})
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def rewrite_ori(tiny_lake: TinyLake, change: Change) -> None:
    """Write the training rows of a published set otherwise, which nothing in the project ever does."""
    (path,) = Path(tiny_lake.lake.store.uri("training_sets/ori")).glob("*/data/train-*.parquet")
    change(pl.read_parquet(path)).write_parquet(path)


def test_two_sets_of_one_release_pass_every_check(sets: TinyLake) -> None:
    assert {evaluation.passed for evaluation in evaluations(sets).values()} == {True}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("complete", lambda rows: rows.tail(-1)),
        ("same_seeds", lambda rows: rows.tail(-1)),
        ("same_seeds", lambda rows: rows.with_columns(split=pl.lit("test"))),
        ("own_answers", lambda rows: rows.with_columns(conversations=pl.col("conversations").first())),
        ("split_leakage", lambda rows: pl.concat([rows, rows.head(1).with_columns(split=pl.lit("test"))])),
    ],
)
def test_a_set_that_was_tampered_with_fails(sets: TinyLake, check: str, change: Change) -> None:
    rewrite_ori(sets, change)
    assert not evaluations(sets)[check].passed


def test_sets_of_two_releases_are_a_warning(sets: TinyLake) -> None:
    sets.change("moon", accepted=True)
    make_boost_qa(sets.lake, sets.release())
    found = evaluations(sets)["same_release"]
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)


def test_without_any_set_the_completeness_fails(tiny_lake: TinyLake) -> None:
    assert not evaluations(tiny_lake)["complete"].passed
