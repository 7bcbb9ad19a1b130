"""Settings and configuration files: all errors are reported at once, each under its setting."""

import codecs
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from dagster import build_resources

from assets.dialogues.load_scenarios import SHIPPED
from assets.quality.prompts import load_prompts
from assets.seeds.configuration import CONFIGURATIONS as SEEDS
from assets.seeds.configuration import SEED_SOURCES
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.resources import dagster_resources
from master_dagster.settings import Settings, load_settings, misspelled
from master_dagster.settings_folder import check_dagster_home, settings_folder
from resources.chat.profile import PROFILES, Endpoint
from resources.configuration import ConfigurationError
from resources.training_jobs.configuration import CONFIGURATIONS as TRAINERS
from tests.s3_proxy import S3Proxy
from tests.sample_project import SampleProject

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory without .env; changes of the environment are undone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("master_dagster.settings_folder.PROJECT", tmp_path / "no project")
    with patch.dict(os.environ):
        yield tmp_path


def deployment_error(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_deployment(Settings(_env_file=None, **settings))
    return str(caught.value)


def test_every_setting_has_a_default_that_works() -> None:
    deployment = load_deployment()
    assert (deployment.profile.name, deployment.settings.lake_root) == ("laptop", "data")


def test_settings_come_from_the_environment_and_from_dot_env(
    bare_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare_folder / ".env").write_text("MASTER_NIGHTLY_PARTITIONS=7\nDAGSTER_HOME=/somewhere\n")
    monkeypatch.setenv("MASTER_PROFILE", "paper")
    assert load_settings().nightly_partitions == 7
    assert load_deployment().profile.name == "paper"


@pytest.mark.parametrize("lake_root", ["data", "my lake", "/srv/lake", "s3://bucket/lake"])
def test_every_folder_finds_the_settings_and_the_lake_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lake_root: str
) -> None:
    project, elsewhere = tmp_path / "my project (v2)", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    shutil.copy(SEEDS / "example.yaml", project / "my seeds.yaml")
    shutil.copytree(SHIPPED, project / "my scenarios")
    shutil.copy(PROFILES / "laptop.yaml", project / "my profile.yaml")
    shutil.copy(TRAINERS / "local.yaml", project / "my trainer.yaml")
    lines = [f"MASTER_LAKE_ROOT={lake_root}", "MASTER_SEEDS=my seeds.yaml", "MASTER_NIGHTLY_PARTITIONS=7"]
    lines += ["MASTER_SCENARIOS=my scenarios,", "MASTER_PROFILE=my profile.yaml", "MASTER_TRAINER=my trainer.yaml"]
    (project / ".env").write_bytes(codecs.BOM_UTF8 + "".join(f"{line}\r\n" for line in lines).encode())
    monkeypatch.setattr("master_dagster.settings_folder.PROJECT", project)
    (elsewhere / ".env").write_text("OF_ANOTHER_PROGRAM=1\nMASTER=2\n")
    found = []
    for folder in (project, elsewhere):
        monkeypatch.chdir(folder)
        with patch.dict(os.environ):
            deployment = load_deployment()
            limit = deployment.settings.nightly_partitions
            resources = {name: dagster_resources(deployment)[name] for name in ("chat", "embedder", "job_launcher")}
            found.append((deployment.lake().store.root, deployment.seeds.folder, limit))
            with build_resources(resources) as opened:
                assert opened.chat.profile == deployment.profile
    assert found[0] == found[1]
    assert found[0][1:] == (project, 7)


@pytest.mark.parametrize(
    ("working", "named", "expected"),
    [
        ("mine/deep/deeper", None, "mine"),
        ("mine", None, "mine"),
        ("clone/docs", None, "clone"),
        ("nowhere", None, "clone"),
        ("nowhere", "mine", "mine"),
        ("clone", "mine", "mine"),
    ],
)
def test_the_project_is_the_named_folder_or_the_nearest_one_with_settings(
    bare_folder: Path, monkeypatch: pytest.MonkeyPatch, working: str, named: str | None, expected: str
) -> None:
    """The clone is inside a folder with settings, and its own `.env` has none, as `make` writes it."""
    for folder in ("mine/deep/deeper", "clone/docs", "nowhere"):
        (bare_folder / folder).mkdir(parents=True)
    (bare_folder / "clone" / ".env").write_text("DAGSTER_HOME=/clone/.dagster\n")
    (bare_folder / "mine" / ".env").write_text("MASTER_LAKE_ROOT=lake\n")
    (bare_folder / "mine" / "deep" / ".env").write_text("OF_ANOTHER_PROGRAM=1\n")
    monkeypatch.setattr("master_dagster.settings_folder.PROJECT", bare_folder / "clone")
    monkeypatch.chdir(bare_folder / working)
    if named:
        monkeypatch.setenv("MASTER_PROJECT", str(bare_folder / named))
    assert settings_folder() == bare_folder / expected


