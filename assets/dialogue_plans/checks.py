"""Checks of the dialogue plans: one SQL file per check in `checks/`, and the mix of plans beside the rules' shares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
from dagster import AssetChecksDefinition, AssetCheckSeverity

from assets.dialogue_plans.configuration import of_the_whole
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.check_files import Check, query_rows
from assets.framework.checks import TableCheckRun, table_checks
from assets.seeds.schema import EMBEDDINGS, SEEDS

FOLDER = Path(__file__).parent / "checks"
SHARES = Path(__file__).parent / "queries" / "shares.sql"
FEW_PLANS = 300  # up to this number, an uneven mix of scenarios is a warning


def uneven(connection: duckdb.DuckDBPyConnection, column: str, expected: Mapping[str, float]) -> list[dict[str, Any]]:
    """Values of `scenario` or `split` over all plans whose share is not about the expected one (`shares.sql`)."""
    parameters = {"column": column, "values": list(expected), "shares": list(expected.values())}
    return list(query_rows(connection, SHARES.read_text(encoding="utf-8"), parameters))


def _severity(run: TableCheckRun) -> AssetCheckSeverity:
    plans = sum(record.rows for record in run.lake.records(DIALOGUE_PLANS))
    return AssetCheckSeverity.ERROR if plans > FEW_PLANS else AssetCheckSeverity.WARN


PYTHON_CHECKS = [
    Check(
        "scenario_balance",
        "Over all plans, each scenario has about the share that the rules give it.",
        lambda run: uneven(
            run.connection, "scenario", run.resources["plan_rules"].scenario_shares(run.resources["scenarios"])
        ),
        _severity,
    ),
    Check(
        "split_shares",
        "Over all plans, each split has about the share that the rules give it.",
        lambda run: uneven(run.connection, "split", of_the_whole(run.resources["plan_rules"].splits.shares)),
        AssetCheckSeverity.WARN,
    ),
]

CHECKS: list[AssetChecksDefinition] = [
    table_checks(DIALOGUE_PLANS, FOLDER, [SEEDS, EMBEDDINGS], PYTHON_CHECKS, resources=["plan_rules", "scenarios"])
]
