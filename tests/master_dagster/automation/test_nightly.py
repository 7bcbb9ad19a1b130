"""The nightly schedule, ticking against a Dagster instance of its own and a lake of empty partitions."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultScheduleStatus,
    PartitionKeyRange,
    RunRequest,
    ScheduleDefinition,
    build_schedule_context,
)
from dagster._core.instance.config import PoolGranularity

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS, Scenario, dialogue_partitions
from assets.framework.run_report import OUTAGE_TAG
from assets.quality.partition_status import expected_fingerprints
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.automation.nightly import LONGEST_RUN, NIGHTLY, TRIED, failed_nights, partitions_in_flight
from master_dagster.definitions import build_definitions
from master_dagster.settings import Deployment, Settings, load_deployment
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.tables import Gate

SHARD = "sums-{:04d}"
ONE_NIGHT = datetime(2026, 1, 5, 2, tzinfo=UTC)
NEXT_NIGHT = datetime(2026, 1, 6, 2, tzinfo=UTC)


def plan_of(shard: str, number: int) -> dict[str, Any]:
    """A plan of a partition in error correction."""
    seed = stable_hash(shard, number)
    return {
        "seed_id": seed,
        "source": "sums",
        "shard": shard,
        "domain": "math",
        "representative": seed,
        "split": "train",
        "scenario": "error_correction",
        "drawn_scenario": "error_correction",
    }


@dataclass(frozen=True)
class Night:
    """A deployment with `planned` shards, and the instance that its schedule ticks against."""

    deployment: Deployment
    instance: DagsterInstance

    def plan(self, *numbers: int, rows: int = 0) -> None:
        """Write seeds and plans of these shards, in this order; plans of so many seeds."""
        lake = self.deployment.lake()
        for shard in map(SHARD.format, numbers):
            lake.write(SEEDS, {"source": "sums", "shard": shard}, SEEDS.empty(), fingerprint=stable_hash(shard))
            plans = (
                DIALOGUE_PLANS.frame(plan_of(shard, number) for number in range(rows))
                if rows
                else DIALOGUE_PLANS.empty()
            )
            lake.write(DIALOGUE_PLANS, {"shard": shard}, plans, fingerprint=stable_hash("plans", shard))

    def teach(self, key: str, gate: Gate = "passed", *, stale: bool = False) -> None:
        """Write dialogues and scores of a partition."""
        lake, ours = self.deployment.lake(), self.deployment
        scenario, shard = key.split("|")
        expected = expected_fingerprints(ours.profile, ours.prompts, ours.quality_rules)
        told, judged = expected(stable_hash("plans", shard), "", Scenario(scenario))
        keys = {"scenario": scenario, "shard": shard}
        lake.write(DIALOGUES, keys, DIALOGUES.empty(), fingerprint="0" * 32 if stale else told, gate=gate)
        lake.write(SCORED, keys, SCORED.empty(), fingerprint=judged)

    def teach_all_but(self, *keys: str) -> None:
        """Write every planned partition but these."""
        for plans in self.deployment.lake().records(DIALOGUE_PLANS):
            for scenario in Scenario:
                if (key := f"{scenario.value}|{plans.keys['shard']}") not in keys:
                    self.teach(key)

    def schedule(self, **limits: float) -> ScheduleDefinition:
        """The schedule as it is loaded, with `nightly_` settings as given."""
        update = {f"nightly_{name}": value for name, value in limits.items()}
        settings = self.deployment.settings.model_copy(update=update)
        changed = Deployment(**{**vars(self.deployment), "settings": settings})
        return build_definitions(changed).resolve_schedule_def(NIGHTLY)

    def tick(self, when: datetime = ONE_NIGHT, **limits: float) -> tuple[list[RunRequest], str | None]:
        """What a tick launches, or why it launches nothing."""
        ours = self.deployment
        context = build_schedule_context(
            self.instance,
            when,
            resources={
                "lake": ours.lake(),
                "chat": ChatService(ours.profile, ours.lake().store),
                "prompts": ours.prompts,
                "quality_rules": ours.quality_rules,
                "plan_rules": ours.plan_rules,
            },
            repository_def=build_definitions(ours).get_repository_def(),
        )
        with context:
            told = self.schedule(**limits).evaluate_tick(context)
        return list(told.run_requests or []), told.skip_message

    def launched(self, **limits: float) -> list[str]:
        """Keys of the partitions that a tick launches, in order, each in a run of its own."""
        return [key for request in self.tick(range=1, **limits)[0] for key in self.keys(request)]

    def keys(self, request: RunRequest) -> list[str]:
        """What a run that is asked for would make, as Dagster understands it."""
        if request.partition_key:
            return [request.partition_key]
        found = dialogue_partitions.get_partition_keys_in_range(
            PartitionKeyRange(*(request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))),
            dynamic_partitions_store=self.instance,
        )
        return list(found)

    def add_run(self, status: DagsterRunStatus, **tags: str) -> None:
        """A run with `dagster/…` tags."""
        named = {f"dagster/{name}": value for name, value in tags.items()}
        self.instance.add_run(DagsterRun(job_name="teach_and_score", status=status, tags=named))

    def add_failed_nights(self, key: str, number: int, **tags: str) -> None:
        """Runs of the schedule that made this partition and failed, each of another tick."""
        for day in range(number):
            tick = (ONE_NIGHT - timedelta(days=day + 1)).isoformat()
            named = {"schedule_name": NIGHTLY, "partition": key, "scheduled_execution_time": tick, **tags}
            self.add_run(DagsterRunStatus.FAILURE, **named)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterInstance]:
    """A persistent instance: a schedule's context wants one."""
    with DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture
