"""The asset that holds the classes: every lesson plan becomes a dialogue."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    BackfillPolicy,
    Config,
    Failure,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)
from pydantic import Field

from assets.dialogues.classroom import Classroom
from assets.dialogues.prompts import PromptBook
from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import describe, usage_facts
from assets.dialogues.syllabus import Syllabus, read_syllabus
from assets.dialogues.teaching import Progress, Row, gate, teach_partitions
from assets.partitions import lesson_key, lessons, selected_keys
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from assets.shown import OWNERS, column_schema
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.engine import ChatEngine
from resources.chat.service import ChatService, run_async
from resources.lake import Lake
from resources.progress import progress as progress_shown


class TeachingConfig(Config):
    """What a run of the classroom may be told."""

    regenerations: int = Field(default=2, ge=0, le=20, description="How often a refused utterance is asked for again.")
    set_aside_limit: float = Field(
        default=0.5, ge=0, le=1, description="A partition fails when a greater share of its dialogues is set aside."
    )
    set_aside_minimum: int = Field(
        default=5, ge=1, description="Fewer dialogues set aside than this never fail a partition."
    )


@asset(
    partitions_def=lessons,
    deps=[
        AssetDep("lesson_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
    ],
    group_name="dialogues",
    kinds={"openai", "parquet"},
    owners=OWNERS,
    description="Classroom dialogues of one shard in one scenario. What is already there and was made by the same "
    "plans, prompts and models is left as it is; what was paid for is never paid again.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    metadata=column_schema(DIALOGUES),
)
def scenario_dialogues(
    context: AssetExecutionContext,
    config: TeachingConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> None:
    """Hold the classes of this run's partitions; write each as soon as it is done."""
    school = School(lake, chat, prompts, config, load_retractions(seeds_configuration))
    progress = Progress(selected_keys(context))
    try:
        with progress_shown("dialogues", context.log.info) as update:
            run_async(school.teach(progress, lambda: update(progress.done, progress.dialogues, progress.words())))
        failed = progress.failed | school.failed
        if failed:
            reasons = "\n".join(f"{key}: {reason}" for key, reason in sorted(failed.items()))
            raise Failure(f"{len(failed)} of {len(progress.keys)} partitions failed:\n{reasons}", allow_retries=False)
    except (BudgetSpent, EndpointUnusable) as error:
        school.report_written(context)
        raise Failure(str(error), allow_retries=False) from error
    except BaseException:
        # A run that fails records nothing of itself of what it wrote.
        school.report_written(context)
        context.log.warning(progress.words())
        raise
    for key, metadata in school.described.items():
        context.add_asset_metadata(metadata, partition_key=key)


class School:
    """The resources of one run, and what it has to tell of each partition."""

    def __init__(
        self, lake: Lake, chat: ChatService, prompts: PromptBook, config: TeachingConfig, retracted: frozenset[str]
    ) -> None:
        self.lake, self.chat, self.prompts, self.config, self.retracted = lake, chat, prompts, config, retracted
        self.described: dict[str, dict[str, Any]] = {}  # metadata by partition key
        self.failed: dict[str, str] = {}  # partitions that are written and whose gate failed, and why

    async def teach(self, progress: Progress, show: Any) -> None:
        """Teach every partition of `progress`. See `teach_partitions`."""
        profile = self.chat.profile
        scenarios = {lesson_key(key)["scenario"] for key in progress.keys}
        roles = tuple(role for name, script in SCENARIOS.items() if name.value in scenarios for role in script.roles)
        async with self.chat.engine(roles) as engine:
            room = Classroom(engine, self.prompts, profile, self.config.regenerations)
            await teach_partitions(
                progress,
                read=self.read,
                room=room,
                scope=scope,
                written=lambda syllabus, rows: self.write(syllabus, rows, engine),
                show=lambda _: show(),
            )

    def read(self, key: str) -> Syllabus:
        """A partition's syllabus; one that is current is reported as already there."""
        syllabus = read_syllabus(self.lake, key, self.prompts, self.chat.profile, self.retracted)
        if syllabus.current:
            rows = self.lake.read(DIALOGUES, [syllabus.keys]).to_dicts()
            path = self.lake.path(DIALOGUES, syllabus.keys)
            self.described[key] = describe(rows, None, "passed", "", path)
        return syllabus

    def write(self, syllabus: Syllabus, rows: list[Row], engine: ChatEngine) -> None:
        """Write a finished partition with its gate."""
        usage = engine.usage(scope(syllabus.key))
        verdict, reason = gate(rows, self.config.set_aside_limit, self.config.set_aside_minimum)
        script = SCENARIOS[syllabus.scenario]
        facts = {
            "profile": self.chat.profile.name,
            "prompts": self.prompts.versions(script.prompt_names),
            "models": {role.value: self.chat.profile.roles[role].model for role in script.roles},
            "made_by": syllabus.made_by,
            "usage": usage_facts(usage),
        }
        frame = DIALOGUES.frame(rows)
        self.lake.write(DIALOGUES, syllabus.keys, frame, fingerprint=syllabus.fingerprint, gate=verdict, facts=facts)
        path = self.lake.path(DIALOGUES, syllabus.keys)
        self.described[syllabus.key] = describe(rows, usage, verdict, reason, path)
        if verdict == "failed":
            self.failed[syllabus.key] = reason

    def report_written(self, context: AssetExecutionContext) -> None:
        """Tell Dagster at once of every partition that is written, in a run that will not come to its end."""
        for key, metadata in self.described.items():
            event = AssetObservation if key in self.failed else AssetMaterialization
            context.log_event(event(asset_key=context.asset_key, partition=key, metadata=metadata))


def scope(key: str) -> str:
    """A partition's name in the journal and the usage."""
    return f"{DIALOGUES.name}/{key}"
