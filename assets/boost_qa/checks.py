"""Checks of the latest release, on its published files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import open_screen
from assets.boost_qa.gates import contaminated_rows
from assets.boost_qa.release import HOME, RELEASES, Release, create_release_views
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.checks import SqlCheck, found_result, sql_result
from assets.framework.publication import NotPublished
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.lake.store import Store
from resources.lake.tables import Lake

FOLDER = Path(__file__).parent / "checks"
CHUNK = 8 * 2**20  # bytes a request, on S3

SQL_CHECKS = (
    SqlCheck(
        "alternation",
        "alternation.sql",
        "Every conversation is human first, strictly alternating, ends with gpt and has no empty turn, so that "
        "LLaMA-Factory skips none.",
    ),
    SqlCheck("unique", "unique.sql", "No dialogue and no seed stands in the release twice."),
    SqlCheck(
        "split_leakage", "split_leakage.sql", "A seed, its near-duplicates and its analogy partner share one split."
    ),
    SqlCheck("split_pinned", "split_pinned.sql", "Every row is in the split that its dialogue plan pinned."),
    SqlCheck(
        "reconcile",
        "reconcile.sql",
        "Every accepted dialogue of the release's partitions is in it or among what it removed, and nothing else is. "
        "Partitions that were scored again since are left to the next release.",
    ),
    SqlCheck(
        "scenario_mix",
        "scenario_mix.sql",
        "No scenario is nearly absent: in the paper's ablation one or two do worse than the seeds alone.",
        severity=AssetCheckSeverity.WARN,
    ),
    SqlCheck(
        "drift",
        "drift.sql",
        "Rows, scenario mix, lengths and scores are about those of the previous release.",
        severity=AssetCheckSeverity.WARN,
        parameters={"share_points": 0.1, "relative": 0.25},
    ),
)
COMPLETE = AssetCheckSpec(
    "complete",
    asset=HOME,
    description="latest.json points to a release whose manifest is there and whose files are what it says.",
)
CONTAMINATION = AssetCheckSpec(
    "contamination", asset=HOME, description="No row shares a run of words, or a question, with a configured benchmark."
)


@multi_asset_check(
    name="boost_qa_checks",
    specs=[
        COMPLETE,
        CONTAMINATION,
        *(AssetCheckSpec(check.name, asset=HOME, description=check.description) for check in SQL_CHECKS),
    ],
    can_subset=True,
)
def boost_qa_checks(
    context: AssetCheckExecutionContext, lake: ResourceParam[Lake], release_rules: ResourceParam[ReleaseRules]
) -> Iterator[AssetCheckResult]:
    """All checks of the latest release."""
    asked = {key.name for key in context.selected_asset_check_keys}
    try:
        release = RELEASES.latest(lake)
    except NotPublished as error:
        for name in sorted(asked):
            yield found_result(HOME, name, [{"fault": str(error)}])
        return
    if COMPLETE.name in asked:
        yield found_result(HOME, COMPLETE.name, wrong_files(lake, release.folder, release.manifest["files"]))
    absent = [path for path in release.files("") if not lake.store.exists(path)]
    if absent:
        for name in sorted(asked - {COMPLETE.name}):
            yield found_result(HOME, name, [{"file": path, "fault": "is missing"} for path in absent])
        return
    lineage = {(entry["partition"], entry["scores"]) for entry in release.manifest["lineage"]}
    unchanged = [record for record in lake.records(SCORED) if (record.name, record.fingerprint) in lineage]
    with lake.connect([SCORED, SEEDS, DIALOGUE_PLANS], only={"taken_scores": unchanged}) as connection:
        create_release_views(connection, lake, release, "released")
        connection.execute("CREATE VIEW removed AS FROM released_removed")
        create_release_views(connection, lake, _previous(lake, release), "previous")
        if CONTAMINATION.name in asked:
            screen = open_screen(release_rules.benchmarks, release_rules.contamination_words, lake.s3)
            found = contaminated_rows(stream(connection, "FROM released"), screen)
            yield found_result(HOME, CONTAMINATION.name, [{"id": row} for row in found])
        for check in SQL_CHECKS:
            if check.name == "scenario_mix":
                check = replace(check, parameters={"minimum_share": release_rules.minimum_scenario_share})
            if check.name in asked:
                yield sql_result(connection, check, FOLDER, HOME)


def wrong_files(lake: Lake, folder: str, files: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The files (path, bytes, sha256) of an immutable folder that are not what its manifest says."""
    wrong = []
    for file in files:
        try:
            size, digest = _measured(lake.store, f"{folder}/{file['path']}")
        except FileNotFoundError:
            wrong.append({"file": file["path"], "fault": "is missing"})
            continue
        if size != file["bytes"]:
            wrong.append({"file": file["path"], "fault": f"has {size} bytes, not {file['bytes']}"})
        elif digest != file["sha256"]:
            wrong.append({"file": file["path"], "fault": "has another content"})
    return wrong


def _measured(store: Store, path: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with store.open(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _previous(lake: Lake, release: Release) -> Release | None:
    previous = release.manifest["previous"]  # may be deleted by now: then there is nothing to compare with
    return RELEASES.find(lake, RELEASES.folder(previous)) if previous else None


CHECKS: list[AssetChecksDefinition] = [boost_qa_checks]
