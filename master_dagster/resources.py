"""Settings -> Dagster's resources. Assets, checks, jobs and sensors take them as parameters of the same names."""

import atexit
import gc
from functools import cache
from typing import Any, cast

from dagster import ConfigurableResource, InitResourceContext, ResourceDependency

from master_dagster.deployment import Deployment
from master_dagster.maintenance.dead_runs import PROCESS_TAG, end_dead_runs, this_process
from master_dagster.maintenance.origin import add_origin
from resources.chat.budget import Budget
from resources.chat.profile import load_profile
from resources.chat.service import ChatService
from resources.embedder import Embedder, open_embedder
from resources.lake.store import Encryption, S3Options
from resources.lake.tables import Lake
from resources.scratch import delete_abandoned, scratch_home
from resources.training_jobs.configuration import load_trainer_configuration
from resources.training_jobs.launcher import JobLauncher, open_job_launcher


@cache
def freeze_loaded() -> None:
    """Exclude what is loaded by now from garbage collection: each takes 0.15 s, during which no call proceeds.

    At exit it is collected again, because DuckDB's bindings report everything that is left as a leak.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)


class LakeResource(ConfigurableResource[Lake]):
    """The lake: every table and every release, as files.

    A run that opens it is tagged with its process, and ends what dead processes of this machine left: their runs in
    Dagster's record, and their temporary files.
    """

    root: str
    s3_endpoint_url: str | None = None
    s3_encryption: str | None = None
    s3_kms_key: str | None = None

    def create_resource(self, context: InitResourceContext) -> Lake:
        """Open the lake."""
        encryption = cast("Encryption | None", self.s3_encryption)
        lake = Lake.at(self.root, S3Options(self.s3_endpoint_url, encryption, self.s3_kms_key))
        if context.run is not None and context.instance is not None:
            # By this tag the end of the process is noticed.
            context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
            add_origin(context.instance, context.run.run_id)
            end_dead_runs(context.instance)
            lake.store.delete_abandoned()
            delete_abandoned(scratch_home().iterdir())
        return lake


class ChatResource(ConfigurableResource[ChatService]):
    """Models behind OpenAI-compatible endpoints. Their answers are journalled in the lake."""

    profile: str
    budget_tokens: int | None = None
    budget_usd: float | None = None
    lake: ResourceDependency[Lake]

    def create_resource(self, context: InitResourceContext) -> ChatService:
        """Make the service, which opens engines."""
        budget = Budget(tokens=self.budget_tokens, cost=self.budget_usd)
        return ChatService(load_profile(self.profile), self.lake.store, budget, on_connect=freeze_loaded)


class EmbedderResource(ConfigurableResource[Embedder]):
    """Sentence embeddings, by the profile's embedder. Nothing is loaded before it is used."""

    profile: str

    def create_resource(self, context: InitResourceContext) -> Embedder:
        """Make the embedder."""
        return open_embedder(load_profile(self.profile))


class JobLauncherResource(ConfigurableResource[JobLauncher]):
    """Runs training jobs on this machine, SageMaker, AWS Batch or Kubernetes. They read and write the lake."""

    trainer: str
    lake: ResourceDependency[Lake]

    def create_resource(self, context: InitResourceContext) -> JobLauncher:
        """Make the launcher, which makes no call before a job is launched."""
        return open_job_launcher(load_trainer_configuration(self.trainer), self.lake.store, self.lake.s3)


def dagster_resources(deployment: Deployment) -> dict[str, Any]:
    """The resources of a deployment by name."""
    settings = deployment.settings
    profile, s3 = settings.profile, settings.s3
    lake = LakeResource(
        root=settings.lake_root,
        s3_endpoint_url=s3.endpoint_url,
        s3_encryption=s3.encryption,
        s3_kms_key=s3.kms_key,
    )
    return {
        "lake": lake,
        "chat": ChatResource(
            profile=profile,
            budget_tokens=settings.budget_tokens,
            budget_usd=settings.budget_usd,
            lake=lake,
        ),
        "embedder": EmbedderResource(profile=profile),
        "job_launcher": JobLauncherResource(trainer=settings.trainer, lake=lake),
        "seeds_configuration": deployment.seeds,
        "scenarios": deployment.scenarios,
        "prompts": deployment.prompts,
        "plan_rules": deployment.plan_rules,
        "quality_rules": deployment.quality_rules,
        "release_rules": deployment.release_rules,
        "comparison_rules": deployment.comparison_rules,
        "training": deployment.training,
        "benchmarks": deployment.benchmarks,
        "serving": deployment.served,
        "hub": settings.hub,
    }
