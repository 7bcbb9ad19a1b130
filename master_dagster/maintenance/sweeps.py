"""Housekeeping: journals of what is released are let go, and what dead writers left behind."""

from dataclasses import dataclass
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
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import expected_fingerprints, partition_statuses
from assets.quality.schema import SCORED
from assets.report.making import HOME as REPORT
from assets.training_programs.specification import HOME as CHECKPOINTS
from assets.training_sets.variants import HOME as TRAINING_SETS
from resources.chat.journal import delete_journal
from resources.chat.profile import Profile
from resources.chat.service import ChatService
from resources.lake.published_folders import MANIFEST
from resources.lake.store import StoredFile
from resources.lake.tables import Lake
from resources.training_jobs.job import MESSAGES

# Where folders with a manifest are, and how many levels below.
PUBLISHED = {f"{BOOST_QA}/releases": 1, TRAINING_SETS: 2, CHECKPOINTS: 3, BROWSER: 2, REPORT: 1}
SHOWN = 50


class SweepConfig(Config):
    """What to let go."""

    older_than_days: float = Field(
        default=7.0, ge=0, description="Only partitions whose dialogues and scores were written before that."
    )


def sweep_released(lake: Lake, profile: Profile, prompts: PromptBook, rules: QualityRules, before: datetime) -> int:
    """Delete the journals of partitions that are current and whose very files the newest release was made of.

    Their answers stand in the tables; a partition that is stale or failed keeps its journal, from which it is made anew.

    Returns:
        How many files were deleted.

    Raises:
        NotPublished: nothing was released yet.
    """
    released = {(row["partition"], row["scores"]) for row in RELEASES.latest(lake).manifest["lineage"]}
    swept = 0
    for status in partition_statuses(lake, expected_fingerprints(profile, prompts, rules)):
        scored = status.scored
        if status.why or scored is None or (status.key, scored.fingerprint) not in released:
            continue
        if scored.written_at < before:
            swept += sum(delete_journal(lake.store, f"{table.name}/{status.key}") for table in (DIALOGUES, SCORED))
    return swept


@op(description="Delete the journals of released partitions; their answers stand in the tables.")
def sweep(
    context: OpExecutionContext,
    config: SweepConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> None:
    before = datetime.now(UTC) - timedelta(days=config.older_than_days)
    swept = sweep_released(lake, chat.profile, prompts, quality_rules, before)
    context.log.info(f"{swept} journal files of released partitions deleted")


@job(
    description="Delete the journals of partitions that are released and current. A partition that is made anew pays again."
)
def sweep_journals() -> None:
    sweep()


class LeftoversConfig(Config):
    """Which leftovers."""

    older_than_days: float = Field(
        default=14.0,
        ge=1,
        description="Only what nobody wrote to for so long; a running job writes all the time.",
    )
    dry_run: bool = Field(default=False, description="Tell what would be deleted, and delete nothing.")


@dataclass(frozen=True)
class Leftovers:
    """What was deleted, by kind; paths relative to the lake."""

    unfinished_files: list[str]  # temporary files, uploads in parts
    unfinished_folders: list[str]  # of releases, training sets, checkpoints: no manifest
    messages: list[str]  # what the jobs of finished checkpoints told their runs


def sweep_leftovers(lake: Lake, before: datetime, dry_run: bool = False) -> Leftovers:
    """Delete what writers that died left behind, and what finished jobs told, if untouched since `before`.

    A folder without manifest is unfinished. Any younger file in it, such as the heartbeat of a running job, keeps it.
    """
    unfinished_folders, messages = [], []
    for home, depth in PUBLISHED.items():
        for folder, files in _folders(lake, home, depth).items():
            if any(file.path == f"{folder}/{MANIFEST}" for file in files):
                messages += [file.path for file in files if file.modified < before and _is_message(file.path, folder)]
            elif all(file.modified < before for file in files):
                unfinished_folders.append(folder)
    if not dry_run:
        for path in [*messages, *(path for folder in unfinished_folders for path in _still_old(lake, folder, before))]:
            lake.store.delete(path)
    return Leftovers(lake.store.sweep_unfinished(before, dry_run), unfinished_folders, messages)


def _folders(lake: Lake, home: str, depth: int) -> dict[str, list[StoredFile]]:
    """The files of each folder `depth` levels below `home`."""
    found: dict[str, list[StoredFile]] = {}
    for file in lake.store.list(home):
        below = file.path.removeprefix(f"{home}/").split("/")
        if len(below) > depth:
            found.setdefault("/".join([home, *below[:depth]]), []).append(file)
    return found


def _still_old(lake: Lake, folder: str, before: datetime) -> list[str]:
    """The files of an unfinished folder; none if somebody has begun to write to it meanwhile."""
    files = lake.store.list(folder)
    return [file.path for file in files] if all(file.modified < before for file in files) else []


def _is_message(path: str, folder: str) -> bool:
    return fnmatchcase(path.removeprefix(f"{folder}/"), f"attempts/*/{MESSAGES}/*")


@op(description="Delete temporary files, unfinished uploads and folders, and old messages of finished jobs.")
def delete_leftovers(context: OpExecutionContext, config: LeftoversConfig, lake: ResourceParam[Lake]) -> None:
    before = datetime.now(UTC) - timedelta(days=config.older_than_days)
    found = sweep_leftovers(lake, before, config.dry_run)
    done = "would be deleted" if config.dry_run else "deleted"
    kinds = {
        "unfinished files": found.unfinished_files,
        "unfinished folders": found.unfinished_folders,
        "messages of finished jobs": found.messages,
    }
    context.log.info(", ".join(f"{len(paths)} {kind}" for kind, paths in kinds.items()) + f" {done}")
    context.add_output_metadata(
        {
            "dry run": config.dry_run,
            **{kind: len(paths) for kind, paths in kinds.items()},
            done: MetadataValue.md(_shown(kinds)),
        }
    )


def _shown(kinds: dict[str, list[str]]) -> str:
    lines = []
    for paths in kinds.values():
        lines += [f"- `{path}`" for path in paths[:SHOWN]]
        lines += [f"- and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else []
    return "\n".join(lines) or "nothing"


@job(description="Delete what dead writers left behind: temporary files, unfinished uploads, folders without manifest.")
def sweep_dead_writers() -> None:
    delete_leftovers()


def weekly_sweep(on: bool) -> ScheduleDefinition:
    """The schedule of `sweep_dead_writers`; `on`: runs until it is switched off, not the other way round."""
    return ScheduleDefinition(
        name="weekly_sweep",
        job=sweep_dead_writers,
        cron_schedule="30 4 * * 0",
        default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
        description="Sweeps what dead writers left behind, every Sunday. "
        + ("On until switched off." if on else "Off until switched on."),
    )
