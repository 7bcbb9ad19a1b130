"""Checks of the latest training sets, across the variants."""

from collections.abc import Iterator
from pathlib import Path

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from assets.boost_qa.checks import wrong_files
from assets.boost_qa.release import offer
from assets.boost_qa.schema import RELEASE_ROW
from assets.partitions import VARIANTS
from assets.seeds.schema import SEEDS
from assets.sql_checks import SqlCheck, found_result, sql_result
from assets.training_sets.variants import HOME, NoTrainingSet, TrainingSet, latest_training_set
from resources.lake import Lake

FOLDER = Path(__file__).parent / "checks"
SQL_CHECKS = (
    SqlCheck("same_seeds", "unlike_release.sql", "`ori` has the same seeds in the same splits as `boost_qa`."),
    SqlCheck("own_answers", "unlike_answers.sql", "`ori` holds its seeds' own questions and answers, nothing else."),
    SqlCheck("split_leakage", "leakage.sql", "In each variant a seed and its near-duplicates share one split."),
)
COMPLETE = AssetCheckSpec(
    "complete", asset=HOME, description="Every variant's files have the size and hash that its manifest says."
)
SAME_RELEASE = AssetCheckSpec(
    "same_release",
    asset=HOME,
    description="All variants are of one release and of one size, so that models tuned on them can be compared.",
)


@multi_asset_check(
    name="training_sets_checks",
    specs=[
        COMPLETE,
        SAME_RELEASE,
        *(AssetCheckSpec(check.name, asset=HOME, description=check.description) for check in SQL_CHECKS),
    ],
    can_subset=True,
)
def training_sets_checks(context: AssetCheckExecutionContext, lake: ResourceParam[Lake]) -> Iterator[AssetCheckResult]:
    """All checks of the variants made so far; those that compare two wait until both are of one release."""
    asked = {key.name for key in context.selected_asset_check_keys}
    made = {variant: found for variant in VARIANTS if (found := _latest(lake, variant))}
    if COMPLETE.name in asked:
        wrong = [
            {"variant": variant, **fault}
            for variant, found in made.items()
            for fault in wrong_files(lake, found.data_folder, found.data_files)
        ]
        missing = [] if made else [{"variant": "any", "file": "-", "fault": "no training set was made yet"}]
        yield found_result(HOME, COMPLETE.name, wrong + missing)
    sizes = [
        {"variant": variant, "release": found.manifest["release"], "rows": str(found.manifest["rows"])}
        for variant, found in made.items()
    ]
    alike = len({(size["release"], size["rows"]) for size in sizes}) <= 1
    if SAME_RELEASE.name in asked:
        yield found_result(HOME, SAME_RELEASE.name, [] if alike else sizes, AssetCheckSeverity.WARN)
    with lake.connect([SEEDS]) as connection:
        compared = made if alike and len(made) == len(VARIANTS) else {}
        for variant in VARIANTS:
            files = compared[variant].files("data/") if compared else []
            offer(connection, variant, RELEASE_ROW, map(lake.store.uri, files))
        for check in SQL_CHECKS:
            if check.name in asked:
                yield sql_result(connection, check, FOLDER, HOME)


def _latest(lake: Lake, variant: str) -> TrainingSet | None:
    try:
        return latest_training_set(lake, variant)
    except NoTrainingSet:
        return None


CHECKS: list[AssetChecksDefinition] = [training_sets_checks]
