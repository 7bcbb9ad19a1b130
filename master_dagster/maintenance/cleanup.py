"""Deletion of journals that are no longer needed, and of files that interrupted writers left behind."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from dagster import (
    Config,
    DefaultScheduleStatus,
    MetadataValue,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    job,
    op,
)
from pydantic import Field

from assets.boost_qa.release import HOME as BOOST_QA
from assets.boost_qa.release import RELEASES
from assets.dialogue_browser.publishing import HOME as BROWSER
from assets.dialogues.schema import DIALOGUES
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import Expected, expected_fingerprints, partition_statuses
from assets.quality.schema import SCORED
from assets.report.making import HOME as REPORT
from assets.review.schema import REVIEW_SAMPLE
from assets.spending.spending import record_training_hours
from assets.training_programs.specification import HOME as CHECKPOINTS
from assets.training_sets.variants import HOME as TRAINING_SETS
from resources.chat.batches.collection import delete_files
from resources.chat.batches.ledger import all_ledgers, delete_ledger
from resources.chat.journal import delete_journal
from resources.chat.service import ChatService
from resources.lake.published_folders import MANIFEST
from resources.lake.store import StoredFile
from resources.lake.tables import Lake
from resources.training_jobs.job import MESSAGES

# Where folders with a manifest are: the parent folder, and how many levels below it.
PUBLISHED = {f"{BOOST_QA}/releases": 1, TRAINING_SETS: 2, CHECKPOINTS: 3, BROWSER: 2, REPORT: 1, REVIEW_SAMPLE.name: 1}
SHOWN = 50


class JournalConfig(Config):
    """Which journals to delete."""

    older_than_days: float = Field(
        default=7.0, ge=0, description="Only of partitions whose scores were written at least so many days ago."
    )


def delete_journals(lake: Lake, expected: Expected, before: datetime) -> int:
    """Delete the journals of partitions that are current and, in their present version, in the latest release.

    Their answers are in the tables. A stale or failed partition keeps its journal, from which it is made again.

    Returns:
        How many files were deleted.

    Raises:
        NotPublished: nothing was released yet.
    """
    released = {(row["partition"], row["scores"]) for row in RELEASES.latest(lake).manifest["lineage"]}
    deleted = 0
    for status in partition_statuses(lake, expected):
        scored = status.scored
        if status.why or scored is None or (status.key, scored.fingerprint) not in released:
            continue
        if scored.written_at < before:
            for scope in (f"{table.name}/{status.key}" for table in (DIALOGUES, SCORED)):
                deleted += delete_journal(lake.store, scope)
                delete_ledger(lake.store, scope)
    return deleted


@op(description="Deletes the journals of released partitions, whose answers are in the tables.")
def delete_journals_of_released_partitions(
    context: OpExecutionContext,
    config: JournalConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> None:
    before = datetime.now(UTC) - timedelta(days=config.older_than_days)
    delete_files(chat.profile, lake.store, all_ledgers(lake.store))
    deleted = delete_journals(lake, expected_fingerprints(chat.profile, scenarios, prompts, quality_rules), before)
    context.log.info(f"{deleted} journal files of released partitions deleted")


@job(
    description="Deletes the journals of partitions that are released and current. A partition that is later made "
    "again pays for all its answers."
)
def delete_released_journals() -> None:
    delete_journals_of_released_partitions()


class LeftoversConfig(Config):
    """Which leftovers to delete."""

    older_than_days: float = Field(
        default=14.0,
        ge=1,
        description="Only files and folders without a write for so many days; a running job writes all the time.",
    )
    dry_run: bool = Field(default=False, description="List what would be deleted, and delete nothing.")


def remove_leftovers(lake: Lake, before: datetime, dry_run: bool = False) -> dict[str, list[str]]:
    """Delete what interrupted writers left behind, and messages of finished jobs, if not written since `before`.

    A folder without a manifest is unfinished. Any younger file in it, such as the heartbeat of a running job, keeps it.
    The hours of the jobs stay in the record of what was paid.

    Returns:
        What was deleted, or would be in a dry run, by kind: paths relative to the lake.
    """
    unfinished_folders, messages = [], []
    for home, depth in PUBLISHED.items():
        for folder, files in _folders(lake, home, depth).items():
            if any(file.path == f"{folder}/{MANIFEST}" for file in files):
                pattern = f"{folder}/attempts/*/{MESSAGES}/*"
                messages += [file.path for file in files if file.modified < before and fnmatchcase(file.path, pattern)]
            elif all(file.modified < before for file in files):
                unfinished_folders.append(folder)
    if not dry_run:
        record_training_hours(lake)
        for path in [*messages, *(path for folder in unfinished_folders for path in _still_old(lake, folder, before))]:
            lake.store.delete(path)
    return {
        "unfinished files": lake.store.delete_unfinished(before, dry_run),  # temporary files, multipart uploads
        "unfinished folders": unfinished_folders,  # of releases, training sets, checkpoints, …
        "messages of finished jobs": messages,
    }


def _folders(lake: Lake, home: str, depth: int) -> dict[str, list[StoredFile]]:
    """The files of each folder `depth` levels below `home`."""
    found: dict[str, list[StoredFile]] = {}
    for file in lake.store.list(home):
        below = file.path.removeprefix(f"{home}/").split("/")
        if len(below) > depth:
            found.setdefault("/".join([home, *below[:depth]]), []).append(file)
    return found


def _still_old(lake: Lake, folder: str, before: datetime) -> list[str]:
    """The files of an unfinished folder; none if a writer has started to write to it meanwhile."""
    files = lake.store.list(folder)
    return [file.path for file in files] if all(file.modified < before for file in files) else []


@op(description="Deletes temporary files, unfinished uploads and folders, and old messages of finished jobs.")
def delete_old_leftovers(context: OpExecutionContext, config: LeftoversConfig, lake: ResourceParam[Lake]) -> None:
    before = datetime.now(UTC) - timedelta(days=config.older_than_days)
    leftovers = remove_leftovers(lake, before, config.dry_run)
    done = "would be deleted" if config.dry_run else "deleted"
    counts = {kind: len(paths) for kind, paths in leftovers.items()}
    context.log.info(", ".join(f"{count} {kind}" for kind, count in counts.items()) + f" {done}")
    shown = MetadataValue.md("\n".join(_shown(leftovers)) or "nothing")
    context.add_output_metadata({"dry run": config.dry_run, **counts, done: shown})


def _shown(leftovers: Mapping[str, list[str]]) -> Iterator[str]:
    for paths in leftovers.values():
        yield from (f"- `{path}`" for path in paths[:SHOWN])
        if len(paths) > SHOWN:
            yield f"- and {len(paths) - SHOWN} more"


@job(description="Deletes what killed runs left behind: temporary files, unfinished uploads, folders without manifest.")
def delete_leftovers() -> None:
    delete_old_leftovers()


def weekly_cleanup(on: bool) -> ScheduleDefinition:
    """The schedule of `delete_leftovers`. `on`: whether it is on by default."""
    return ScheduleDefinition(
        name="weekly_cleanup",
        job=delete_leftovers,
        cron_schedule="30 4 * * 0",
        default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
        description="Deletes what killed runs left behind, every Sunday.",
    )