def night(tmp_path: Path, instance: DagsterInstance) -> Iterator[Night]:
    """Nothing is planned, no run is known."""
    yield Night(load_deployment(Settings(_env_file=None, lake_root=str(tmp_path / "lake"))), instance)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    for shard in instance.get_dynamic_partitions(SHARDS):
        instance.delete_dynamic_partition(SHARDS, shard)


def test_it_is_off_until_somebody_switches_it_on(night: Night) -> None:
    assert night.schedule().default_status is DefaultScheduleStatus.STOPPED


def test_it_ticks_when_the_settings_say(night: Night) -> None:
    assert night.schedule().cron_schedule == night.deployment.settings.nightly_cron


def test_missing_failed_and_stale_partitions_are_launched_and_current_ones_are_not(night: Night) -> None:
    night.plan(0, 1)
    night.teach_all_but("debate|sums-0000", "analogy|sums-0001")
    night.teach("analogy|sums-0001", gate="failed")
    night.teach("error_correction|sums-0001", stale=True)
    requests, _ = night.tick()
    assert {request.partition_key: request.tags["master/due"] for request in requests} == {
        "debate|sums-0000": "1 missing",
        "analogy|sums-0001": "1 failed",
        "error_correction|sums-0001": "1 stale",
    }


def test_what_was_planned_first_is_launched_first(night: Night) -> None:
    night.plan(3, 1, 2)
    shards = [str(key).partition("|")[2] for key in night.launched()]
    assert list(dict.fromkeys(shards)) == ["sums-0003", "sums-0001", "sums-0002"]


def test_partitions_that_fail_every_night_keep_no_others_waiting(night: Night) -> None:
    night.plan(0, 1, 2)
    night.teach_all_but("debate|sums-0002")
    night.teach("debate|sums-0000", gate="failed")
    night.teach("debate|sums-0001", stale=True)
    assert night.launched() == ["debate|sums-0001", "debate|sums-0002", "debate|sums-0000"]


def test_a_tick_launches_no_more_than_it_may(night: Night) -> None:
    night.plan(0, 1)
    assert len(night.launched(partitions=4)) == 4


def test_contiguous_partitions_of_a_scenario_are_one_run(night: Night) -> None:
    night.plan(0, 1, 2)
    made = [sorted(night.keys(request)) for request in night.tick()[0]]
    assert made == [[f"{scenario}|sums-{number:04d}" for number in range(3)] for scenario in sorted(Scenario)]


def test_a_run_makes_no_more_partitions_than_it_may(night: Night) -> None:
    night.plan(0, 1, 2)
    assert {len(night.keys(request)) for request in night.tick(range=2)[0]} == {1, 2}


def test_a_range_says_why_each_of_its_partitions_is_due(night: Night) -> None:
    night.plan(0, 1)
    night.teach_all_but("debate|sums-0000")
    night.teach("debate|sums-0001", stale=True)
    assert [request.tags["master/due"] for request in night.tick()[0]] == ["1 missing, 1 stale"]


