"""Checks of the latest training sets, across the variants, and of what some of them are made of."""

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dagster import AssetChecksDefinition, AssetCheckSeverity

from assets.boost_qa.assembly import stream
from assets.boost_qa.forms import FORMS, PREFERENCE
from assets.boost_qa.release import RELEASES, create_release_views, create_view
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.check_files import Check, sql_checks
from assets.framework.checks import CheckRun, asset_checks, table_checks
from assets.framework.publication import wrong_files
from assets.seeds.schema import SEEDS
from assets.training_sets.ablations import ablations, variants
from assets.training_sets.augmented import AUGMENTERS
from assets.training_sets.gradient_features import FEATURE_SETS
from assets.training_sets.masks import MASKS
from assets.training_sets.noise import keeps_spared
from assets.training_sets.pair_statistics import FEWEST_PAIRS, MUCH_LONGER, pair_statistics
from assets.training_sets.pools import pool_files
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES
from assets.training_sets.variants import HOME, QUERIES, TRAINING_SETS, TrainingSet
from resources.lake.tables import Lake

FOLDER = Path(__file__).parent / "checks"
HIGHEST_SHARE = 0.8
ADVICE = "Select pairs by chosen_role and rejected_role, such as those of two debaters, or shorten the chosen answers."
DIALOGUE_ROWS = {
    "dpo": "dialogue_id, prompt[-1].content AS question, chosen[1].content AS chosen, rejected[1].content AS rejected",
    "kto": "dialogue_id, prompt[-1].content AS question, label",
    "critique": "NULL AS dialogue_id, conversations[1].value AS question",
}
"""The columns of the view `dialogue_rows`, by variant."""


class TrainingSetCheckRun(CheckRun):
    """The latest training set of every variant. The views hold those of `boost_qa`'s release: `sets` (rows with their
    variant) where they have its size, `dialogue_rows` (see `DIALOGUE_ROWS`) of the others, `pools` (variant, seed_id),
    `ablations` (variant, scenario), `raw_seeds`, and the release as `released` and `released_removed`."""

    @cached_property
    def sets(self) -> dict[str, TrainingSet]:
        """By variant."""
        names = variants(self.resources["scenarios"])
        return {variant: found for variant in names if (found := TRAINING_SETS.find_latest(self.lake, variant))}

    @cached_property
    def compared(self) -> dict[str, TrainingSet]:
        """Those of the release, and of the size, that the variant `boost_qa` has; none where that is missing."""
        return {variant: found for variant, found in self.current.items() if found.manifest.get("same_size", True)}

    @cached_property
    def current(self) -> dict[str, TrainingSet]:
        """Those of the release that the variant `boost_qa` is made of; none where that variant is missing."""
        if "boost_qa" not in self.sets:
            return {}
        release = self.sets["boost_qa"].manifest["release"]
        return {variant: found for variant, found in self.sets.items() if found.manifest["release"] == release}

    def connect(self) -> duckdb.DuckDBPyConnection:
        """With the views."""
        connection = self.lake.connect([SEEDS])
        _create_views(connection, self.lake, self.compared)
        _create_dialogue_rows(connection, self.lake, self.current)
        kept = [(variant, name) for variant, names in ablations(self.resources["scenarios"]).items() for name in names]
        columns = {"variant": [variant for variant, _ in kept], "scenario": [name for _, name in kept]}
        connection.register(
            "ablations", pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        )
        if boost_qa := self.sets.get("boost_qa"):
            create_release_views(connection, self.lake, RELEASES.read(self.lake, boost_qa.data_folder), "released")
        else:
            create_release_views(connection, self.lake, None, "released")
        return connection

    @cached_property
    def pairs(self) -> dict[str, Any]:
        """By what else than its content the right answer of a pair can be known; nothing of fewer than FEWEST_PAIRS."""
        if "dpo" not in self.current:
            return {}
        with self.lake.connect([]) as connection:
            files = self.current["dpo"].files("data/")
            create_view(connection, "released", PREFERENCE.schema, map(self.lake.store.uri, files))
            found = pair_statistics(connection)
        return found if found["pairs"] >= FEWEST_PAIRS else {}


def _wrong_files(run: TrainingSetCheckRun) -> list[dict[str, str]]:
    if not run.sets:
        return [{"variant": "any", "file": "-", "fault": "there is no training set yet"}]
    return [
        {"variant": variant, **fault}
        for variant, found in run.sets.items()
        for fault in wrong_files(run.lake, found.data_folder, found.data_files)
    ]


def _several_releases(run: TrainingSetCheckRun) -> list[dict[str, str]]:
    sizes = [
        {"variant": variant, "release": found.manifest["release"], "rows": str(found.manifest["rows"])}
        for variant, found in run.sets.items()
        if found.manifest.get("same_size", True)
    ]
    return sizes if len({(size["release"], size["rows"]) for size in sizes}) > 1 else []


def _same_rows(run: TrainingSetCheckRun) -> list[dict[str, str]]:
    variants: dict[str, list[str]] = {}
    for variant, found in run.compared.items():
        variants.setdefault(found.manifest["rows_sha256"], []).append(variant)
    # the two masks of a release may be one, such as where every answer but the last is wrong
    return [
        {"rows": digest[:16], "variants": ", ".join(names)}
        for digest, names in variants.items()
        if len(names) > 1 and not set(names) <= set(MASKS)
    ]


