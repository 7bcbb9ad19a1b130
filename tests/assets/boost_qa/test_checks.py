"""Every check on a release that passes it, and on one that does not."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from dagster import AssetCheckSeverity, AssetKey, AssetsDefinition, DagsterInstance, asset, materialize

from assets.boost_qa.checks import FOLDER, SQL_CHECKS, boost_qa_checks
from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.boost_qa.release import Release
from assets.framework.partitions import Scenario
from tests.tiny_lake import TinyDialogue, TinyLake


@asset(name="boost_qa")
def published() -> None:
    """Stands for the asset: the release was published before."""


def run_checks(tiny_lake: TinyLake, rules: ReleaseRules | None = None) -> dict[str, bool]:
    """Name of the check -> whether it passed."""
    return {name: result.passed for name, result in evaluations(tiny_lake, rules).items()}


def evaluations(tiny_lake: TinyLake, rules: ReleaseRules | None = None) -> Mapping[str, Any]:
    stand_in: AssetsDefinition = published
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [stand_in, boost_qa_checks],
            instance=instance,
            resources={"lake": tiny_lake.lake, "release_rules": rules or ReleaseRules()},
        )
    found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert {evaluation.asset_key for evaluation in found.values()} == {AssetKey("boost_qa")}
    return found


def rewrite(tiny_lake: TinyLake, release: Release, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Write the training rows of a published release otherwise, which nothing in the project ever does."""
    path = Path(tiny_lake.lake.store.uri(release.files("data/train-")[0]))
    change(pl.read_parquet(path)).write_parquet(path)


def test_a_good_release_passes_every_check(tiny_lake: TinyLake) -> None:
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    assert set(run_checks(tiny_lake).values()) == {True}


def test_without_a_release_every_check_fails(tiny_lake: TinyLake) -> None:
    assert set(run_checks(tiny_lake).values()) == {False}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("alternation", lambda rows: rows.with_columns(pl.col("conversations").list.head(3))),
        ("alternation", lambda rows: rows.with_columns(pl.col("conversations").list.reverse())),
        ("alternation", lambda rows: rows.with_columns(pl.col("trains").list.head(2))),
        ("unique", lambda rows: pl.concat([rows, rows.head(1)])),
        ("split_pinned", lambda rows: rows.with_columns(split=pl.lit("test"))),
        ("reconcile", lambda rows: rows.tail(-1)),
        ("complete", lambda rows: rows.tail(-1)),
    ],
)
def test_a_release_that_was_tampered_with_fails(
    tiny_lake: TinyLake, check: str, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    rewrite(tiny_lake, tiny_lake.release(), change)
    assert not run_checks(tiny_lake)[check]


def test_an_empty_turn_fails_the_alternation(tiny_lake: TinyLake) -> None:
    empty = pl.col("conversations").list.eval(pl.struct(pl.element().struct.field("from"), pl.lit(" ").alias("value")))
    rewrite(tiny_lake, tiny_lake.release(), lambda rows: rows.with_columns(empty))
    assert not run_checks(tiny_lake)["alternation"]


def test_a_partner_in_another_split_fails_the_leakage(tiny_lake: TinyLake) -> None:
    partner = pl.lit(tiny_lake.taught["verbs"].seed_id)
    rewrite(tiny_lake, tiny_lake.release(), lambda rows: rows.with_columns(partner_seed_id=partner))
    assert not run_checks(tiny_lake)["split_leakage"]


def test_a_missing_file_fails_every_check(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    tiny_lake.lake.store.delete(f"{release.folder}/removed.parquet")
    assert set(run_checks(tiny_lake).values()) == {False}


def test_a_benchmark_configured_later_fails_the_contamination(tiny_lake: TinyLake, tmp_path: Path) -> None:
    tiny_lake.release()
    question = tiny_lake.taught["paint"].question
    (tmp_path / "quiz.jsonl").write_text(f'{{"q": "{question}"}}', encoding="utf-8")
    rules = ReleaseRules(benchmarks=(Benchmark(name="quiz", path=str(tmp_path / "quiz.jsonl"), question=("q",)),))
    assert not run_checks(tiny_lake, rules)["contamination"]


def test_a_rejected_dialogue_in_the_release_fails_the_reconciliation(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    removed = Path(tiny_lake.lake.store.uri(f"{release.folder}/removed.parquet"))
    rows = pl.read_parquet(removed)
    changed = rows.with_columns(dialogue_id=pl.lit(tiny_lake.taught["apples"].dialogue_id))
    changed.write_parquet(removed)
    assert not run_checks(tiny_lake)["reconcile"]


def test_a_released_row_that_was_never_scored_fails_the_reconciliation(tiny_lake: TinyLake) -> None:
    stranger = pl.col("id").str.replace("^.", "z")
    rewrite(tiny_lake, tiny_lake.release(), lambda rows: pl.concat([rows, rows.head(1).with_columns(stranger)]))
    assert not run_checks(tiny_lake)["reconcile"]


def test_partitions_scored_again_since_do_not_disturb_the_reconciliation(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("apples", accepted=False)
    assert run_checks(tiny_lake)["reconcile"]


def test_a_scenario_that_is_nearly_absent_is_a_warning(tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(scenario=Scenario.DEBATE, partner=None)
    tiny_lake.release()
    found = evaluations(tiny_lake)["scenario_mix"]
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)


def test_a_release_that_shrank_is_a_warning(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.taught["eggs"] = TinyDialogue("eggs", "How many eggs?", "10", Scenario.DEBATE, accepted=False)
    tiny_lake.write()
    tiny_lake.release()
    found = evaluations(tiny_lake)["drift"]
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)


def test_a_release_that_grew_a_little_is_no_drift(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    assert run_checks(tiny_lake)["drift"]


def drift(now: pl.DataFrame, before: pl.DataFrame) -> set[str]:
    """What the drift query finds of two releases."""
    with duckdb.connect() as connection:
        connection.register("released", now.to_arrow())
        connection.register("previous", before.to_arrow())
        check = next(check for check in SQL_CHECKS if check.name == "drift")
        query = (FOLDER / check.sql).read_text(encoding="utf-8")
        return {row[0] for row in connection.execute(query, dict(check.parameters)).fetchall()}


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


def test_the_same_again_is_no_drift() -> None:
    assert drift(many(500), many(490)) == set()


def test_another_mix_is_drift() -> None:
    assert drift(many(700), many(500)) == {"share of analogy", "share of debate"}


def test_a_scenario_that_went_away_is_drift() -> None:
    assert drift(many(1000), many(800)) == {"share of analogy", "share of debate"}


def test_longer_dialogues_are_drift() -> None:
    assert drift(many(500, characters=20), many(500)) == {"mean characters"}


def test_worse_scores_are_drift() -> None:
    assert drift(many(500, score=0.5), many(500)) == {"mean quality score"}


def test_without_a_previous_release_there_is_no_drift() -> None:
    assert drift(many(500), many(500).head(0)) == set()
