"""Checks in files: what is read from them, what is wrong with them, and how Dagster runs them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandera.polars as pa
import polars as pl
import pytest
from dagster import (
    AssetCheckKey,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetSelection,
    BackfillPolicy,
    DagsterInstance,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    asset,
    materialize,
)

from assets.framework.check_files import Check, OpenConnection, sql_checks
from assets.framework.checks import NothingToCheck, TableCheckRun, failure_text, table_checks
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake, Table
from resources.outside_text import WORD_JOINER

APPLES = Table("apples", ("tree",), pa.DataFrameSchema({"tree": pa.Column(pl.String), "grams": pa.Column(pl.Int64)}))
PEARS = Table("pears", ("tree",), APPLES.schema)
LIGHT = """\
-- description: Every apple weighs enough,
--   also a small one.
-- severity: warn
-- parameters: {least: $weights.apples.least}
-- advice: Wait until they are ripe.
--
-- description: this is a comment for the reader
SELECT tree, grams FROM this_run WHERE grams < $least ORDER BY tree"""
EMPTY = """\
-- description: No tree is without apples.
-- blocking: true
SELECT partition FROM this_run_partitions WHERE rows = 0"""
PEARED = """\
-- description: Every tree has as many apples as pears.
SELECT partition FROM this_run_partitions AS apples
LEFT JOIN pears_partitions AS pears USING (partition)
WHERE pears.rows IS DISTINCT FROM apples.rows"""
WEIGHTS = SimpleNamespace(apples=SimpleNamespace(least=50))


def ask_somebody(run: TableCheckRun) -> list[Any]:
    """A check in Python that has nothing to look at."""
    raise NothingToCheck(f"there is nobody who knows {run.resources['weights'].apples.least}")


@asset(
    name="apples",
    partitions_def=StaticPartitionsDefinition(["a", "b", "c"]),
    backfill_policy=BackfillPolicy.single_run(),
)
def apples(context: AssetExecutionContext) -> None:
    """Weighed beforehand."""


@asset(deps=[apples])
def cider() -> None:
    """Made of apples."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.at(str(tmp_path / "lake"))
    for tree, grams in {"a": 100, "b": 10, "c": 20}.items():
        lake.write(APPLES, {"tree": tree}, APPLES.frame([{"tree": tree, "grams": grams}]), fingerprint="f")
    return lake


@pytest.fixture
def checks(tmp_path: Path) -> AssetChecksDefinition:
    for name, text in {"no_light_apples": LIGHT, "no_empty_tree": EMPTY, "as_many_pears": PEARED}.items():
        (tmp_path / f"{name}.sql").write_text(text)
    known = Check("known", "Somebody knows it.", ask_somebody)
    return table_checks(APPLES, tmp_path, [PEARS], [known], resources=["weights"])


def run(lake: Lake, checks: AssetChecksDefinition, *partitions: str, **options: Any) -> ExecuteInProcessResult:
    tags = {f"dagster/asset_partition_range_{end}": partitions[place] for end, place in (("start", 0), ("end", -1))}
    return materialize(
        [apples, cider, checks],
        instance=DagsterInstance.ephemeral(),
        resources={"lake": lake, "weights": WEIGHTS},
        tags=tags if partitions[0] else {},
        raise_on_error=False,
        **options,
    )


def light(result: ExecuteInProcessResult) -> Any:
    return next(one for one in result.get_asset_check_evaluations() if one.check_name == "no_light_apples")


@pytest.mark.parametrize(
    ("partitions", "failures"), [(["a", "a"], 0), (["a", "b"], 1), (["a", "c"], 2)], ids=["a", "a-b", "a-c"]
)
def test_a_check_looks_at_the_partitions_of_its_run_only(
    lake: Lake, checks: AssetChecksDefinition, partitions: list[str], failures: int
) -> None:
    found = light(run(lake, checks, *partitions, selection=["apples"]))
    assert (found.passed, found.severity) == (failures == 0, AssetCheckSeverity.WARN)
    assert found.metadata["failures"].value == failures
    assert found.metadata["partitions"].value == len({*"abc"[: "abc".index(partitions[1]) + 1]})
    assert ("| b | 10 |" in str(found.metadata["rows"].value)) == (failures > 0)
    count = {0: "", 1: "1 row offends", 2: "2 rows offend, the first"}[failures]
    assert found.description == (
        f"{count}: tree b, grams 10 (limits: least 50). Wait until they are ripe." if count else None
    )


def test_a_check_run_by_hand_looks_at_the_whole_table(lake: Lake, checks: AssetChecksDefinition) -> None:
    assert light(run(lake, checks, "", selection=AssetSelection.checks(checks))).metadata["failures"].value == 2


def test_only_the_selected_checks_run(lake: Lake, checks: AssetChecksDefinition) -> None:
    one = AssetSelection.checks(AssetCheckKey(apples.key, "as_many_pears"))
    (found,) = run(lake, checks, "", selection=one).get_asset_check_evaluations()
    assert (found.check_name, found.passed, found.metadata["failures"].value) == ("as_many_pears", False, 3)


