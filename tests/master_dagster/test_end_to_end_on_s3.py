"""The whole graph with its lake and its seeds on S3; only the configuration files are on this machine's disk."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
import yaml
from dagster import AssetCheckSeverity, DagsterInstance

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.framework.publication import wrong_files
from assets.quality.schema import SCORED
from assets.seeds.schema import REJECTS, SEEDS
from assets.training_sets.variants import TRAINING_SETS
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_graph
from resources.lake.tables import Lake
from tests.command_line import run_command, set_environment
from tests.fake_endpoint import FakeEndpoint
from tests.s3_proxy import S3Proxy
from tests.sample_project import FinishedProject, found_project, question

pytestmark = pytest.mark.end_to_end

PREFIX = "end-to-end/lake"
SEEDS_FILE = "end-to-end/given/sums.jsonl"


@pytest.fixture(scope="module")
def proxy(s3_server: str) -> Iterator[S3Proxy]:
    """Records the calls of every client; the settings alone name the endpoint, the environment does not."""
    proxy = S3Proxy(s3_server)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }.items():
            environment.setenv(name, value)
        yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def finished(proxy: S3Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedProject]:
    """The graph, materialised once: twelve sums and a broken line, from S3 to S3."""
    endpoint = FakeEndpoint()
    endpoint.start()
    project = found_project(tmp_path_factory.mktemp("finished"), endpoint)
    lines = [json.dumps(question(number)) for number in range(12)]
    boto3.client("s3", endpoint_url=proxy.address).put_object(
        Bucket="lake", Key=SEEDS_FILE, Body="\n".join([*lines, "{broken"]).encode()
    )
    proxy.calls.clear()
    (project.folder / "sums.jsonl").unlink()
    seeds = yaml.safe_load((project.folder / "seeds.yaml").read_text())
    seeds["sources"][0]["files"] = [f"s3://lake/{SEEDS_FILE}"]
    (project.folder / "seeds.yaml").write_text(yaml.safe_dump(seeds | {"max_rejected_share": 0.2}))
    on_s3 = {"lake_root": f"s3://lake/{PREFIX}", "s3_endpoint_url": proxy.address, "s3_encryption": "AES256"}
    project = replace(project, settings=project.settings.model_copy(update=on_s3))
    with DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(project.deployment)
        materialise_graph(project.deployment, definitions, instance)
        yield FinishedProject(project, definitions, instance)
    endpoint.stop()


@pytest.fixture
def lake(finished: FinishedProject) -> Lake:
    return finished.project.deployment.lake()


def test_tables_journal_release_and_training_sets_are_complete(lake: Lake) -> None:
    assert lake.read(SEEDS).height == 12
    assert lake.read(REJECTS)["reason"].to_list() == ["broken_json"]
    assert set(lake.read(DIALOGUES)["seed_id"]) == set(lake.read(SEEDS)["seed_id"])
    assert set(lake.read(SCORED)["dialogue_id"]) == set(lake.read(DIALOGUES)["dialogue_id"])
    assert {file.path.split("/")[1] for file in lake.store.list("_journal")} == {DIALOGUES.name, SCORED.name}
    release = RELEASES.latest(lake)
    assert release.manifest["files"]
    assert wrong_files(lake, release.folder, release.manifest["files"]) == []
    releases = {TRAINING_SETS.latest(lake, variant).manifest["release"] for variant in ("boost_qa", "ori")}
    assert releases == {release.id}


def test_no_check_failed_with_severity_error(finished: FinishedProject) -> None:
    failed = []
    keys = finished.definitions.resolve_asset_graph().asset_check_keys
    made = [key for key in keys if key.asset_key.to_user_string() != "checkpoints"]
    for key, record in finished.instance.event_log_storage.get_latest_asset_check_execution_by_key(made).items():
        assert record.event is not None
        assert record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        if not evaluation.passed and evaluation.severity is AssetCheckSeverity.ERROR:
            failed.append(key.to_user_string())
    assert failed == []


def test_nothing_is_written_to_this_machine_and_every_object_is_encrypted(
    finished: FinishedProject, proxy: S3Proxy
) -> None:
    assert sorted(path.name for path in finished.project.folder.rglob("*")) == ["profile.yaml", "seeds.yaml"]
    assert not Path("s3:").exists()
    writes = [call for call in proxy.calls if call.name in ("PutObject", "CreateMultipartUpload")]
    assert {call.headers.get("x-amz-server-side-encryption") for call in writes} == {"AES256"}


def test_no_listing_covers_the_whole_lake(finished: FinishedProject, proxy: S3Proxy) -> None:
    prefixes = {call.query["prefix"] for call in proxy.calls if call.name == "ListObjectsV2"}
    # fsspec looks for the seeds' file with a prefix that has no slash at its end
    assert {prefix for prefix in prefixes if not prefix.startswith((f"{PREFIX}/", SEEDS_FILE))} == set()
    assert f"{PREFIX}/" not in prefixes


def test_a_fresh_instance_takes_its_record_from_s3_and_calls_no_model(finished: FinishedProject, lake: Lake) -> None:
    endpoint, before = finished.project.endpoint, RELEASES.latest(lake)
    calls = len(endpoint.requests)
    with DagsterInstance.ephemeral() as fresh:
        mirrored = finished.definitions.resolve_job_def("mirror_lake").execute_in_process(instance=fresh)
        assert mirrored.success
        assert fresh.get_dynamic_partitions("shards") == finished.instance.get_dynamic_partitions("shards")
        materialise_graph(finished.project.deployment, finished.definitions, fresh)
    assert len(endpoint.requests) == calls
    assert RELEASES.latest(lake) == before


def test_commands_show_what_is_on_s3(
    finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_environment(finished.project, monkeypatch)
    monkeypatch.setenv("MASTER_S3_ENDPOINT_URL", str(finished.project.settings.s3_endpoint_url))
    expected = {
        "show": "in release ",
        "status": f"s3://lake/{PREFIX}/boost_qa/releases/",
        "open": f"aws s3 cp --recursive s3://lake/{PREFIX}/dialogue_browser/",
        "try": "5 of 5 accepted",
    }
    for command, part in expected.items():
        assert run_command(command) == 0
        assert part in capsys.readouterr().out
