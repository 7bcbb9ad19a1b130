"""Settings and configuration files: everything that is wrong is told at once, by its own name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from dagster import build_resources

from master_dagster.resources import dagster_resources
from master_dagster.settings import Settings, load_deployment, load_settings, misspelled
from resources.chat.profile import PROFILES
from resources.configuration import ConfigurationError
from tests.s3_proxy import S3Proxy


@pytest.fixture(autouse=True)
def bare_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory: no .env speaks, and what one puts into the environment is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ):
        yield tmp_path


def fault_of_settings() -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return str(caught.value)


def fault_of_deployment(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_deployment(Settings(_env_file=None, **settings))
    return str(caught.value)


def test_without_any_setting_everything_has_a_default_that_works() -> None:
    deployment = load_deployment()
    assert (deployment.profile.name, deployment.settings.lake_root) == ("laptop", "data")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PROFILE", "paper")
    assert load_deployment().profile.name == "paper"


def test_settings_come_from_a_file_named_dot_env(bare_folder: Path) -> None:
    (bare_folder / ".env").write_text("MASTER_NIGHTLY_PARTITIONS=7\nDAGSTER_HOME=/somewhere\n")
    assert load_settings().nightly_partitions == 7


def test_a_key_in_dot_env_reaches_the_environment(bare_folder: Path) -> None:
    (bare_folder / ".env").write_text("SOME_MODELS_KEY=opensesame\n")
    load_settings()
    assert os.environ["SOME_MODELS_KEY"] == "opensesame"


def test_dot_env_overrides_nothing_that_is_set(bare_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_MODELS_KEY", "ours")
    (bare_folder / ".env").write_text("SOME_MODELS_KEY=theirs\n")
    load_settings()
    assert os.environ["SOME_MODELS_KEY"] == "ours"


def test_every_wrong_setting_is_told_at_once_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_BUDGET_USD", "much")
    monkeypatch.setenv("MASTER_NIGHTLY_PARTITIONS", "0")
    told = fault_of_settings()
    assert "MASTER_BUDGET_USD" in told
    assert "MASTER_NIGHTLY_PARTITIONS" in told


def test_a_wrong_setting_is_told_with_what_was_given_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_DEPLOYMENT", "azure")
    told = fault_of_settings()
    assert "MASTER_DEPLOYMENT: Input should be 'local' or 'aws' (given: 'azure')" in told


def test_a_schedule_that_never_ticks_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_NIGHTLY_CRON", "every night")
    assert "MASTER_NIGHTLY_CRON: should be a cron expression" in fault_of_settings()


def test_aws_without_a_lake_on_s3_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_DEPLOYMENT", "aws")
    assert "  - MASTER_DEPLOYMENT=aws needs MASTER_LAKE_ROOT=s3://bucket/prefix" in fault_of_settings()


def test_aws_with_a_lake_on_s3_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_DEPLOYMENT", "aws")
    monkeypatch.setenv("MASTER_LAKE_ROOT", "s3://bucket/lake")
    assert load_settings().deployment == "aws"


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("S3_KMS_KEY", "key-1", "MASTER_S3_KMS_KEY needs MASTER_S3_ENCRYPTION=aws:kms"),
        ("S3_ENCRYPTION", "rot13", "MASTER_S3_ENCRYPTION: Input should be 'AES256' or 'aws:kms'"),
        ("S3_ENDPOINT_URL", "store:9000", "MASTER_S3_ENDPOINT_URL should look like https://host"),
        ("S3_ENDPOINT_URL", "http://ann:topsecret@store", "MASTER_S3_ENDPOINT_URL must not hold credentials"),
    ],
)
def test_a_wrong_setting_of_s3_is_told(monkeypatch: pytest.MonkeyPatch, setting: str, value: str, told: str) -> None:
    monkeypatch.setenv(f"MASTER_{setting}", value)
    fault = fault_of_settings()
    assert told in fault
    assert "topsecret" not in fault


def test_every_store_is_opened_as_the_settings_say(s3_root: str, s3_proxy: S3Proxy) -> None:
    settings = Settings(
        _env_file=None, lake_root=s3_root, s3_endpoint_url=s3_proxy.address, s3_encryption="aws:kms", s3_kms_key="key-1"
    )
    deployment = load_deployment(settings)
    with build_resources({name: dagster_resources(deployment)[name] for name in ("lake", "trainer")}) as opened:
        for store in (opened.lake.store, opened.trainer.store, deployment.lake().store):
            store.put("x", b"")
    writes = [call for call in s3_proxy.calls if call.name == "PutObject"]
    asked = [call.headers["x-amz-server-side-encryption-aws-kms-key-id"] for call in writes]
    assert asked == ["key-1"] * 3


def test_every_fault_of_every_file_is_told_at_once_under_its_setting(bare_folder: Path) -> None:
    (bare_folder / "seeds.yaml").write_text("sources: []\nshard_size: -1\n")
    (bare_folder / "rules.yaml").write_text("neighbours: none\n")
    told = fault_of_deployment(
        seeds="seeds.yaml",
        plan_rules="rules.yaml",
        prompts="nowhere",
        quality_rules="nowhere",
        release_rules="nowhere",
    )
    for expected in (
        "MASTER_SEEDS: ",
        "shard_size",
        "MASTER_PLAN_RULES: rules.yaml",
        "neighbours",
        "MASTER_PROMPTS: 'nowhere'",
        "MASTER_QUALITY_RULES: 'nowhere'",
        "MASTER_RELEASE_RULES: 'nowhere'",
    ):
        assert expected in told


@pytest.mark.parametrize(
    ("setting", "content", "told"),
    [
        ("profile", "endpoints: {here: {base_ulr: x}}", "endpoints.here.base_ulr: there is no such key; is base_url"),
        ("seeds", "sources: [{licens: MIT}]", "sources.0.licens: there is no such key; is licence meant?"),
        ("plan_rules", "neighbors: 3", "neighbors: there is no such key; is neighbours meant?"),
        ("quality_rules", "limit: {}", "limit: there is no such key; is limits meant?"),
        ("release_rules", "minimum_coverag: 1", "minimum_coverag: there is no such key; is minimum_coverage meant?"),
        ("comparison_rules", "noises: {}", "noises: there is no such key; is noise meant?"),
        ("training", "recipe: {learning_rat: 0.1}", "recipe.learning_rat: there is no such key; is learning_rate"),
        ("trainer", "place: {kind: local, foldr: x}", "foldr: there is no such key; is folder meant?"),
        (
            "benchmarks",
            "benchmarks: [{temprature: 0}]",
            "benchmarks.0.temprature: there is no such key; is temperature",
        ),
        ("served", "endpont: {}", "endpont: there is no such key; is endpoint meant?"),
    ],
)
def test_a_misspelled_key_of_any_file_is_told_with_the_one_that_is_meant(
    bare_folder: Path, setting: str, content: str, told: str
) -> None:
    (bare_folder / "mine.yaml").write_text(content)
    assert told in fault_of_deployment(**{setting: "mine.yaml"})


def test_the_profile_names_the_prompts_that_suit_its_models() -> None:
    laptop, paper = (load_deployment(Settings(_env_file=None, profile=name)) for name in ("laptop", "paper"))
    assert (laptop.prompts.folder.name, paper.prompts.folder.name) == ("by_example", "standard")


def test_a_setting_overrides_the_prompts_of_the_profile() -> None:
    deployment = load_deployment(Settings(_env_file=None, profile="laptop", prompts="standard"))
    assert deployment.prompts.folder.name == "standard"


def test_prompts_that_a_profile_names_but_nobody_has_are_told_under_the_profile(bare_folder: Path) -> None:
    profile = (PROFILES / "laptop.yaml").read_text().replace("prompts: by_example", "prompts: nowhere")
    (bare_folder / "profile.yaml").write_text(profile)
    told = fault_of_deployment(profile="profile.yaml")
    assert "MASTER_PROFILE: prompts: 'nowhere' is neither a folder of prompts" in told


def test_an_unknown_profile_is_told_with_the_names_there_are() -> None:
    told = fault_of_deployment(profile="desktop")
    assert "MASTER_PROFILE: 'desktop' is neither a file nor one of the shipped names: hosted, laptop, paper" in told


def test_a_profile_that_lacks_a_role_and_names_an_unknown_endpoint_is_told_of_both(bare_folder: Path) -> None:
    (bare_folder / "profile.yaml").write_text(
        "name: mine\n"
        "endpoints: {fleet: {base_url: 'http://localhost:8000/v1'}}\n"
        "roles: {judge: {endpoint: float, model: m, temperature: 0, max_tokens: 10}}\n"
    )
    told = fault_of_deployment(profile="profile.yaml")
    assert "role 'weak_student' is missing" in told
    assert "roles.judge.endpoint: unknown endpoint 'float'; known: fleet" in told


def test_a_setting_that_is_misspelled_is_named_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_LAKEROOT", "s3://x")
    with pytest.raises(ConfigurationError, match="MASTER_LAKEROOT is not a setting; do you mean MASTER_LAKE_ROOT"):
        load_settings()


def test_variables_of_other_programs_are_left_alone() -> None:
    assert misspelled(["MASTER_ADDR", "MASTER_PORT", "MASTER_RUN_LOGS_BUCKET", "HOME"]) == []