def test_a_check_without_anything_to_look_at_fails_and_says_so(lake: Lake, checks: AssetChecksDefinition) -> None:
    one = AssetSelection.checks(AssetCheckKey(apples.key, "known"))
    (found,) = run(lake, checks, "", selection=one).get_asset_check_evaluations()
    assert not found.passed
    assert "there is nobody who knows 50" in str(found.metadata["rows"].value)


@pytest.mark.parametrize(("rows", "made"), [([{"tree": "a", "grams": 9}], {"apples", "cider"}), ([], {"apples"})])
def test_a_failed_blocking_check_stops_later_assets(
    lake: Lake, checks: AssetChecksDefinition, rows: list[Any], made: set[str]
) -> None:
    lake.write(APPLES, {"tree": "a"}, APPLES.frame(rows), fingerprint="g")
    result = run(lake, checks, "")
    assert {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()} == made


@pytest.mark.parametrize(
    ("value", "described"),
    [
        ("error_correction|sums-0000", "error_correction|sums-0000"),
        ("[a](https://evil.example)", f"\\[a\\](https:\\//{WORD_JOINER}evil.example)"),
        ("www.evil.example", f"www{WORD_JOINER}.evil.example"),
    ],
)
def test_a_description_which_the_ui_renders_as_markdown_has_no_links_from_a_row(value: str, described: str) -> None:
    text = failure_text(1, {"row": value}, {}, "Look at it.")
    assert text == f"1 row offends: row {described}. Look at it."


def test_every_offending_row_is_counted_though_few_are_shown(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "many.sql").write_text("-- description: None.\nSELECT range AS number FROM range(2345)")
    (found,) = run(lake, table_checks(APPLES, tmp_path), "").get_asset_check_evaluations()
    assert found.metadata["failures"].value == 2345
    assert "| 11 |" in str(found.metadata["rows"].value)
    assert "| 12 |" not in str(found.metadata["rows"].value)


def test_a_file_is_a_check_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "no_light_apples.sql").write_text(LIGHT)
    (tmp_path / "no_empty_tree.sql").write_text(EMPTY)
    empty, light = sql_checks(tmp_path)
    assert (light.name, light.description, light.severity, light.blocking, light.resources) == (
        "no_light_apples",
        "Every apple weighs enough, also a small one.",
        AssetCheckSeverity.WARN,
        False,
        {"weights"},
    )
    assert (empty.name, empty.severity, empty.blocking) == ("no_empty_tree", AssetCheckSeverity.ERROR, True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c", "SELECT 1", "c.sql:1: the file begins without settings"),
        ("c", "-- severity: warn\nSELECT 1", "c.sql:1: description: has to be given"),
        (
            "c",
            "-- description: D.\n-- severity: warn\n-- blocking: true\nSELECT 1",
            "blocking: true needs severity: error",
        ),
        ("c", "-- description: D.\n-- severity: bad\nSELECT 1", "c.sql:2: severity: Input should be 'error' or 'warn'"),
        (
            "c",
            "-- description: D.\n-- blokcing: true\nSELECT 1",
            "c.sql:2: blokcing: there is no such key; is blocking",
        ),
        ("c", "-- description: D.\n-- parameters: {a\nSELECT 1", "c.sql:2: the comment at the top is not valid YAML"),
        ("c", "-- description: D.\n\nSELEC 1", "c.sql:3: Parser Error: syntax error"),
        ("c", "-- description: D.\nSELECT 1; SELECT 2", "c.sql:1: the file has to hold one SQL statement"),
        ("c", "-- description: D.\nSELECT $a", "c.sql:2: parameter a: `parameters` does not give its value"),
        ("c", "-- description: D.\n-- parameters: {a: 1}\nSELECT 1", "c.sql:2: parameter a: the query does not use it"),
        ("a check", "-- description: D.\nSELECT 1", "a check.sql:1: name the file as the check"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / f"{name}.sql").write_text(text)
    with pytest.raises(ConfigurationError) as error:
        sql_checks(tmp_path)
    assert message in str(error.value)


def test_all_malformed_files_are_named_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1")
    with pytest.raises(ConfigurationError, match=r"a.sql:1: (.|\n)*b.sql:1: "):
        sql_checks(tmp_path)


def test_a_folder_without_checks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file"):
        sql_checks(tmp_path)


def test_a_setting_that_the_resource_lacks_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "light.sql").write_text(LIGHT.replace("apples.least", "apples.most"))
    (check,) = sql_checks(tmp_path)
    with (
        duckdb.connect() as connection,
        pytest.raises(ConfigurationError, match=r"light.sql: parameter least is .*most"),
    ):
        list(check.find(OpenConnection(connection, {"weights": WEIGHTS})))
