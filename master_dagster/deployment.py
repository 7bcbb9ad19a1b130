"""Settings -> resources: the one place that knows where this deployment keeps its data and which files steer it."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self, TypeVar

from dagster import DagsterInvalidDefinitionError, InitResourceContext, Noneable, ScheduleDefinition, resource
from dotenv import load_dotenv
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from assets.boost_qa.configuration import ReleaseRules, load_release_rules
from assets.dialogue_plans.configuration import PlanRules, load_plan_rules
from assets.dialogues.prompts import PromptBook, load_prompts
from assets.evaluation.configuration import Benchmarks, load_benchmarks
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.seeds.configuration import SeedsConfiguration, load_seeds_configuration
from assets.training_programs.recipe import Training, load_training
from assets.training_sets.configuration import ComparisonRules, load_comparison_rules
from master_dagster.automation.due import Limits
from master_dagster.maintenance.dead_runs import PROCESS_TAG, this_process
from resources.chat.budget import Budget
from resources.chat.profile import Profile, load_profile
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError, describe_faults, fault_list
from resources.embedder import Embedder, open_embedder
from resources.lake.opening import open_store
from resources.lake.store import S3Options
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving, load_serving
from resources.training_jobs.configuration import TrainerConfiguration, load_trainer_configuration
from resources.training_jobs.trainer import Trainer, open_trainer

Loaded = TypeVar("Loaded")


class Settings(BaseSettings):
    """Every setting, with a default that works. Read from the environment and `.env`, prefix `MASTER_`."""

    model_config = SettingsConfigDict(env_prefix="MASTER_", env_file=".env", extra="ignore", frozen=True)

    deployment: Literal["local", "aws"] = Field(
        default="local", description="`local`: this machine; `aws`: the lake must lie on S3."
    )
    lake_root: str = Field(default="data", description="Folder or `s3://bucket/prefix` that holds everything made.")
    s3_endpoint_url: str | None = Field(
        default=None,
        description="Where S3 is, for an S3-compatible store: the lake's and that of every `s3://` address in a file "
        "below. boto3's own settings (`AWS_ENDPOINT_URL`, …) hold otherwise, as for region and credentials.",
    )
    s3_encryption: Literal["AES256", "aws:kms"] | None = Field(
        default=None, description="Server-side encryption to ask for with every file; else the bucket's default."
    )
    s3_kms_key: str | None = Field(default=None, description="Id or ARN of the KMS key; needs encryption `aws:kms`.")
    seeds: str = Field(default="demo", description="Seeds configuration: `demo`, `paper`, or the path of a YAML file.")
    profile: str = Field(
        default="laptop", description="Models: `laptop`, `paper`, `hosted`, or the path of a YAML file."
    )
    prompts: str | None = Field(
        default=None,
        description="Prompts other than those that the profile names: `standard`, `by_example`, or a folder with files "
        "of the same names.",
    )
    plan_rules: str = Field(default="standard", description="Splits, scenario shares, debate rounds, retrieval.")
    quality_rules: str = Field(default="standard", description="Thresholds, weights and manual decisions.")
    release_rules: str = Field(default="standard", description="Coverage, decontamination and gates of a release.")
    comparison_rules: str = Field(
        default="standard", description="How the training sets are made that BOOST-QA is compared with."
    )
    training: str = Field(
        default="laptop", description="Base models and recipe: `laptop`, `paper`, or the path of a YAML file."
    )
    trainer: str = Field(
        default="local", description="Where models are tuned: `local`, or the path of a YAML file (SageMaker, Batch)."
    )
    benchmarks: str = Field(
        default="demo",
        description="What models are asked: `demo`, `paper`, `further`, `lm_eval`, or the path of a YAML file.",
    )
    served: str = Field(
        default="local", description="Where models under test answer: `local`, `vllm`, or the path of a YAML file."
    )
    budget_tokens: int | None = Field(
        default=None,
        gt=0,
        description="Most tokens that a run may pay for, over all its steps in one process.",
    )
    budget_usd: float | None = Field(
        default=None, gt=0, description="Most money that such a run may spend, by the profile's prices."
    )
    nightly_cron: str = Field(default="0 2 * * *", description="When the nightly schedule ticks.")
    nightly_partitions: int = Field(default=50, ge=1, description="Most partitions that one nightly tick launches.")
    nightly_range: int = Field(default=20, ge=1, description="Most partitions that one run of a night makes.")
    nightly_tokens: int | None = Field(
        default=None, gt=0, description="Most tokens that the partitions of one nightly tick may be expected to take."
    )
    nightly_usd: float | None = Field(
        default=None, gt=0, description="Most money that they may be expected to take, by the profile's prices."
    )
    nightly_tries: int = Field(
        default=3, ge=1, description="Failed nights within 7 days after which a partition is left to people."
    )
    release_after: int = Field(
        default=50, ge=1, description="New partitions that the sensor release_when_enough makes a release of."
    )
    alert_webhook: SecretStr | None = Field(
        default=None, description="Where failed runs are told: an `https://` address that takes Slack's JSON. A secret."
    )

    @field_validator("nightly_cron")
    @classmethod
    def _schedule_ticks(cls, value: str) -> str:
        try:
            ScheduleDefinition(job_name="any", cron_schedule=value)
        except DagsterInvalidDefinitionError:
            raise ValueError("should be a cron expression of five fields, such as '0 2 * * *'") from None
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("should be an https:// address")
        return value

    @property
    def nightly_limits(self) -> Limits:
        """What one nightly tick may launch."""
        return Limits(self.nightly_partitions, self.nightly_tokens, self.nightly_usd, self.nightly_tries)

    @model_validator(mode="after")
    def _storage_fits(self) -> Self:
        _ = self.s3
        if self.deployment == "aws" and not self.lake_root.startswith("s3://"):
            raise ValueError("MASTER_DEPLOYMENT=aws needs MASTER_LAKE_ROOT=s3://bucket/prefix")
        return self

    @property
    def s3(self) -> S3Options:
        """How S3 is reached. Raises ValueError where the settings contradict each other."""
        return S3Options(self.s3_endpoint_url or None, self.s3_encryption, self.s3_kms_key or None)


def misspelled(environment: Iterable[str]) -> list[str]:
    """One fault for each variable that is no setting but looks like one; other programs have `MASTER_…` ones too."""
    known = [name.upper() for name in Settings.model_fields]
    faults = []
    for variable in sorted(environment):
        name = variable.removeprefix("MASTER_")
        if variable != name and name not in known and (meant := get_close_matches(name, known, 1, 0.8)):
            faults.append(f"{variable} is no setting; MASTER_{meant[0]} is")
    return faults


def load_settings() -> Settings:
    """The settings of this process.

    `.env` of the working folder goes into the environment first, without overriding what is set there: keys that a
    profile names are read from the environment, whichever command runs.

    Raises:
        ConfigurationError: every wrong setting with its name, what was given and what is allowed.
    """
    load_dotenv(".env")
    named = misspelled(os.environ)
    faults = []
    try:
        settings = Settings()
    except ValidationError as error:
        faults = describe_faults(error, Settings)
    if not named and not faults:
        return settings
    for fault in faults:
        setting, _, message = fault.partition(": ")
        named.append(message if setting.startswith("(") else f"MASTER_{setting.upper()}: {message}")
    raise ConfigurationError(fault_list("settings (environment or .env) are not valid:", named))


@dataclass(frozen=True)
class Deployment:
    """The settings with the configuration files they name, all read and valid."""

    settings: Settings
    seeds: SeedsConfiguration
    profile: Profile
    prompts: PromptBook
    plan_rules: PlanRules
    quality_rules: QualityRules
    release_rules: ReleaseRules
    comparison_rules: ComparisonRules
    training: Training
    trainer: TrainerConfiguration
    benchmarks: Benchmarks
    served: Serving

    def lake(self) -> Lake:
        """The lake of this deployment."""
        return Lake.at(self.settings.lake_root, self.settings.s3)

    def resources(self) -> dict[str, Any]:
        """Dagster's resources by name; the assets take them as parameters of the same names."""
        settings = self.settings
        return {
            "lake": lake_resource.configured({"root": settings.lake_root, "s3": asdict(settings.s3)}),
            "chat": chat_resource.configured(
                {
                    "profile": settings.profile,
                    "lake_root": settings.lake_root,
                    "s3": asdict(settings.s3),
                    "budget_tokens": settings.budget_tokens,
                    "budget_usd": settings.budget_usd,
                }
            ),
            "embedder": embedder_resource.configured({"profile": settings.profile}),
            "seeds_configuration": self.seeds,
            "prompts": self.prompts,
            "plan_rules": self.plan_rules,
            "quality_rules": self.quality_rules,
            "release_rules": self.release_rules,
            "comparison_rules": self.comparison_rules,
            "training": self.training,
            "benchmarks": self.benchmarks,
            "serving": self.served,
            "trainer": trainer_resource.configured(
                {"trainer": settings.trainer, "lake_root": settings.lake_root, "s3": asdict(settings.s3)}
            ),
        }


