"""Releases that somebody changed, and the names of the checks that they fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from dagster import AssetCheckResult, AssetCheckSeverity, DagsterInstance, asset, materialize

from assets.boost_qa.checks import ALL_CHECKS, CHECKS, FOLDER, ReleaseCheckRun
from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.boost_qa.release import HOME, Release
from assets.framework.check_files import OpenConnection, sql_checks
from tests.check_cases import failing_after
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyDialogue, TinyLake

NAMES = {check.name for check in ALL_CHECKS}


def results(tiny_lake: TinyLake, rules: ReleaseRules | None = None) -> dict[str, AssetCheckResult]:
    run = ReleaseCheckRun(tiny_lake.lake, {"release_rules": rules or ReleaseRules(), "scenarios": SCENARIOS}, None, "")
    return failing_after(HOME, ALL_CHECKS, run)


def rewrite(
    tiny_lake: TinyLake, release: Release, change: Callable[[pl.DataFrame], pl.DataFrame], name: str = "data/train-"
) -> None:
    """Change rows of a published release, which nothing in the project ever does."""
    path = Path(tiny_lake.lake.store.uri(release.files(name)[0]))
    change(pl.read_parquet(path)).write_parquet(path)


EMPTY_TURNS = pl.col("conversations").list.eval(
    pl.struct(pl.element().struct.field("from"), pl.lit(" ").alias("value"))
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda rows, _: rows.with_columns(pl.col("conversations").list.head(3)), {"alternation"}),
        (lambda rows, _: rows.with_columns(pl.col("conversations").list.reverse()), {"alternation"}),
        (lambda rows, _: rows.with_columns(pl.col("trains").list.head(2)), {"alternation"}),
        (lambda rows, _: rows.with_columns(EMPTY_TURNS), {"alternation"}),
        (lambda rows, _: pl.concat([rows, rows.head(1)]), {"unique"}),
        (lambda rows, _: rows.with_columns(split=pl.lit("test")), {"split_pinned"}),
        (lambda rows, _: rows.tail(-1), {"reconcile"}),
        (
            lambda rows, _: pl.concat([rows, rows.head(1).with_columns(pl.col("id").str.replace("^.", "z"))]),
            {"reconcile", "unique"},  # a row that was never scored
        ),
        (
            lambda rows, tiny: rows.with_columns(partner_seed_id=pl.lit(tiny.dialogues["verbs"].seed_id)),
            {"split_leakage"},  # a partner in another split
        ),
    ],
)
def test_a_release_that_somebody_changed_fails(tiny_lake: TinyLake, change: Any, names: set[str]) -> None:
    rewrite(tiny_lake, tiny_lake.release(), lambda rows: change(rows, tiny_lake))
    assert {*results(tiny_lake)} - {"scenario_mix", "drift"} == {"complete"} | names


def test_a_good_release_passes_every_check_in_dagster(tiny_lake: TinyLake) -> None:
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [asset(name=HOME)(lambda: None), *CHECKS],
            instance=instance,
            resources={"lake": tiny_lake.lake, "release_rules": ReleaseRules(), "scenarios": SCENARIOS},
        )
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()} == dict.fromkeys(NAMES, True)


def test_without_a_release_every_check_fails(tiny_lake: TinyLake) -> None:
    assert {*results(tiny_lake)} == NAMES


def test_a_missing_file_fails_every_check(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    tiny_lake.lake.store.delete(f"{release.folder}/removed.parquet")
    found = results(tiny_lake)
    assert {*found} == NAMES
    assert "removed" in str(found["unique"].metadata["rows"].value)


def test_a_benchmark_configured_later_fails_the_contamination(tiny_lake: TinyLake, tmp_path: Path) -> None:
    tiny_lake.release()
    question = tiny_lake.dialogues["paint"].question
    (tmp_path / "quiz.jsonl").write_text(f'{{"q": "{question}"}}', encoding="utf-8")
    rules = ReleaseRules(benchmarks=(Benchmark(name="quiz", path=str(tmp_path / "quiz.jsonl"), question=("q",)),))
    assert {*results(tiny_lake, rules)} == {"contamination"}


def test_a_released_dialogue_that_is_also_removed_fails_the_reconciliation(tiny_lake: TinyLake) -> None:
    dialogue = pl.lit(tiny_lake.dialogues["apples"].dialogue_id)
    rewrite(tiny_lake, tiny_lake.release(), lambda rows: rows.with_columns(dialogue_id=dialogue), "removed.parquet")
    assert {*results(tiny_lake)} == {"complete", "reconcile"}


def test_partitions_scored_again_since_do_not_disturb_the_reconciliation(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("apples", accepted=False)
    assert "reconcile" not in results(tiny_lake)


def test_a_scenario_that_is_nearly_absent_is_a_warning(tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(scenario="debate", partner=None)
    tiny_lake.release()
    assert results(tiny_lake)["scenario_mix"].severity is AssetCheckSeverity.WARN


def test_a_release_that_shrank_is_a_warning_and_one_that_grew_is_none(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    assert "drift" not in results(tiny_lake)
    for name in ("eggs", "moon"):
        tiny_lake.dialogues[name] = TinyDialogue(name, f"How many {name}?", "10", "debate", accepted=False)
    tiny_lake.write()
    tiny_lake.release()
    assert results(tiny_lake)["drift"].severity is AssetCheckSeverity.WARN


def many(debates: int, characters: int = 10, score: float = 0.9) -> pl.DataFrame:
    """A thousand rows, some of them debates."""
    turns = [{"from": "human", "value": "x" * characters}]
    return pl.DataFrame(
        {
            "scenario": ["debate"] * debates + ["analogy"] * (1000 - debates),
            "conversations": [turns] * 1000,
            "quality_score": [score] * 1000,
        }
    )


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        (many(500), many(490), set()),
        (many(700), many(500), {"share of analogy", "share of debate"}),
        (many(1000), many(800), {"share of analogy", "share of debate"}),
        (many(500, characters=20), many(500), {"mean characters"}),
        (many(500, score=0.5), many(500), {"mean quality score"}),
        (many(500).head(800), many(500), {"rows", "share of analogy", "share of debate"}),
        (many(500), many(500).head(0), set()),  # there is no previous release
    ],
)
def test_drift_between_two_releases(now: pl.DataFrame, before: pl.DataFrame, found: set[str]) -> None:
    (drift,) = [check for check in sql_checks(FOLDER) if check.name == "drift"]
    with duckdb.connect() as connection:
        connection.register("released", now.to_arrow())
        connection.register("previous", before.to_arrow())
        assert {row["measure"] for row in drift.find(OpenConnection(connection, {}))} == found