def _create_views(connection: duckdb.DuckDBPyConnection, lake: Lake, sets: Mapping[str, TrainingSet]) -> None:
    parts = ["SELECT NULL::VARCHAR AS variant, * FROM nothing"]
    pools = ["SELECT NULL::VARCHAR, NULL::VARCHAR WHERE false"]
    create_view(connection, "nothing", RELEASE_ROW, [])
    for variant, found in sets.items():
        create_view(connection, f"set_{variant}", RELEASE_ROW, map(lake.store.uri, found.files("data/")))
        parts.append(f"SELECT '{variant}', * FROM set_{variant}")  # noqa: S608 - our own names
        if files := pool_files(lake, found):
            create_view(connection, f"pool_{variant}", RELEASE_ROW, map(lake.store.uri, files))
            pools.append(f"SELECT '{variant}', seed_id FROM pool_{variant}")  # noqa: S608
    connection.execute(f"CREATE VIEW sets AS {' UNION ALL '.join(parts)}")
    connection.execute(f"CREATE VIEW pools(variant, seed_id) AS {' UNION ALL '.join(pools)}")


def _create_dialogue_rows(connection: duckdb.DuckDBPyConnection, lake: Lake, sets: Mapping[str, TrainingSet]) -> None:
    """The view `dialogue_rows` over the sets that are made of the release's dialogues and are not compared with it."""
    text = ("variant", "id", "dialogue_id", "split", "seed_id", "question", "chosen", "rejected")
    columns_of_none = ", ".join(f"NULL::VARCHAR AS {name}" for name in text)
    parts = [f"SELECT {columns_of_none}, NULL::BOOLEAN AS label WHERE false"]
    for variant, columns in DIALOGUE_ROWS.items():
        if found := sets.get(variant):
            form = FORMS[found.manifest["form"]]
            create_view(connection, f"rows_{variant}", form.schema, map(lake.store.uri, found.files("data/")))
            parts.append(f"SELECT '{variant}' AS variant, id, split, seed_id, {columns} FROM rows_{variant}")  # noqa: S608
    connection.execute(f"CREATE VIEW dialogue_rows AS {' UNION ALL BY NAME '.join(parts)}")


def _beyond_limit(name: str, run: TrainingSetCheckRun) -> list[dict[str, Any]]:
    """The share by which chosen answers can be known from rejected ones, where it is beyond the limit."""
    share = run.pairs.get(name, 0.5)
    return [] if 1 - HIGHEST_SHARE <= share <= HIGHEST_SHARE else [{name: round(share, 3), "pairs": run.pairs["pairs"]}]


def _much_longer(run: TrainingSetCheckRun) -> list[dict[str, Any]]:
    found = run.pairs.get("much_longer", 0)
    return [{"pairs": found}] if found else []


def _not_spared(run: TrainingSetCheckRun) -> list[dict[str, Any]]:
    """Rows of noisy sets in which something was changed that should have been left alone."""
    sql = (QUERIES / "noisy_pairs.sql").read_text(encoding="utf-8")
    return [
        {"variant": row["variant"], "seed_id": row["seed_id"], "side": side}
        for row in stream(run.connection, sql.replace("$variants", ", ".join(f"'{name}'" for name in AUGMENTERS)))
        for side in ("question", "answer")
        if not keeps_spared(row[side], row[f"noisy_{side}"])
    ]


def _damaged_features(run: CheckRun) -> list[dict[str, str]]:
    features = FEATURE_SETS.latest(run.lake)
    return wrong_files(run.lake, features.folder, features.manifest["files"])


ALL_CHECKS: list[Check[TrainingSetCheckRun]] = [
    Check("complete", "Every variant's files have the size and hash that its manifest says.", _wrong_files),
    Check(
        "same_release",
        "All variants are of one release and of one size, so that models tuned on them can be compared.",
        _several_releases,
        AssetCheckSeverity.WARN,
    ),
    Check(
        "length_shows_chosen",
        f"The length of an answer does not show whether it is chosen: the AUC is from {1 - HIGHEST_SHARE:.1f} to "
        f"{HIGHEST_SHARE}.",
        partial(_beyond_limit, "length_auc"),
        AssetCheckSeverity.WARN,
        advice=ADVICE,
    ),
    Check(
        "role_shows_chosen",
        f"The role of an answer does not show whether it is chosen: it is right of {HIGHEST_SHARE:.0%} at most.",
        partial(_beyond_limit, "role_accuracy"),
        AssetCheckSeverity.WARN,
        advice=ADVICE,
    ),
    Check(
        "long_chosen",
        f"No chosen answer is as long as {MUCH_LONGER} rejected ones.",
        _much_longer,
        AssetCheckSeverity.WARN,
        advice=ADVICE,
    ),
    Check("different", "No two variants have the same rows.", _same_rows),
    Check("noise_spares", "Noise left code, formulas, numbers and answers in [x] as they were.", _not_spared),
    *sql_checks(FOLDER / HOME),
]
FEATURES_COMPLETE: Check[CheckRun] = Check(
    "complete", "The latest features have the size and hash that their manifest says.", _damaged_features
)

CHECKS: list[AssetChecksDefinition] = [
    asset_checks(HOME, ALL_CHECKS, TrainingSetCheckRun, ["scenarios"]),
    table_checks(CHAIN_OF_THOUGHT_ANSWERS, FOLDER / CHAIN_OF_THOUGHT_ANSWERS.name, [SEEDS]),
    asset_checks(GRADIENT_FEATURES.name, [FEATURES_COMPLETE], CheckRun),
]
