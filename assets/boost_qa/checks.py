"""Checks of the latest release, on its files: the gates (`gates/`), the SQL files in `checks/`, and two more."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import duckdb
from dagster import AssetChecksDefinition

from assets.boost_qa.assembly import stream
from assets.boost_qa.decontamination import open_screen
from assets.boost_qa.gates import GATES, contaminated_rows
from assets.boost_qa.release import HOME, RELEASES, Release, create_release_views
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.check_files import Check, OffendingRow, sql_checks
from assets.framework.checks import CheckRun, NothingToCheck, asset_checks
from assets.framework.publication import wrong_files
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS

FOLDER = Path(__file__).parent / "checks"


class ReleaseCheckRun(CheckRun):
    """The latest release. Views: `released`, `removed`, `previous` (a release), and `taken_scores`: the scores of the
    release's partitions that were not scored again since."""

    @cached_property
    def release(self) -> Release:
        """The latest release."""
        return RELEASES.latest(self.lake)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Raises NothingToCheck where a file of the release is missing."""
        if missing := [path for path in self.release.files("") if not self.lake.store.exists(path)]:
            raise NothingToCheck(f"missing files: {', '.join(missing)}")
        lineage = {(entry["partition"], entry["scores"]) for entry in self.release.manifest["lineage"]}
        unchanged = [record for record in self.lake.records(SCORED) if (record.name, record.fingerprint) in lineage]
        connection = self.lake.connect([SCORED, SEEDS, DIALOGUE_PLANS], only={"taken_scores": unchanged})
        create_release_views(connection, self.lake, self.release, "released")
        connection.execute("CREATE VIEW removed AS FROM released_removed")
        previous = self.release.manifest["previous"]  # may be deleted by now: then there is nothing to compare with
        earlier = RELEASES.find(self.lake, RELEASES.folder(previous)) if previous else None
        create_release_views(connection, self.lake, earlier, "previous")
        return connection


def _contaminated(run: ReleaseCheckRun) -> Iterator[OffendingRow]:
    rows, rules = stream(run.connection, "FROM released"), run.resources["release_rules"]
    screen = open_screen(rules.benchmarks, rules.contamination_words, run.lake.s3)
    return ({"id": row} for row in contaminated_rows(rows, screen))


ALL_CHECKS: list[Check[ReleaseCheckRun]] = [
    Check(
        "complete",
        "latest.json points to a release with a manifest, and its files are what the manifest says.",
        lambda run: wrong_files(run.lake, run.release.folder, run.release.manifest["files"]),
    ),
    Check("contamination", "No row shares a run of words, or a question, with a configured benchmark.", _contaminated),
    *GATES,
    *sql_checks(FOLDER),
]

CHECKS: list[AssetChecksDefinition] = [asset_checks(HOME, ALL_CHECKS, ReleaseCheckRun, ["release_rules", "scenarios"])]
