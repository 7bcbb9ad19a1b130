"""Checks of the dialogues: one SQL file per check in `checks/`, and the order of turns as the scenarios declare it."""

from collections.abc import Iterator
from pathlib import Path

from dagster import AssetChecksDefinition

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.check_files import Check, OffendingRow, Queryable, query_rows
from assets.framework.checks import table_checks
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.seeds.schema import SEEDS

FOLDER = Path(__file__).parent / "checks"
ORDERS = Path(__file__).parent / "queries" / "orders.sql"


def _turns_out_of_order(run: Queryable) -> Iterator[OffendingRow]:
    """Orders of turns that are not those of their scenario, each with a dialogue that has it."""
    scenarios: Scenarios = run.resources["scenarios"]
    for row in query_rows(run.connection, ORDERS.read_text(encoding="utf-8")):
        scenario = scenarios.get(row["scenario"])
        if row["silent"] or scenario is None or not _in_order(scenario, row):
            yield {name: row[name] for name in ("dialogue_id", "dialogues", "scenario", "speakers", "sides")}


def _in_order(scenario: Scenario, row: OffendingRow) -> bool:
    said = list(zip(row["speakers"], row["roles"], strict=True))
    complete = scenario.is_complete(said, row["repetitions"])
    return complete and [scenario.side(speaker) for speaker in row["speakers"]] == row["sides"]


PYTHON_CHECKS = [
    Check(
        "turns_in_order",
        "In complete dialogues speakers, roles and sides are those of the scenario, in its order, and every turn has a "
        "text.",
        _turns_out_of_order,
        blocking=True,
        query=ORDERS.read_text(encoding="utf-8"),
    ),
]

CHECKS: list[AssetChecksDefinition] = [
    table_checks(DIALOGUES, FOLDER, [DIALOGUE_PLANS, SEEDS], PYTHON_CHECKS, resources=["scenarios"])
]
