"""The graph with roles in batches: the same release as live, waiting partitions, and the sensor that continues them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, DagsterInstance, RunRequest, build_sensor_context

from assets.framework.run_report import WAITING_TAG
from assets.seeds.mirror import mirror_shards
from master_dagster import batches as master_batches
from master_dagster.automation.batches import batches_sensor
from master_dagster.automation.nightly import partitions_awaiting_batches
from master_dagster.batches import batches_line, open_batches, wait_for_batch
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_plans, materialise_release, run_step
from resources.chat.batches import collection, provider
from resources.chat.batches.ledger import Ledger, all_ledgers, change_ledger, now
from resources.chat.spending_log import read_spending
from resources.lake.published_folders import read_latest
from tests.batch_project import put_in_batches
from tests.batch_server import BatchServer
from tests.sample_project import FinishedProject, SampleProject
from tests.shipped_scenarios import NAMES

SHARD = "sums-0000"
KEYS = [f"{name}|{SHARD}" for name in NAMES]
BOTH = ["scenario_dialogues", "scored_dialogues"]


@pytest.fixture
def server(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setattr(master_batches, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(collection, "SETTLE_SECONDS", 0.0)
    server = BatchServer(project.endpoint)
    server.start()
    yield server
    server.stop()


def step(project: SampleProject, instance: DagsterInstance, assets: Sequence[str] = BOTH) -> bool:
    return run_step(build_definitions(project.deployment), instance, assets, [KEYS[0], KEYS[-1]])


@pytest.mark.end_to_end
@pytest.mark.parametrize("live", [(), ("weak_student", "debater_a", "debater_b")], ids=["all", "mixed"])
def test_the_graph_in_batches_ends_in_the_release_of_live_calls(
    live: tuple[str, ...],
    finished: FinishedProject,
    project: SampleProject,
    server: BatchServer,
    instance: DagsterInstance,
) -> None:
    deployment = put_in_batches(project, server, *live).deployment
    definitions = build_definitions(deployment)
    materialise_plans(deployment, definitions, instance)
    materialise_release(deployment, definitions, instance)
    ours, theirs = (
        read_latest(lake.store, "boost_qa") for lake in (deployment.lake(), finished.project.deployment.lake())
    )
    assert ours
    assert theirs
    assert ours["id"] == theirs["id"]
    assert set(server.requests.values()) == {1}
    assert {body["model"] for body in server.live} <= set(live)


def test_a_waiting_partition_is_observed_and_not_materialised_and_nothing_follows_it(
    planned_project: SampleProject, server: BatchServer, instance: DagsterInstance
) -> None:
    project = put_in_batches(planned_project, server)
    mirror_shards(project.deployment.lake(), instance)
    assert step(project, instance)
    (run,) = instance.get_runs()
    assert (run.is_success, run.tags[WAITING_TAG]) == (True, "batches")
    assert instance.get_materialized_partitions(AssetKey("scenario_dialogues")) == set()
    assert instance.get_materialized_partitions(AssetKey("scored_dialogues")) == set()
    observed = instance.fetch_observations(AssetKey("scenario_dialogues"), limit=10).records
    words = {
        str(one.partition_key): str(one.asset_observation.metadata["waits"].value)
        for one in observed
        if one.asset_observation
    }
    assert set(words) == set(KEYS)
    assert all(text.startswith("waits for") and "in 1 batch since" in text for text in words.values())
    rows = open_batches(project.deployment.lake().store)
    assert batches_line(rows).startswith(f"{len(rows)} batches with 12 requests are open, the oldest since 20")
    assert partitions_awaiting_batches(project.deployment.lake(), now()) == set(KEYS)


def tick(project: SampleProject, instance: DagsterInstance) -> list[RunRequest] | str:
    ours = project.deployment
    repository = build_definitions(ours).get_repository_def()
    with build_sensor_context(instance=instance, resources={"lake": ours.lake()}, repository_def=repository) as context:
        result = batches_sensor(ours).evaluate_tick(context)
    return list(result.run_requests or []) or str(result.skip_message)


def next_launch(project: SampleProject, instance: DagsterInstance) -> list[RunRequest]:
    """What the first of ten ticks launches that launches anything."""
    ticks = (tick(project, instance) for _ in range(10))
    return next(found for found in ticks if not isinstance(found, str))


def test_the_sensor_launches_partitions_whose_batches_ended_once_for_each_state(
    planned_project: SampleProject, server: BatchServer, instance: DagsterInstance
) -> None:
    project = put_in_batches(planned_project, server)
    mirror_shards(project.deployment.lake(), instance)
    assert "none can go on" in str(tick(project, instance))
    server.plan = ("in_progress", "in_progress", "completed")
    step(project, instance)
    assert str(tick(project, instance)).startswith("3 partitions wait for batches")
    launched = next_launch(project, instance)
    again = tick(project, instance)
    assert [one.run_key for one in launched] == [one.run_key for one in again if not isinstance(one, str)]
    assert {one.tags["dagster/partition"] for one in launched} == set(KEYS)
    step(project, instance)
    assert str(tick(project, instance)).startswith("3 partitions wait")
    assert len(all_ledgers(project.deployment.lake().store)) == 3


@pytest.mark.parametrize(
    ("endpoint", "failure"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, "endpoint 'gone' at http://127.0.0.1:9/v1 did not answer"),
        ({"base_url": "{server}/nothing"}, "/nothing refuses batches (HTTP 404"),
        ({"base_url": "{server}", "api_key_env": "NO_KEY"}, "endpoint 'gone' takes its key from NO_KEY, which is not"),
    ],
    ids=["unreachable", "refuses", "no key"],
)
def test_a_provider_that_fails_is_named_and_leaves_the_partitions_of_others_alone(
    endpoint: dict[str, str],
    failure: str,
    planned_project: SampleProject,
    server: BatchServer,
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider, "RETRIES", 0)
    project = put_in_batches(planned_project, server)
    profile = yaml.safe_load(Path(project.settings.profile).read_text())
    profile["endpoints"]["gone"] = {name: text.format(server=server.base_url) for name, text in endpoint.items()}
    Path(project.settings.profile).write_text(yaml.safe_dump(profile))
    store = project.deployment.lake().store
    mirror_shards(project.deployment.lake(), instance)
    step(project, instance)
    there = all_ledgers(store)[0]

    def move(ledger: Ledger) -> None:
        ledger.open[0].endpoint = "gone"

    change_ledger(store, there.scope, move)
    assert failure in str(tick(project, instance))
    launched = next_launch(project, instance)
    assert {one.tags["dagster/partition"] for one in launched} == {*KEYS} - {there.partition}


def test_a_tick_deletes_the_files_that_a_run_could_not_delete(
    planned_project: SampleProject, server: BatchServer, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "RETRIES", 0)
    project = put_in_batches(planned_project, server)
    store = project.deployment.lake().store
    mirror_shards(project.deployment.lake(), instance)
    server.plan = ("completed",)
    server.refuse["GET", "/files"] = (503, "not now")
    for _ in range(2):
        step(project, instance)
    assert sum(len(ledger.left_files) for ledger in all_ledgers(store)) == len(KEYS)
    server.refuse.clear()
    tick(project, instance)
    assert [ledger.left_files for ledger in all_ledgers(store)] == [[]] * len(KEYS)


@pytest.mark.parametrize("by", ["a tick", "the command line"])
def test_batches_of_partitions_that_other_calls_made_meanwhile_are_collected(
    by: str, planned_project: SampleProject, server: BatchServer, instance: DagsterInstance
) -> None:
    project = put_in_batches(planned_project, server)
    deployment = project.deployment
    mirror_shards(deployment.lake(), instance)
    step(project, instance)
    profile = yaml.safe_load(Path(project.settings.profile).read_text())
    for role in profile["roles"].values():
        role |= {"mode": "live", "endpoint": "embeddings"}
    Path(project.settings.profile).write_text(yaml.safe_dump(profile))
    assert not step(project, instance)
    store = deployment.lake().store
    for batch in server.batches.values():
        batch.plan = ["completed"]
    assert len(open_batches(store)) == len(KEYS)
    if by == "a tick":
        assert isinstance(tick(project, instance), str)
    else:
        wait_for_batch(project.deployment)
    assert open_batches(store) == []
    assert server.files.keys() == set(server.deleted)
    assert sum(row.calls for row in read_spending(store) if row.batch) == server.requests.total()


@pytest.mark.parametrize(("live", "status"), [((), "RUNNING"), (("all",), "STOPPED")])
def test_the_sensor_is_on_where_a_role_is_in_batches(
    live: tuple[str, ...], status: str, project: SampleProject, server: BatchServer
) -> None:
    deployment = project.deployment if live else put_in_batches(project, server).deployment
    assert batches_sensor(deployment).default_status.value == status
