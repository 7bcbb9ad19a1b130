from dataclasses import replace
from pathlib import Path

import duckdb
import pandera.polars as pa
import polars as pl
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetSelection,
    BackfillPolicy,
    DagsterInstance,
    StaticPartitionsDefinition,
    asset,
    materialize,
)

from assets.framework.checks import SqlCheck, sql_checks, sql_result
from resources.lake.tables import Lake, Table

APPLES = Table("apples", ("tree",), pa.DataFrameSchema({"tree": pa.Column(pl.String), "grams": pa.Column(pl.Int64)}))
LIGHT = SqlCheck(
    "no_light_apples",
    "light.sql",
    "Every apple weighs enough.",
    severity=AssetCheckSeverity.WARN,
    parameters={"least": 50},
)


@asset(
    name="apples",
    partitions_def=StaticPartitionsDefinition(["a", "b", "c"]),
    backfill_policy=BackfillPolicy.single_run(),
)
def apples(context: AssetExecutionContext) -> None:
    """Weighed beforehand."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.at(str(tmp_path / "lake"))
    for tree, grams in {"a": 100, "b": 10, "c": 20}.items():
        lake.write(APPLES, {"tree": tree}, APPLES.frame([{"tree": tree, "grams": grams}]), fingerprint="f")
    return lake


@pytest.fixture
def checks(tmp_path: Path) -> AssetChecksDefinition:
    (tmp_path / "light.sql").write_text("SELECT tree, grams FROM this_run WHERE grams < $least ORDER BY tree")
    return sql_checks(APPLES, [LIGHT], tmp_path, [])


def evaluate(lake: Lake, checks: AssetChecksDefinition, tags: dict[str, str]) -> AssetCheckEvaluation:
    with DagsterInstance.ephemeral() as instance:
        result = materialize([apples, checks], instance=instance, resources={"lake": lake}, tags=tags)
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation


def test_a_check_passes_where_its_query_finds_nothing(lake: Lake, checks: AssetChecksDefinition) -> None:
    assert evaluate(lake, checks, {"dagster/partition": "a"}).passed


def test_a_check_looks_at_the_partitions_of_its_run_only(lake: Lake, checks: AssetChecksDefinition) -> None:
    evaluation = evaluate(
        lake, checks, {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    )
    assert not evaluation.passed
    assert evaluation.severity == AssetCheckSeverity.WARN
    assert evaluation.metadata["failures"].value == 1
    assert "| b | 10 |" in str(evaluation.metadata["rows"].value)


def test_a_check_run_by_hand_looks_at_the_whole_table(lake: Lake, checks: AssetChecksDefinition) -> None:
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [apples, checks], selection=AssetSelection.checks(checks), instance=instance, resources={"lake": lake}
        )
        (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.metadata["failures"].value == 2


def test_every_offending_row_is_counted_though_few_are_shown(tmp_path: Path) -> None:
    (tmp_path / "light.sql").write_text("SELECT range AS grams FROM range($least)")
    with duckdb.connect() as connection:
        result = sql_result(connection, replace(LIGHT, parameters={"least": 2345}), tmp_path, "apples")
    assert result.metadata["failures"].value == 2345
    assert "| 11 |" in str(result.metadata["rows"].value)
    assert "| 12 |" not in str(result.metadata["rows"].value)
