"""The settings of this deployment, from the environment and `.env`."""

import os
from collections.abc import Container, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

from dagster import AssetSpec, DagsterInvalidDefinitionError, ScheduleDefinition
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from assets.dialogues.load_scenarios import SETS
from assets.hub_publication.configuration import HubConfiguration
from assets.quality.prompts import SHIPPED
from master_dagster.automation.due import NightlyLimits
from master_dagster.settings_folder import load_dot_env, settings_folder
from resources.configuration import ConfigurationError, describe_faults, fault_list
from resources.lake.store import S3Options

FILES = (
    "seeds",
    "profile",
    "plan_rules",
    "quality_rules",
    "release_rules",
    "comparison_rules",
    "training",
    "trainer",
    "benchmarks",
    "served",
)
"""Settings that name a shipped configuration or the path of a YAML file."""


def listed(value: str) -> list[str]:
    """The parts of a setting that are separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


class Settings(BaseSettings):
    """Every setting, with a default that works. Read from the environment, with the prefix `MASTER_`."""

    model_config = SettingsConfigDict(env_prefix="MASTER_", extra="ignore", frozen=True)

    deployment: Literal["local", "aws"] = Field(
        default="local", description="`local`: this machine; `aws`: the lake must be on S3."
    )
    lake_root: str = Field(
        default="data",
        description="The lake: a folder or an `s3://bucket/prefix`, which holds everything that is made.",
    )
    s3_endpoint_url: str | None = Field(
        default=None,
        description="Address of an S3-compatible store, for the lake and for every `s3://` address in a file below. By "
        "default boto3's own settings (`AWS_ENDPOINT_URL`, …) apply, as they do for region and credentials.",
    )
    s3_encryption: Literal["AES256", "aws:kms"] | None = Field(
        default=None, description="Server-side encryption that every write requests; by default the bucket decides."
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
    scenarios: str = Field(
        default="standard",
        description="Teaching scenarios: `standard` for the shipped ones, `paper` for them without our departures from "
        "the paper, the path of a folder with your own, or several, "
        "separated by a comma.",
    )
    plan_rules: str = Field(
        default="standard",
        description="Splits, shares of the scenarios, retrieval: `standard`, `paper`, or the path of a YAML file.",
    )
    quality_rules: str = Field(default="standard", description="Thresholds, weights and manual decisions.")
    release_rules: str = Field(default="standard", description="Coverage, decontamination and gates of a release.")
    comparison_rules: str = Field(
        default="standard", description="How the training sets are made with which BOOST-QA is compared."
    )
    training: str = Field(
        default="laptop",
        description="Base models and recipe: `laptop`, `paper`, `two_nodes`, or the path of a YAML file.",
    )
    trainer: str = Field(
        default="local",
        description="Where models are fine-tuned: `local`, or the path of a YAML file (SageMaker, Batch, Kubernetes).",
    )
    benchmarks: str = Field(
        default="demo",
        description="Benchmarks: `demo`, `paper`, `further`, `lm_eval`, or the path of a YAML file.",
    )
    served: str = Field(
        default="local",
        description="How models under test are served: `local`, `gpu`, `vllm`, or the path of a YAML file.",
    )
    budget_tokens: int | None = Field(
        default=None,
        gt=0,
        description="The most tokens that one run may use, summed over its steps in one process.",
    )
    budget_usd: float | None = Field(
        default=None, gt=0, description="The most US dollars that one run may spend, by the profile's prices."
    )
    nightly_cron: str = Field(default="0 2 * * *", description="When the nightly schedule ticks.")
    nightly_partitions: int = Field(default=50, ge=1, description="The most partitions that one nightly tick launches.")
    nightly_range: int = Field(
        default=20, ge=1, description="The most partitions in one run that a nightly tick launches."
    )
    nightly_tokens: int | None = Field(
        default=None,
        gt=0,
        description="The most tokens that the partitions of one nightly tick may be expected to use.",
    )
    nightly_usd: float | None = Field(
        default=None,
        gt=0,
        description="The most US dollars that they may be expected to cost, by the profile's prices.",
    )
    nightly_tries: int = Field(
        default=3, ge=1, description="Failed nights within 7 days after which the schedule skips a partition."
    )
    release_after: int = Field(
        default=50, ge=1, description="New partitions after which the sensor release_when_enough makes a release."
    )
    owners: str = Field(
        default="team:data",
        description="Owners of every asset in the UI: `team:name` or an e-mail address, several with commas.",
    )
    tags: str = Field(
        default="", description="Tags of every asset in the UI, for its search: `name=value`, several with commas."
    )
    release_fresh_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours after which the UI calls the latest release late: the freshness policy of `boost_qa`.",
    )
    hub_repository: str | None = Field(
        default=None,
        description="Dataset repository on the Hugging Face hub for releases: `namespace/name`. It switches on "
        "the asset `published_release` ([Publish on the hub](hub.md)); the token is read from `HF_TOKEN`.",
    )
    hub_model_prefix: str | None = Field(
        default=None,
        description="Model repositories for adapters: `namespace/name`, to which `-<base>-<variant>` is added. It "
        "switches on the asset `published_adapters`.",
    )
    hub_private: bool = Field(default=True, description="Whether a repository that is created is private.")
    hub_delete_withdrawn: bool = Field(
        default=False,
        description="Whether a release that withdraws rows of retracted seeds also deletes the history of the dataset "
        "repository: its earlier commits, tags and large files. It cannot be undone.",
    )
    ui_hosts: str = Field(
        default="",
        description="Host names, separated by commas, under which browsers open the UI beside localhost. Requests with "
        "another Host header are refused ([Running it](running.md#the-ui)).",
    )
    alert_webhook: SecretStr | None = Field(
        default=None,
        description="Address to which failed runs are reported: `https://…`, accepts Slack's JSON. A secret.",
    )

    @field_validator("nightly_cron")
    @classmethod
    def _schedule_ticks(cls, value: str) -> str:
        try:
            ScheduleDefinition(job_name="any", cron_schedule=value)
        except DagsterInvalidDefinitionError:
            raise ValueError("should be a cron expression of five fields, such as '0 2 * * *'") from None
        return value

    @field_validator("hub_repository", "hub_model_prefix")
    @classmethod
    def _repository_is_valid(cls, value: str | None) -> str | None:
        if not value:
            return None
        # 0.1 s, only where a repository is named
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        if value.count("/") != 1:
            raise ValueError("should be namespace/name")
        validate_repo_id(value)
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("should be an http:// or https:// address")
        return value

    @field_validator("owners")
    @classmethod
    def _owners_are_teams_or_addresses(cls, value: str) -> str:
        for owner in listed(value):
            try:
                AssetSpec("any", owners=[owner])
            except DagsterInvalidDefinitionError:
                raise ValueError(f"{owner!r} should be `team:name` or an e-mail address") from None
        return value

    @field_validator("tags")
    @classmethod
    def _tags_have_values(cls, value: str) -> str:
        for tag in listed(value):
            name, _, given = tag.partition("=")
            try:
                AssetSpec("any", tags={name.strip(): given.strip()})
            except DagsterInvalidDefinitionError:
                raise ValueError(f"{tag!r} should be name=value, of letters, digits, '-', '_' and '.'") from None
            if not name.strip() or not given.strip():
                raise ValueError(f"{tag!r} should be name=value, of letters, digits, '-', '_' and '.'")
        return value

    @property
    def asset_owners(self) -> list[str]:
        """Owners of every asset."""
        return listed(self.owners)

    @property
    def asset_tags(self) -> dict[str, str]:
        """Tags of every asset."""
        return {name.strip(): value.strip() for name, _, value in (tag.partition("=") for tag in listed(self.tags))}

    @property
    def nightly_limits(self) -> NightlyLimits:
        """The limits of one nightly tick."""
        return NightlyLimits(self.nightly_partitions, self.nightly_tokens, self.nightly_usd, self.nightly_tries)

    @property
    def hub(self) -> HubConfiguration:
        """The repositories on the Hugging Face hub."""
        return HubConfiguration(
            repository=self.hub_repository,
            model_prefix=self.hub_model_prefix,
            private=self.hub_private,
            delete_withdrawn=self.hub_delete_withdrawn,
        )

    @model_validator(mode="after")
    def _storage_fits(self) -> Self:
        _ = self.s3
        if self.deployment == "aws" and not self.lake_root.startswith("s3://"):
            raise ValueError("MASTER_DEPLOYMENT=aws needs MASTER_LAKE_ROOT=s3://bucket/prefix")
        return self

    def in_folder(self, folder: Path) -> Self:
        """These settings with absolute paths where relative ones start at another folder than the working directory.

        Shipped names stay as they are, also where the folder has a file or a folder of such a name.
        """
        if folder == Path.cwd():
            return self

        def absolute(value: str) -> str:
            return str(folder / Path(value).expanduser())

        def absolute_folder(value: str, shipped: Container[str]) -> str:
            return absolute(value) if value not in shipped and Path(absolute(value)).is_dir() else value

        given = {name: getattr(self, name) for name in FILES}
        paths = {name: absolute(value) for name, value in given.items() if Path(absolute(value)).is_file()}
        paths["scenarios"] = ",".join(absolute_folder(name, SETS) for name in listed(self.scenarios))
        if self.prompts:
            paths["prompts"] = absolute_folder(self.prompts, [path.name for path in SHIPPED.iterdir()])
        if "://" not in self.lake_root:
            paths["lake_root"] = absolute(self.lake_root)
        return self.model_copy(update=paths)

    @property
    def s3(self) -> S3Options:
        """How S3 is reached. Raises ValueError where the settings contradict each other."""
        return S3Options(self.s3_endpoint_url or None, self.s3_encryption, self.s3_kms_key or None)


RENAMED_SETTINGS = {"LESSON_RULES": "PLAN_RULES"}  # earlier name: present name


def misspelled(environment: Iterable[str]) -> list[str]:
    """A message for each variable that has a setting's earlier name or resembles a setting and is none.

    Other programs use the prefix too, so other names are left alone.
    """
    known = ["PROJECT", *(name.upper() for name in Settings.model_fields)]
    messages = []
    for variable in sorted(environment):
        name = variable.removeprefix("MASTER_")
        if variable != name and name in RENAMED_SETTINGS:
            messages.append(f"{variable} is now called MASTER_{RENAMED_SETTINGS[name]}: rename it")
        elif variable != name and name not in known and (similar := get_close_matches(name, known, 1, 0.8)):
            messages.append(f"{variable} is not a setting; do you mean MASTER_{similar[0]}?")
    return messages


def load_settings() -> Settings:
    """The settings of this process.

    First loads `.env` of `settings_folder` into the environment, where variables that are set take precedence:
    the keys of endpoints, which a profile names, are read from the environment.

    Raises:
        ConfigurationError: names every wrong setting, its value and what is allowed.
    """
    folder = settings_folder()
    load_dot_env(folder)
    messages = misspelled(os.environ)
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in describe_faults(error, Settings):
            setting, _, message = fault.partition(": ")
            messages.append(message if setting.startswith("(") else f"MASTER_{setting.upper()}: {message}")
    if settings is None or messages:
        raise ConfigurationError(fault_list("settings (environment or .env) are not valid:", messages))
    return settings.in_folder(folder)
