"""Checks of the dialogue plans. What each looks for is its file in `checks/`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    ResourceParam,
    multi_asset_check,
)

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.checks import SqlCheck, sql_checks
from assets.framework.ui_metadata import table_markdown
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake

QUERIES = Path(__file__).parent / "checks"
FEW_PLANS = 300  # up to so many, an uneven mix of scenarios is a remark and not a failure

PLANS = (
    SqlCheck("one_plan_a_seed", "one_plan_a_seed.sql", "Every seed of a planned shard has one plan.", blocking=True),
    SqlCheck(
        "duplicates_in_one_split",
        "duplicates_in_one_split.sql",
        "A seed and its duplicates are in one split.",
        blocking=True,
    ),
    SqlCheck(
        "partner_fits",
        "partner_fits.sql",
        "An analogy's partner is another question of the same source and split; other scenarios have none.",
        blocking=True,
    ),
    SqlCheck("debates_have_rounds", "debates_have_rounds.sql", "Debates have one or two rounds, others none."),
)
SHARES = [
    AssetCheckSpec(
        name="scenario_balance",
        asset=DIALOGUE_PLANS.name,
        description="Over all plans, each scenario has about the share that the rules give it.",
    ),
    AssetCheckSpec(
        name="split_shares",
        asset=DIALOGUE_PLANS.name,
        description="Over all plans, each split has about the share that the rules give it.",
    ),
]


@multi_asset_check(name="dialogue_plans_shares", specs=SHARES, can_subset=True)
def shares(
    context: AssetCheckExecutionContext, lake: ResourceParam[Lake], plan_rules: ResourceParam[PlanRules]
) -> Iterator[AssetCheckResult]:
    """Compare the plans' mix with the rules' shares."""
    asked = {key.name for key in context.selected_asset_check_keys}
    many = sum(record.rows for record in lake.records(DIALOGUE_PLANS)) > FEW_PLANS
    for name, column, expected, strict in (
        ("scenario_balance", "scenario", plan_rules.scenarios.expected, many),
        ("split_shares", "split", plan_rules.splits.expected, False),
    ):
        if name in asked:
            found = uneven(lake, column, expected)
            yield AssetCheckResult(
                check_name=name,
                asset_key=DIALOGUE_PLANS.name,
                passed=not found,
                severity=AssetCheckSeverity.ERROR if strict else AssetCheckSeverity.WARN,
                metadata={"failures": MetadataValue.int(len(found)), "rows": table_markdown(found)},
            )


def uneven(lake: Lake, column: str, expected: Mapping[str, float]) -> list[dict[str, Any]]:
    """Values of `scenario` or `split` over all plans whose share is not about the expected one (`shares.sql`)."""
    query = (QUERIES / "shares.sql").read_text(encoding="utf-8")
    parameters = {"column": column, "values": list(expected), "shares": list(expected.values())}
    with lake.connect([DIALOGUE_PLANS]) as connection:
        rows = connection.execute(query, parameters).fetchall()
    return [dict(zip((column, "plans", "share", "expected"), row, strict=True)) for row in rows]


CHECKS: list[AssetChecksDefinition] = [sql_checks(DIALOGUE_PLANS, PLANS, QUERIES, [SEEDS]), shares]