def test_a_partition_that_failed_before_is_launched_alone(night: Night) -> None:
    night.plan(0, 1, 2)
    night.teach_all_but(*(f"debate|sums-{number:04d}" for number in range(3)))
    night.add_failed_nights("debate|sums-0001", 1)
    made = [night.keys(request) for request in night.tick()[0]]
    assert made == [["debate|sums-0000"], ["debate|sums-0002"], ["debate|sums-0001"]]


def test_a_partition_whose_nights_failed_too_often_is_left_to_people(night: Night) -> None:
    night.plan(0)
    night.teach_all_but("debate|sums-0000")
    night.add_failed_nights("debate|sums-0000", 3)
    requests, told = night.tick()
    assert requests == []
    assert told
    assert "Given up: debate|sums-0000." in told
    assert "--partition 'debate|sums-0000'" in told


def test_a_range_that_failed_counts_for_each_partition_of_it(night: Night) -> None:
    night.plan(0, 1)
    night.tick()  # makes the shards known to the instance
    ends = {"asset_partition_range_start": "debate|sums-0000", "asset_partition_range_end": "debate|sums-0001"}
    night.add_run(DagsterRunStatus.FAILURE, schedule_name=NIGHTLY, **ends)
    now = datetime.now(UTC)
    assert failed_nights(night.instance, now) == {"debate|sums-0000": 1, "debate|sums-0001": 1}


def test_a_run_and_its_retries_are_one_failed_night(night: Night) -> None:
    """Dagster gives a retry its parent's tags."""
    for _ in range(3):
        night.add_failed_nights("debate|sums-0000", 1)
    assert failed_nights(night.instance, datetime.now(UTC)) == {"debate|sums-0000": 1}


def test_partitions_of_two_parts_of_other_assets_are_no_partitions(night: Night) -> None:
    night.add_failed_nights("tiny|master", 1)
    night.add_run(DagsterRunStatus.STARTED, partition="tiny|master")
    now = datetime.now(UTC)
    assert (failed_nights(night.instance, now), partitions_in_flight(night.instance, now)) == ({}, set())


def test_failures_of_other_runs_are_no_failed_nights(night: Night) -> None:
    night.add_run(DagsterRunStatus.FAILURE, partition="debate|sums-0000")
    assert not failed_nights(night.instance, datetime.now(UTC))


def test_a_night_that_failed_because_a_server_was_away_does_not_count(night: Night) -> None:
    night.add_failed_nights("debate|sums-0000", 1)
    (run,) = night.instance.get_runs()
    night.instance.add_run_tags(run.run_id, {OUTAGE_TAG: "EndpointUnreachable"})
    assert not failed_nights(night.instance, datetime.now(UTC))


def test_nights_long_past_are_forgotten(night: Night) -> None:
    night.add_failed_nights("debate|sums-0000", 3)
    assert not failed_nights(night.instance, datetime.now(UTC) + TRIED + timedelta(minutes=1))


def test_a_budget_in_tokens_is_kept_to(night: Night) -> None:
    night.plan(0, 1, rows=3)
    assert 0 < len(night.launched(tokens=10_000)) < 6


def test_a_partition_dearer_than_a_nights_budget_is_named(night: Night) -> None:
    night.plan(0, rows=3)
    requests, told = night.tick(tokens=1)
    assert requests == []
    assert told
    assert "Too dear: error_correction|sums-0000, debate|sums-0000" in told or "Too dear: analogy|sums-0000" in told


def test_an_interrupted_tick_asks_for_its_own_runs_again_and_for_no_others(night: Night) -> None:
    night.plan(0)
    (first, *_), _ = night.tick(partitions=1)
    at = {"scheduled_execution_time": ONE_NIGHT.isoformat(), "run_key": str(first.run_key), "schedule_name": NIGHTLY}
    night.add_run(DagsterRunStatus.STARTED, partition=str(first.partition_key), **at)
    assert [request.run_key for request in night.tick()[0]] == [first.run_key]


def test_a_run_that_was_killed_long_ago_hides_no_partition(night: Night) -> None:
    night.add_run(DagsterRunStatus.STARTED, partition="debate|sums-0000")
    in_time, too_late = (datetime.now(UTC) + LONGEST_RUN + timedelta(minutes=by) for by in (-1, 1))
    assert partitions_in_flight(night.instance, in_time) == {"debate|sums-0000"}
    assert partitions_in_flight(night.instance, too_late) == set()


