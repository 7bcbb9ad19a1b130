"""Housekeeping: journals of what is released are let go."""

from datetime import UTC, datetime, timedelta

from dagster import Config, OpExecutionContext, ResourceParam, job, op
from pydantic import Field

from assets.boost_qa.release import latest_release
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.quality.configuration import QualityRules
from assets.quality.schema import SCORED
from assets.quality.standing import expected_fingerprints, lesson_standings
from resources.chat.journal import sweep_journal
from resources.chat.profile import Profile
from resources.chat.service import ChatService
from resources.lake import Lake


class SweepConfig(Config):
    """What to let go."""

    older_than_days: float = Field(
        default=7.0, ge=0, description="Only lessons whose dialogues and scores were written before that."
    )


def sweep_released(lake: Lake, profile: Profile, prompts: PromptBook, rules: QualityRules, before: datetime) -> int:
    """Delete the journals of lessons that are current and whose very files the newest release was made of.

    Their answers stand in the tables; a lesson that is stale or failed keeps its journal, from which it is made anew.

    Returns:
        How many files were deleted.

    Raises:
        NoRelease: nothing was released yet.
    """
    released = {(row["lesson"], row["scores"]) for row in latest_release(lake).manifest["lineage"]}
    swept = 0
    for standing in lesson_standings(lake, expected_fingerprints(profile, prompts, rules)):
        scored = standing.scored
        if standing.why or scored is None or (standing.key, scored.fingerprint) not in released:
            continue
        if scored.written_at < before:
            swept += sum(sweep_journal(lake.store, f"{table.name}/{standing.key}") for table in (DIALOGUES, SCORED))
    return swept


@op(description="Delete the journals of released lessons; their answers stand in the tables.")
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
    context.log.info(f"{swept} journal files of released lessons deleted")


@job(description="Delete the journals of lessons that are released and current. A lesson that is made anew pays again.")
def sweep_journals() -> None:
    sweep()