def load_deployment(settings: Settings | None = None) -> Deployment:
    """Read and validate every configuration file that the settings name.

    Raises:
        ConfigurationError: all faults of all files at once, each under the setting that names the file.
    """
    settings = settings or load_settings()
    faults: list[str] = []

    def read_named(where: str, name_or_path: str, load: Callable[[str], Loaded]) -> Loaded | None:
        try:
            return load(name_or_path)
        except ConfigurationError as error:
            faults.append(f"{where}: {error}")
            return None

    def read(setting: str, load: Callable[[str], Loaded]) -> Loaded | None:
        return read_named(f"MASTER_{setting.upper()}", getattr(settings, setting), load)

    profile = read("profile", load_profile)
    prompts = None
    if settings.prompts:
        prompts = read("prompts", load_prompts)
    elif profile:
        prompts = read_named("MASTER_PROFILE: prompts", profile.prompts, load_prompts)
    read_files: Mapping[str, Any] = {
        "seeds": read("seeds", load_seeds_configuration),
        "profile": profile,
        "prompts": prompts,
        "plan_rules": read("plan_rules", load_plan_rules),
        "quality_rules": read("quality_rules", load_quality_rules),
        "release_rules": read("release_rules", load_release_rules),
        "comparison_rules": read("comparison_rules", load_comparison_rules),
        "training": read("training", load_training),
        "trainer": read("trainer", load_trainer_configuration),
        "benchmarks": read("benchmarks", load_benchmarks),
        "served": read("served", load_serving),
    }
    if faults:
        raise ConfigurationError(fault_list("the configuration is not valid:", faults))
    return Deployment(settings=settings, **read_files)


