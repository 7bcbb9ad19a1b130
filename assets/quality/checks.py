"""Checks of the scores: one SQL file per check in `checks/`, and one check per signal of a plug-in."""

from pathlib import Path

from dagster import AssetChecksDefinition, AssetCheckSeverity

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.check_files import Check, Queryable, query_rows
from assets.framework.checks import table_checks
from assets.quality.schema import SCORED, SIGNALS
from assets.quality.signal_plugins import Signal
from assets.seeds.schema import SEEDS
from resources.plugins import Plugin

FOLDER = Path(__file__).parent / "checks"


def signal_check(plugin: Plugin[Signal]) -> Check[Queryable]:
    """The check of a plug-in's signal: values are there where they have to be, and within the limit."""
    name, column, limit = plugin.name, plugin.value.column, plugin.value.limit
    beyond = f"\"{name}\" NOT BETWEEN '{limit.least}'::DOUBLE AND '{limit.most}'::DOUBLE" if limit else "false"
    if limit and limit.rejects:
        beyond += " AND accepted AND decided_by = 'rules'"
    query = f"""
        SELECT dialogue_id, "{name}", CASE WHEN "{name}" IS NULL THEN 'no value' ELSE 'not {limit}' END AS fault
        FROM this_run
        WHERE status = 'complete' AND ({beyond} OR "{name}" IS NULL AND NOT {column.nullable})
        UNION ALL
        SELECT NULL, NULL, 'no dialogue has a value' FROM this_run HAVING count(*) > 0 AND count("{name}") = 0
    """  # noqa: S608 - a checked name and numbers
    expected = "Some dialogue" if column.nullable else "Every complete dialogue"
    within = f", and that of {'an accepted one' if limit.rejects else 'each'} is {limit}" if limit else ""
    return Check(
        f"signal_{name}",
        f"{expected} has a value of the plug-in {name}{within}.",
        lambda run: query_rows(run.connection, query),
        AssetCheckSeverity.WARN,
        query=query,
    )


CHECKS: list[AssetChecksDefinition] = [
    table_checks(
        SCORED, FOLDER, [DIALOGUES, DIALOGUE_PLANS, SEEDS], [signal_check(one) for one in SIGNALS.plugins.values()]
    )
]