def test_a_project_that_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PROJECT", "/no/such/folder")
    with pytest.raises(ConfigurationError, match=r"MASTER_PROJECT: '/no/such/folder' is not a folder"):
        load_settings()


def test_from_another_folder_dagster_needs_its_home(bare_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's commands read `.env` in the working directory only."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (bare_folder / ".env").write_text("MASTER_LAKE_ROOT=lake\nDAGSTER_HOME=/mine/.dagster\n")
    check_dagster_home()
    (bare_folder / "deep").mkdir()
    monkeypatch.chdir(bare_folder / "deep")
    with pytest.raises(ConfigurationError, match=r"\.env from this folder: .* DAGSTER_HOME=/mine/\.dagster"):
        check_dagster_home()
    load_settings()  # sets it
    check_dagster_home()


def test_a_key_in_dot_env_reaches_the_environment_and_overrides_nothing(
    bare_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOTHER_KEY", "from the environment")
    (bare_folder / ".env").write_text("MASTER_PROFILE=laptop\nSOME_KEY=opensesame\nANOTHER_KEY=from the file\n")
    load_settings()
    assert (os.environ["SOME_KEY"], os.environ["ANOTHER_KEY"]) == ("opensesame", "from the environment")


@pytest.mark.parametrize(
    ("environment", "messages"),
    [
        ({"BUDGET_USD": "much", "NIGHTLY_PARTITIONS": "0"}, ["MASTER_BUDGET_USD: ", "MASTER_NIGHTLY_PARTITIONS: "]),
        ({"DEPLOYMENT": "azure"}, ["MASTER_DEPLOYMENT: Input should be 'local' or 'aws' (given: 'azure')"]),
        ({"NIGHTLY_CRON": "every night"}, ["MASTER_NIGHTLY_CRON: should be a cron expression"]),
        ({"DEPLOYMENT": "aws"}, ["  - MASTER_DEPLOYMENT=aws needs MASTER_LAKE_ROOT=s3://bucket/prefix"]),
        ({"S3_KMS_KEY": "key-1"}, ["MASTER_S3_KMS_KEY needs MASTER_S3_ENCRYPTION=aws:kms"]),
        ({"S3_ENCRYPTION": "rot13"}, ["MASTER_S3_ENCRYPTION: Input should be 'AES256' or 'aws:kms'"]),
        ({"S3_ENDPOINT_URL": "store:9000"}, ["MASTER_S3_ENDPOINT_URL should look like https://host"]),
        ({"S3_ENDPOINT_URL": "http://ann:topsecret@store"}, ["MASTER_S3_ENDPOINT_URL must not hold credentials"]),
        ({"HUB_REPOSITORY": "data"}, ["MASTER_HUB_REPOSITORY: should be namespace/name"]),
        ({"HUB_MODEL_PREFIX": "my--team/data"}, ["MASTER_HUB_MODEL_PREFIX: Cannot have -- or .. in repo_id"]),
        ({"LESSON_RULES": "mine.yaml"}, ["MASTER_LESSON_RULES is now called MASTER_PLAN_RULES: rename it"]),
        ({"LAKEROOT": "s3://x"}, ["MASTER_LAKEROOT is not a setting; do you mean MASTER_LAKE_ROOT?"]),
    ],
)
def test_wrong_settings_are_reported_by_name_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], messages: list[str]
) -> None:
    for setting, value in environment.items():
        monkeypatch.setenv(f"MASTER_{setting}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert [message for message in messages if message not in str(caught.value)] == []
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "setting", ["hub_repository", "hub_model_prefix", "alert_webhook", "s3_endpoint_url", "prompts"]
)
def test_an_optional_setting_may_be_empty(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(f"MASTER_{setting.upper()}", "")
    assert not getattr(load_settings(), setting)


def test_variables_of_other_programs_are_ignored() -> None:
    assert misspelled(["MASTER_ADDR", "MASTER_PORT", "MASTER_RUN_LOGS_BUCKET", "HOME"]) == []


def test_a_deployment_on_aws_with_a_lake_on_s3_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_DEPLOYMENT", "aws")
    monkeypatch.setenv("MASTER_LAKE_ROOT", "s3://bucket/lake")
    assert load_settings().deployment == "aws"


def test_every_store_is_opened_with_the_settings(s3_root: str, s3_proxy: S3Proxy) -> None:
    settings = Settings(
        _env_file=None, lake_root=s3_root, s3_endpoint_url=s3_proxy.address, s3_encryption="aws:kms", s3_kms_key="key-1"
    )
    deployment = load_deployment(settings)
    with build_resources({name: dagster_resources(deployment)[name] for name in ("lake", "job_launcher")}) as opened:
        for store in (opened.lake.store, opened.job_launcher.store, deployment.lake().store):
            store.put("x", b"")
    writes = [call for call in s3_proxy.calls if call.name == "PutObject"]
    assert [call.headers["x-amz-server-side-encryption-aws-kms-key-id"] for call in writes] == ["key-1"] * 3


def test_all_errors_of_all_files_are_reported_at_once_each_under_its_setting(bare_folder: Path) -> None:
    (bare_folder / "seeds.yaml").write_text("sources: []\nshard_size: -1\n")
    (bare_folder / "rules.yaml").write_text("neighbours: none\n")
    missing = dict.fromkeys(("prompts", "quality_rules", "release_rules"), "nowhere")
    error = deployment_error(seeds="seeds.yaml", plan_rules="rules.yaml", **missing)
    expected = ["MASTER_SEEDS: ", "shard_size", "MASTER_PLAN_RULES: rules.yaml", "neighbours"]
    expected += [f"MASTER_{setting.upper()}: 'nowhere'" for setting in missing]
    assert [message for message in expected if message not in error] == []


def test_a_plug_in_that_cannot_be_used_is_reported_with_the_errors_of_the_files(
    monkeypatch: pytest.MonkeyPatch, bare_folder: Path
) -> None:
    monkeypatch.setitem(SEED_SOURCES.__dict__, "_loaded", ({}, ["plug-in 'mail' cannot be loaded"]))
    error = deployment_error(plan_rules="nowhere")
    assert "plug-in 'mail' cannot be loaded" in error
    assert "MASTER_PLAN_RULES: 'nowhere'" in error


@pytest.mark.parametrize(
    ("setting", "content", "message"),
    [
        ("profile", "endpoints: {here: {base_ulr: x}}", "endpoints.here.base_ulr: there is no such key; is base_url"),
        ("seeds", "sources: [{licens: MIT}]", "sources.0.licens: there is no such key; is licence meant?"),
        ("plan_rules", "neighbors: 3", "neighbors: there is no such key; is neighbours meant?"),
        ("quality_rules", "limit: {}", "limit: there is no such key; is limits meant?"),
        ("release_rules", "minimum_coverag: 1", "minimum_coverag: there is no such key; is minimum_coverage meant?"),
        ("comparison_rules", "noises: {}", "noises: there is no such key; is noise meant?"),
        ("training", "recipe: {learning_rat: 0.1}", "recipe.learning_rat: there is no such key; is learning_rate"),
        (
            "training",
            "bases: [{name: a, model: b, template: chatml, context_tokens: 4096}]\nvariants: {dpoo: {method: dpo}}",
            "variants.dpoo: there is no such training set; is dpo meant?",
        ),
        ("trainer", "backend: {kind: local, foldr: x}", "foldr: there is no such key; is folder meant?"),
        (
            "benchmarks",
            "benchmarks: [{kind: code, temprature: 0}]",
            "temprature: there is no such key; is temperature",
        ),
        ("served", "endpont: {}", "endpont: there is no such key; is endpoint meant?"),
    ],
)
def test_a_misspelt_key_of_any_file_is_reported_with_the_similar_key(
    bare_folder: Path, setting: str, content: str, message: str
) -> None:
    (bare_folder / "mine.yaml").write_text(content)
    assert message in deployment_error(**{setting: "mine.yaml"})


@pytest.mark.parametrize(
    ("settings", "prompts"),
    [
        ({"profile": "laptop"}, "by_example"),
        ({"profile": "paper"}, "standard"),
        ({"profile": "laptop", "prompts": "standard"}, "standard"),
    ],
)
def test_the_profile_names_the_prompts_unless_a_setting_does(settings: dict[str, str], prompts: str) -> None:
    found = load_deployment(Settings(_env_file=None, **settings)).prompts  # type: ignore[arg-type]
    assert found.version("judge") == load_prompts(prompts).version("judge")


def test_an_unknown_profile_is_reported_with_the_shipped_names() -> None:
    message = "MASTER_PROFILE: 'desktop' is neither a file nor one of the shipped names: anthropic, azure, "
    assert message in deployment_error(profile="desktop")


def test_unknown_prompts_of_a_profile_are_reported_under_the_profile(bare_folder: Path) -> None:
    profile = (PROFILES / "laptop.yaml").read_text().replace("prompts: by_example", "prompts: nowhere")
    (bare_folder / "profile.yaml").write_text(profile)
    message = "MASTER_PROFILE: prompts: 'nowhere' is neither a folder of prompts"
    assert message in deployment_error(profile="profile.yaml")


def test_the_keys_of_all_models_that_generate_and_judge_are_checked_together(
    project: SampleProject,
) -> None:
    deployment = project.deployment
    deployment.check_keys()
    endpoints = {
        name: Endpoint(base_url="http://localhost/v1", api_key_env=f"NO_KEY_OF_{name}") for name in ("fake", "judges")
    }
    judge = deployment.profile.roles["judge"].model_copy(update={"endpoint": "judges"})
    roles = {**deployment.profile.roles, "judge": judge}
    profile = deployment.profile.model_copy(update={"endpoints": endpoints, "roles": roles})
    with pytest.raises(ConfigurationError, match=r"(?s)NO_KEY_OF_fake.*NO_KEY_OF_judges"):
        replace(deployment, profile=profile).check_keys()


def test_faults_of_fields_roles_and_endpoints_of_a_profile_are_reported_together(bare_folder: Path) -> None:
    (bare_folder / "profile.yaml").write_text(
        "name: mine\n"
        "endpoints: {fleet: {base_url: 'localhost:8000'}, keyed: {base_url: 'http://a/v1', api_key_env: sk-1}}\n"
        "roles: {judge: {endpoint: float, temperature: 0, max_tokens: 10}}\n"
        "embedder: {kind: openai}\n"
    )
    error = deployment_error(profile="profile.yaml")
    expected = [
        "role 'weak_student' is missing; scenario ",
        "roles.judge.endpoint: unknown endpoint 'float'; known: fleet, keyed",
        "embedder.endpoint: unknown endpoint ''",
        "endpoints.fleet.base_url: must start with http:// or https://",
        "endpoints.keyed.api_key_env: should be the NAME of an environment variable",
        "roles.judge.model: has to be given",
    ]
    assert [message for message in expected if message not in error] == []


def test_every_line_of_the_example_names_a_setting_and_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        line[1:] for line in (PROJECT / ".env.example").read_text().splitlines() if line[:1] == "#" and "=" in line
    ]
    for name, _, value in (line.partition("=") for line in lines if not line.startswith(" ")):
        assert name in ("OPENAI_API_KEY", "HF_TOKEN") or name.removeprefix("MASTER_").lower() in Settings.model_fields
        if value:
            monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).asset_tags == {"cost-center": "nlp"}  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("MASTER_OWNERS", "team:nlp, anna", "'anna' should be `team:name` or an e-mail address"),
        ("MASTER_OWNERS", "a@", "'a@' should be `team:name` or an e-mail address"),
        ("MASTER_TAGS", "nlp", "'nlp' should be name=value"),
        ("MASTER_TAGS", "cost center=R&D", "'cost center=R&D' should be name=value"),
    ],
)
def test_owners_and_tags_that_dagster_would_refuse_are_reported(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, message: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(ConfigurationError, match=f"{setting}: .*{message}"):
        load_settings()


def test_owners_tags_and_freshness_reach_the_assets(project: SampleProject) -> None:
    further = {"owners": "team:nlp,anna@example.com", "tags": "cost-center=nlp", "release_fresh_hours": 24}
    deployment = load_deployment(project.settings.model_copy(update=further))
    graph = build_definitions(deployment).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        asset = graph.get(key)
        assert list(asset.owners) == ["team:nlp", "anna@example.com"]
        assert asset.tags["cost-center"] == "nlp"
        assert (asset.freshness_policy is not None) == (key.path == ["boost_qa"])


def test_a_webhook_is_a_secret_also_where_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ALERT_WEBHOOK", "hooks.example.com/services/T0/SECRET")
    with pytest.raises(
        ConfigurationError, match="MASTER_ALERT_WEBHOOK: should be an http:// or https:// address"
    ) as raised:
        load_settings()
    assert "SECRET" not in str(raised.value)


def test_a_dot_env_that_is_not_utf_8_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes("MASTER_LAKE_ROOT=Größe".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8: save it as UTF-8"):
        load_settings()


def test_in_a_subfolder_a_shipped_name_is_not_taken_for_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MASTER_LAKE_ROOT=data\n")
    for name in ("local", "laptop", "standard", "below"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "below")
    settings = load_deployment().settings
    assert (settings.trainer, settings.scenarios, settings.lake_root) == ("local", "standard", str(tmp_path / "data"))