def test_a_run_that_has_waited_for_days_is_still_in_flight(night: Night) -> None:
    night.add_run(DagsterRunStatus.NOT_STARTED, partition="debate|sums-0000")
    assert partitions_in_flight(night.instance, datetime.now(UTC) + 2 * LONGEST_RUN) == {"debate|sums-0000"}


@pytest.mark.parametrize("asset", ["scenario_dialogues", "scored_dialogues"])
def test_whatever_run_talks_to_models_waits_for_others_that_do(night: Night, asset: str) -> None:
    """The instance lets one run of this pool through at a time (infra/dagster.yaml)."""
    assert build_definitions(night.deployment).get_assets_def(asset).op.pool == "models"


def test_the_instance_that_is_shipped_lets_one_run_of_a_pool_through(tmp_path: Path) -> None:
    """Enforced by the queue alone: a run that was killed holds no slot that a demo or a command would wait for."""
    shutil.copy(Path(__file__).parents[3] / "infra" / "dagster.yaml", tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        pools = instance.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)


def test_the_first_night_of_an_instance_tells_its_queue_of_the_pool(night: Night, tmp_path: Path) -> None:
    """Otherwise the queue lets every run of that night through at once."""
    shutil.copy(Path(__file__).parents[3] / "infra" / "dagster.yaml", tmp_path)
    night.plan(0)
    with DagsterInstance.from_config(str(tmp_path)) as fresh:
        Night(night.deployment, fresh).tick()
        assert fresh.event_log_storage.get_concurrency_keys() == {"models"}


def test_a_partition_that_a_run_is_making_is_left_out(night: Night) -> None:
    night.plan(0)
    night.add_run(DagsterRunStatus.STARTED, partition="debate|sums-0000")
    assert night.launched() == ["analogy|sums-0000", "error_correction|sums-0000"]


@pytest.mark.parametrize("status", [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_partition_whose_run_has_ended_is_launched_again_if_it_is_still_due(
    night: Night, status: DagsterRunStatus
) -> None:
    night.plan(0)
    night.add_run(status, partition="debate|sums-0000")
    assert "debate|sums-0000" in night.launched()


def test_the_partitions_of_a_range_that_waits_are_left_out(night: Night) -> None:
    night.plan(0, 1, 2)
    night.tick()  # makes the shards known to the instance
    night.add_run(
        DagsterRunStatus.NOT_STARTED,
        asset_partition_range_start="debate|sums-0000",
        asset_partition_range_end="debate|sums-0001",
    )
    launched = night.launched()
    assert "debate|sums-0002" in launched
    assert not {"debate|sums-0000", "debate|sums-0001"} & set(launched)


def test_a_range_over_shards_that_are_gone_stops_no_night(night: Night) -> None:
    night.add_run(
        DagsterRunStatus.NOT_STARTED,
        asset_partition_range_start="debate|gone-0000",
        asset_partition_range_end="debate|gone-0001",
    )
    assert partitions_in_flight(night.instance, datetime.now(UTC)) == set()


def test_a_night_with_nothing_due_says_so(night: Night) -> None:
    night.plan(0)
    night.teach_all_but()
    assert night.tick() == ([], "0 partitions due (none): 0 launched")


def test_a_night_whose_partitions_are_all_in_flight_says_so(night: Night) -> None:
    night.plan(0)
    night.teach_all_but("debate|sums-0000")
    night.add_run(DagsterRunStatus.STARTED, partition="debate|sums-0000")
    message = night.tick()[1]
    assert message == "1 partitions due (1 missing): 0 launched, 1 in flight already"


def test_the_next_night_may_launch_the_same_partition_again(night: Night) -> None:
    """Dagster runs a run key once for ever."""
    night.plan(0)
    keys = [{request.run_key for request in night.tick(when)[0]} for when in (ONE_NIGHT, NEXT_NIGHT)]
    assert not keys[0] & keys[1]


def test_one_tick_evaluated_twice_launches_nothing_twice(night: Night) -> None:
    night.plan(0)
    assert [request.run_key for request in night.tick()[0]] == [request.run_key for request in night.tick()[0]]


def test_the_instances_shards_become_those_of_the_lake(night: Night) -> None:
    night.plan(0, 1)
    night.tick()
    assert list(night.instance.get_dynamic_partitions(SHARDS)) == ["sums-0000", "sums-0001"]