S3_SCHEMA = {"endpoint_url": Noneable(str), "encryption": Noneable(str), "kms_key": Noneable(str)}


@resource(config_schema={"root": str, "s3": S3_SCHEMA}, description="The lake: every table and release, as files.")
def lake_resource(context: InitResourceContext) -> Lake:
    """Opens the lake. Whatever run does so tells which process it is, so that its death can be seen from outside."""
    if context.run is not None and context.instance is not None:
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
    return Lake.at(context.resource_config["root"], S3Options(**context.resource_config["s3"]))


@resource(
    config_schema={
        "profile": str,
        "lake_root": str,
        "s3": S3_SCHEMA,
        "budget_tokens": Noneable(int),
        "budget_usd": Noneable(float),
    },
    description="Models behind OpenAI-compatible endpoints; what they said is journalled in the lake.",
)
def chat_resource(context: InitResourceContext) -> ChatService:
    """Makes the service that hands out engines."""
    given = context.resource_config
    budget = Budget(tokens=given["budget_tokens"], cost=given["budget_usd"])
    return ChatService(load_profile(given["profile"]), open_store(given["lake_root"], S3Options(**given["s3"])), budget)


@resource(config_schema={"profile": str}, description="Sentence embeddings, by the profile's embedder.")
def embedder_resource(context: InitResourceContext) -> Embedder:
    """Opens the embedder; nothing is loaded before it is used."""
    return open_embedder(load_profile(context.resource_config["profile"]))


@resource(
    config_schema={"trainer": str, "lake_root": str, "s3": S3_SCHEMA},
    description="Where models are tuned: this machine, SageMaker or AWS Batch; jobs read and write the lake.",
)
def trainer_resource(context: InitResourceContext) -> Trainer:
    """Opens the trainer; nothing is called before a job is launched."""
    given = context.resource_config
    s3 = S3Options(**given["s3"])
    return open_trainer(load_trainer_configuration(given["trainer"]), open_store(given["lake_root"], s3), s3)
