"""What runs by itself, and the jobs that have names: teaching, publishing, the nightly schedule, the mirror."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetSelection,
    Config,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    OpExecutionContext,
    PartitionKeyRange,
    ResourceParam,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    job,
    op,
    schedule,
)
from pydantic import Field

from assets.dialogues.estimate import dry_run
from assets.dialogues.prompts import PromptBook
from assets.partitions import lessons
from assets.quality.anew import ask_anew
from assets.quality.configuration import QualityRules
from assets.quality.standing import expected_fingerprints, lesson_standings
from assets.seeds.mirror import mirror_shards
from assets.shown import table_markdown
from master_dagster.estimate import headline, matching_lessons, role_rows
from resources.chat.service import ChatService
from resources.lake import Lake

IN_FLIGHT = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# A run whose process was killed outside the daemon's sight (the command line's) stays STARTED for ever. A run's record
# is updated when its status changes, so a run this old may still be alive: its lessons are then made by two runs, of
# which the later pays only for what the journal does not hold.
LONGEST_RUN = timedelta(hours=24)

teach_and_score = define_asset_job(
    "teach_and_score",
    selection=AssetSelection.assets("scenario_dialogues", "scored_dialogues"),
    partitions_def=lessons,
    description="Make and judge the dialogues of the chosen lessons (scenario and shard).",
)

publish = define_asset_job(
    "publish",
    selection=AssetSelection.assets("boost_qa"),
    description="Assemble a BOOST-QA release from every accepted dialogue; latest.json moves if its gates pass.",
)


class LessonsConfig(Config):
    """Which lessons."""

    lessons: list[str] = Field(
        default_factory=list, description="Keys or shell patterns, such as 'debate|*'; every planned one by default."
    )


class AskAnewConfig(LessonsConfig):
    """Which dialogues to make anew."""

    reasons: list[str] = Field(min_length=1, description="Rejection reasons, such as wrong_final_answer.")


@op(description="What the lessons would take under the profile in force: calls, tokens, money, hours.")
def estimate_lessons(
    context: OpExecutionContext,
    config: LessonsConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
) -> None:
    estimate = dry_run(lake, matching_lessons(lake, config.lessons), prompts, chat.profile)
    context.log.info(headline(estimate))
    context.add_output_metadata(
        {
            "calls": estimate.calls,
            "tokens": estimate.tokens,
            "US dollars": estimate.cost,
            "hours": estimate.hours,
            "roles": table_markdown(role_rows(estimate)),
        }
    )


@job(description="Dry run: what the chosen lessons would take, before any money is spent. Calls no model.")
def estimate_cost() -> None:
    estimate_lessons()


@op(description="Mark rejected dialogues of chosen reasons; their lessons are stale from then on.")
def mark_rejected(context: OpExecutionContext, config: AskAnewConfig, lake: ResourceParam[Lake]) -> None:
    marked = ask_anew(lake, matching_lessons(lake, config.lessons), config.reasons)
    context.log.info(f"{marked} dialogues are marked; materialise scenario_dialogues and scored_dialogues for them")


@job(description="Have rejected dialogues of chosen reasons generated anew at the next run of their lessons.")
def make_rejected_anew() -> None:
    mark_rejected()


@op(description="Make the instance's shard partitions equal to the lake's.")
def mirror_lake_shards(context: OpExecutionContext, lake: ResourceParam[Lake]) -> None:
    added = mirror_shards(lake, context.instance)
    context.log.info(f"{len(added)} shards added to this instance: {', '.join(added) or 'none was missing'}")


@job(description="Rebuild the shard partitions of a fresh Dagster instance from the lake, which is the truth.")
def mirror_lake() -> None:
    mirror_lake_shards()


def lessons_in_flight(instance: DagsterInstance, now: datetime) -> set[str]:
    """Keys of the lessons that queued or running runs are going to make at `now`, single ones and ranges.

    A run that started more than `LONGEST_RUN` ago, with nothing heard since, counts as dead.
    """
    keys: set[str] = set()
    for record in instance.get_run_records(RunsFilter(statuses=IN_FLIGHT)):
        run = record.dagster_run
        if run.status is DagsterRunStatus.STARTED and now - _aware(record.update_timestamp) > LONGEST_RUN:
            continue
        if "dagster/partition" in run.tags:
            keys.add(run.tags["dagster/partition"])
        start, end = (run.tags.get(f"dagster/asset_partition_range_{side}") for side in ("start", "end"))
        if start and end and "|" in start:
            keys.update(_keys_between(start, end, instance))
    return keys


def _aware(stored: datetime) -> datetime:
    """The run storage keeps UTC; SQLite forgets to say so."""
    return stored if stored.tzinfo else stored.replace(tzinfo=UTC)


def _keys_between(start: str, end: str, instance: DagsterInstance) -> Sequence[str]:
    if not {start, end} <= set(lessons.get_partition_keys(dynamic_partitions_store=instance)):
        return []  # its shard is gone from the lake, and such a run makes nothing
    return lessons.get_partition_keys_in_range(PartitionKeyRange(start, end), dynamic_partitions_store=instance)


def nightly_schedule(cron: str, most: int) -> ScheduleDefinition:
    """The schedule that launches due lessons, at most `most` a tick. Off until switched on.

    Missing and stale ones come first and failed ones last, the oldest first in both: lessons that fail every night
    never keep new ones waiting.
    """

    @schedule(
        name="nightly_lessons",
        job=teach_and_score,
        cron_schedule=cron,
        default_status=DefaultScheduleStatus.STOPPED,
        description=f"Launches lessons that are missing, failed or stale, at most {most} a tick.",
    )
    def nightly_lessons(
        context: ScheduleEvaluationContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        prompts: ResourceParam[PromptBook],
        quality_rules: ResourceParam[QualityRules],
    ) -> list[RunRequest] | SkipReason:
        mirror_shards(lake, context.instance)
        standings = lesson_standings(lake, expected_fingerprints(chat.profile, prompts, quality_rules))
        due = sorted(
            (lesson for lesson in standings if lesson.why),
            key=lambda lesson: (lesson.why == "failed", lesson.plans.written_at, lesson.key),
        )
        running = lessons_in_flight(context.instance, datetime.now(UTC))
        waiting = [lesson for lesson in due if lesson.key not in running]
        chosen = waiting[:most]
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(Counter(lesson.why for lesson in due).items()))
        summary = (
            f"{len(due)} lessons due ({reasons or 'none'}), {len(due) - len(waiting)} of them in flight, "
            f"{len(chosen)} launched, {len(waiting) - len(chosen)} left for the next tick"
        )
        if not chosen:
            return SkipReason(summary)
        context.log.info(summary)
        tick = context.scheduled_execution_time.isoformat()
        return [
            RunRequest(run_key=f"{tick} {lesson.key}", partition_key=lesson.key, tags={"master/due": str(lesson.why)})
            for lesson in chosen
        ]

    return nightly_lessons
