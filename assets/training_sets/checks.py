"""Checks of the latest training sets, across the variants."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from assets.boost_qa.assembly import stream
from assets.boost_qa.checks import wrong_files
from assets.boost_qa.release import create_view
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.check_files import Check
from assets.framework.checks import CheckRun, SqlCheck, asset_checks, found_result, sql_result, table_checks
from assets.framework.partitions import VARIANTS
from assets.seeds.schema import SEEDS
from assets.training_sets.ablations import ABLATIONS
from assets.training_sets.augmented import AUGMENTERS
from assets.training_sets.gradient_features import FEATURE_SETS
from assets.training_sets.noise import keeps_spared
from assets.training_sets.pools import pool_files
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES
from assets.training_sets.variants import HOME, QUERIES, TRAINING_SETS, TrainingSet
from resources.lake.tables import Lake

FOLDER = Path(__file__).parent / "checks"
SQL_CHECKS = (
    SqlCheck(
        "same_seeds",
        "unlike_release.sql",
        "Every variant has the seeds of `boost_qa` in the same splits; of a pool's, validation and test.",
    ),
    SqlCheck("own_answers", "unlike_answers.sql", "Original pairs are their seeds' own questions and answers."),
    SqlCheck("own_dialogues", "unlike_dialogues.sql", "Ablations hold the release's dialogues of their scenarios."),
    SqlCheck(
        "split_leakage",
        "leakage.sql",
        "In each variant a seed, its near-duplicates and its question share one split.",
    ),
    SqlCheck("lineage", "lineage.sql", "Every row's seed is in raw_seeds, or in the pool that its set was taken from."),
)
COMPLETE = AssetCheckSpec(
    "complete", asset=HOME, description="Every variant's files have the size and hash that its manifest says."
)
SAME_RELEASE = AssetCheckSpec(
    "same_release",
    asset=HOME,
    description="All variants are of one release and of one size, so that models tuned on them can be compared.",
)
DIFFERENT = AssetCheckSpec("different", asset=HOME, description="No two variants hold the same rows.")
NOISE_SPARES = AssetCheckSpec(
    "noise_spares", asset=HOME, description="Noise left code, formulas, numbers and answers in [x] as they were."
)


@multi_asset_check(
    name="training_sets_checks",
    specs=[
        COMPLETE,
        SAME_RELEASE,
        DIFFERENT,
        NOISE_SPARES,
        *(AssetCheckSpec(check.name, asset=HOME, description=check.description) for check in SQL_CHECKS),
    ],
    can_subset=True,
)
def training_sets_checks(context: AssetCheckExecutionContext, lake: ResourceParam[Lake]) -> Iterator[AssetCheckResult]:
    """All checks of the variants made so far; only those of `boost_qa`'s release are compared with it."""
    asked = {key.name for key in context.selected_asset_check_keys}
    made = {variant: found for variant in VARIANTS if (found := TRAINING_SETS.find_latest(lake, variant))}
    if COMPLETE.name in asked:
        wrong = [
            {"variant": variant, **fault}
            for variant, found in made.items()
            for fault in wrong_files(lake, found.data_folder, found.data_files)
        ]
        missing = [] if made else [{"variant": "any", "file": "-", "fault": "no training set was made yet"}]
        yield found_result(HOME, COMPLETE.name, wrong + missing)
    if SAME_RELEASE.name in asked:
        sizes = [
            {"variant": variant, "release": found.manifest["release"], "rows": str(found.manifest["rows"])}
            for variant, found in made.items()
        ]
        alike = len({(size["release"], size["rows"]) for size in sizes}) <= 1
        yield found_result(HOME, SAME_RELEASE.name, [] if alike else sizes, AssetCheckSeverity.WARN)
    compared = _of_one_release(made)
    if DIFFERENT.name in asked:
        yield found_result(HOME, DIFFERENT.name, _same_rows(compared))
    with lake.connect([SEEDS]) as connection:
        _offer_sets(connection, lake, compared)
        if NOISE_SPARES.name in asked:
            yield found_result(HOME, NOISE_SPARES.name, _not_spared(connection))
        for check in SQL_CHECKS:
            if check.name in asked:
                yield sql_result(connection, check, FOLDER, HOME)


def _of_one_release(made: Mapping[str, TrainingSet]) -> dict[str, TrainingSet]:
    """The sets of the release that `boost_qa` points to; none where that was not made."""
    if "boost_qa" not in made:
        return {}
    release = made["boost_qa"].manifest["release"]
    return {variant: found for variant, found in made.items() if found.manifest["release"] == release}


def _same_rows(made: Mapping[str, TrainingSet]) -> list[dict[str, str]]:
    holders: dict[str, list[str]] = {}
    for variant, found in made.items():
        holders.setdefault(found.manifest["rows_sha256"], []).append(variant)
    return [{"rows": digest[:16], "variants": ", ".join(names)} for digest, names in holders.items() if len(names) > 1]


def _offer_sets(connection: duckdb.DuckDBPyConnection, lake: Lake, made: Mapping[str, TrainingSet]) -> None:
    """Views `sets` (rows with their variant), `pools` (variant, seed_id) and `ablations` (variant, scenario)."""
    parts = ["SELECT NULL::VARCHAR AS variant, * FROM nothing"]
    pools = ["SELECT NULL::VARCHAR, NULL::VARCHAR WHERE false"]
    create_view(connection, "nothing", RELEASE_ROW, [])
    for variant, found in made.items():
        create_view(connection, f"set_{variant}", RELEASE_ROW, map(lake.store.uri, found.files("data/")))
        parts.append(f"SELECT '{variant}', * FROM set_{variant}")  # noqa: S608 - our own names
        if files := pool_files(lake, found):
            create_view(connection, f"pool_{variant}", RELEASE_ROW, map(lake.store.uri, files))
            pools.append(f"SELECT '{variant}', seed_id FROM pool_{variant}")  # noqa: S608
    connection.execute(f"CREATE VIEW sets AS {' UNION ALL '.join(parts)}")
    connection.execute(f"CREATE VIEW pools(variant, seed_id) AS {' UNION ALL '.join(pools)}")
    kept = [(variant, scenario) for variant, scenarios in ABLATIONS.items() for scenario in sorted(scenarios)]
    columns = {"variant": [variant for variant, _ in kept], "scenario": [scenario for _, scenario in kept]}
    connection.register("ablations", pa.table(columns))


def _not_spared(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of noisy sets in which something was changed that should have been left alone."""
    sql = (QUERIES / "noisy_pairs.sql").read_text(encoding="utf-8")
    return [
        {"variant": row["variant"], "seed_id": row["seed_id"], "side": side}
        for row in stream(connection, sql.replace("$variants", ", ".join(f"'{name}'" for name in AUGMENTERS)))
        for side in ("question", "answer")
        if not keeps_spared(row[side], row[f"noisy_{side}"])
    ]


def _damaged_features(run: CheckRun) -> list[dict[str, str]]:
    features = FEATURE_SETS.latest(run.lake)
    return wrong_files(run.lake, features.folder, features.manifest["files"])


FEATURES_COMPLETE: Check[CheckRun] = Check(
    "complete", "The latest features have the size and hash that their manifest says.", _damaged_features
)

CHECKS: list[AssetChecksDefinition] = [
    training_sets_checks,
    table_checks(CHAIN_OF_THOUGHT_ANSWERS, FOLDER / CHAIN_OF_THOUGHT_ANSWERS.name, [SEEDS]),
    asset_checks(GRADIENT_FEATURES.name, [FEATURES_COMPLETE], CheckRun),
]
