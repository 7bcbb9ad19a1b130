"""The nightly schedule, which ticks with a Dagster instance of its own and a lake of empty partitions."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
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
from assets.framework.partitions import SHARDS, dialogue_partitions
from assets.framework.run_report import OUTAGE_TAG
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.automation.nightly import LONGEST_RUN, NIGHTLY, RECENT, failed_nights, partitions_in_progress
from master_dagster.automation.tonight import NightStep, tonight_now
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings import Settings
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.records import Gate
from tests.shipped_scenarios import NAMES, SCENARIOS

FIRST_NIGHT = datetime(2026, 1, 5, 2, tzinfo=UTC)
SECOND_NIGHT = datetime(2026, 1, 6, 2, tzinfo=UTC)
INSTANCE_CONFIG = Path(__file__).parents[3] / "infra" / "dagster.yaml"


def shard(number: int) -> str:
    return f"sums-{number:04d}"


def debates(*numbers: int) -> list[str]:
    """Keys of partitions."""
    return [f"debate|{shard(number)}" for number in numbers]


def plan_row(shard: str, number: int) -> dict[str, Any]:
    """A dialogue plan of the scenario error correction."""
    seed = stable_hash(shard, number)
    scenario = {"scenario": "error_correction", "drawn_scenario": "error_correction"}
    row = {"seed_id": seed, "source": "sums", "shard": shard, "domain": "math", "representative": seed}
    return {**row, **scenario, "split": "train"}


@dataclass(frozen=True)
class Night:
    """A deployment, and the instance of which its schedule launches runs."""

    deployment: Deployment
    instance: DagsterInstance

    def plan(self, *numbers: int, rows: int = 0) -> None:
        """Write seeds and plans of these shards, in this order, with so many plans each; register the shards."""
        lake = self.deployment.lake()
        for name in map(shard, numbers):
            lake.write(SEEDS, {"source": "sums", "shard": name}, SEEDS.empty(), fingerprint=stable_hash(name))
            plans = DIALOGUE_PLANS.frame([plan_row(name, number) for number in range(rows)])
            lake.write(DIALOGUE_PLANS, {"shard": name}, plans, fingerprint=stable_hash("plans", name))

    def make(self, key: str, gate: Gate = "passed", *, stale: bool = False) -> None:
        """Write dialogues and scores of a partition."""
        lake, ours = self.deployment.lake(), self.deployment
        scenario, shard = key.split("|")
        dialogues, scores = ours.expected().fingerprints(stable_hash("plans", shard), "", scenario)
        keys = {"scenario": scenario, "shard": shard}
        made_by = "0" * 32 if stale else dialogues
        written = lake.write(DIALOGUES, keys, DIALOGUES.empty(), fingerprint=made_by, gate=gate)
        lake.write(SCORED, keys, SCORED.empty(), fingerprint=scores, made_from=written)

    def make_all_but(self, *keys: str) -> None:
        """Write every planned partition but these."""
        for plans in self.deployment.lake().records(DIALOGUE_PLANS):
            for scenario in NAMES:
                if (key := f"{scenario}|{plans.keys['shard']}") not in keys:
                    self.make(key)

    def schedule(self, **limits: float) -> ScheduleDefinition:
        """The schedule of the code location, with `nightly_` settings as given."""
        update = {f"nightly_{name}": value for name, value in limits.items()}
        settings = self.deployment.settings.model_copy(update=update)
        return build_definitions(replace(self.deployment, settings=settings)).resolve_schedule_def(NIGHTLY)

    def tick(self, when: datetime = FIRST_NIGHT, **limits: float) -> tuple[list[RunRequest], str | None]:
        """The runs that a tick launches, or why it launches none."""
        ours = self.deployment
        context = build_schedule_context(
            self.instance,
            when,
            resources={
                "lake": ours.lake(),
                "chat": ChatService(ours.profile, ours.lake().store),
                "scenarios": ours.scenarios,
                "prompts": ours.prompts,
                "quality_rules": ours.quality_rules,
                "plan_rules": ours.plan_rules,
            },
            repository_def=build_definitions(ours).get_repository_def(),
        )
        with context:
            result = self.schedule(**limits).evaluate_tick(context)
        return list(result.run_requests or []), result.skip_message

    def shown(self, **limits: float) -> Sequence[NightStep]:
        """The steps that the night shows, with `nightly_` settings as given."""
        update = {f"nightly_{name}": value for name, value in limits.items()}
        settings = self.deployment.settings.model_copy(update=update)
        deployment = replace(self.deployment, settings=settings)
        return tonight_now(deployment, deployment.lake(), self.instance).steps

    def launched(self, **limits: float) -> list[str]:
        """Keys of the partitions that a tick launches, in order, each in a run of its own."""
        return [key for request in self.tick(range=1, **limits)[0] for key in self.keys(request)]

    def keys(self, request: RunRequest) -> list[str]:
        """Keys of the partitions of a requested run, as Dagster resolves them."""
        if single := request.tags.get("dagster/partition"):
            return [single]
        ends = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        return list(
            dialogue_partitions(NAMES).get_partition_keys_in_range(
                PartitionKeyRange(*ends), dynamic_partitions_store=self.instance
            )
        )

    def add_run(self, status: DagsterRunStatus, **tags: str) -> None:
        """Record a run with `dagster/…` tags."""
        named = {f"dagster/{name}": value for name, value in tags.items()}
        self.instance.add_run(DagsterRun(job_name="dialogues_and_scores", status=status, tags=named))

    def add_failed_nights(self, key: str, number: int) -> None:
        """Record failed runs of the schedule for this partition, each of another tick."""
        for day in range(number):
            tick = (FIRST_NIGHT - timedelta(days=day + 1)).isoformat()
            tags = {"schedule_name": NIGHTLY, "partition": key, "scheduled_execution_time": tick}
            self.add_run(DagsterRunStatus.FAILURE, **tags)

    def failed_nights(self, later: timedelta = timedelta(0)) -> dict[str, int]:
        return dict(failed_nights(self.instance, SCENARIOS, datetime.now(UTC) + later))

    def in_progress(self, later: timedelta = timedelta(0)) -> set[str]:
        return partitions_in_progress(self.instance, SCENARIOS, datetime.now(UTC) + later)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterInstance]:
    """A persistent instance, which a schedule's context needs."""
    with DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture
def night(tmp_path: Path, instance: DagsterInstance) -> Iterator[Night]:
    """No shard is planned, and the instance has no run."""
    yield Night(load_deployment(Settings(_env_file=None, lake_root=str(tmp_path / "lake"))), instance)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    for shard in instance.get_dynamic_partitions(SHARDS):
        instance.delete_dynamic_partition(SHARDS, shard)


def ends(first: int, last: int) -> dict[str, str]:
    """The tags of a run for a range of debates."""
    (start, end) = debates(first, last)
    return {"asset_partition_range_start": start, "asset_partition_range_end": end}


def test_it_is_off_by_default_and_ticks_when_the_settings_say(night: Night) -> None:
    schedule = night.schedule()
    assert schedule.default_status is DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == night.deployment.settings.nightly_cron


def test_missing_failed_and_stale_partitions_are_launched_and_current_ones_are_not(night: Night) -> None:
    night.plan(0, 1)
    night.make_all_but("debate|sums-0000", "analogy|sums-0001")
    night.make("analogy|sums-0001", gate="failed")
    night.make("error_correction|sums-0001", stale=True)
    requests, _ = night.tick()
    assert {request.tags["dagster/partition"]: request.tags["master/due"] for request in requests} == {
        "debate|sums-0000": "1 missing",
        "analogy|sums-0001": "1 failed",
        "error_correction|sums-0001": "1 stale",
    }


@pytest.mark.parametrize("limits", [{}, {"partitions": 2}, {"range": 1}, {"tokens": 10_000}])
def test_what_the_night_shows_is_what_its_tick_launches(night: Night, limits: dict[str, float]) -> None:
    night.plan(0, 1, rows=3)
    night.make("analogy|sums-0001", gate="failed")
    night.make("error_correction|sums-0001", stale=True)
    shown = night.shown(**limits)
    assert [one.run_id for one in night.instance.get_runs()] == []
    requests, _ = night.tick(**limits)
    assert requests
    assert [sorted(one.partitions) for one in shown if one.launched_by == NIGHTLY] == [
        sorted(night.keys(request)) for request in requests
    ]
    recorded = night.instance.get_latest_materialization_event(AssetKey("tonight"))
    assert recorded is not None


def test_a_night_whose_table_cannot_be_made_is_launched_all_the_same(night: Night) -> None:
    night.plan(0, 1, rows=3)
    night.deployment.lake().store.put("checkpoints/smollm2-135m/boost_qa/latest.json", b"damaged")
    with pytest.raises(ValueError, match="Expecting value"):
        night.shown()
    requests, _ = night.tick()
    assert requests


def test_partitions_are_launched_by_the_age_of_their_plans_within_the_limit(night: Night) -> None:
    night.plan(3, 1, 2)
    shards = [key.partition("|")[2] for key in night.launched(partitions=7)]
    assert shards == ["sums-0003"] * 3 + ["sums-0001"] * 3 + ["sums-0002"]


def test_consecutive_partitions_of_a_scenario_share_a_run_up_to_the_limit(night: Night) -> None:
    night.plan(0, 1, 2)
    night.make("debate|sums-0001", stale=True)
    requests, _ = night.tick()
    expected = [[f"{scenario}|{shard(number)}" for number in range(3)] for scenario in sorted(NAMES)]
    assert [sorted(night.keys(request)) for request in requests] == expected
    assert {request.tags["master/partitions"] for request in requests} >= {"debate|sums-0000 ... debate|sums-0002"}
    assert {request.tags["master/due"] for request in requests} == {"3 missing", "2 missing, 1 stale"}
    assert {len(night.keys(request)) for request in night.tick(range=2)[0]} == {1, 2}


def test_a_partition_whose_run_failed_gets_a_run_of_its_own_behind_the_others(night: Night) -> None:
    night.plan(0, 1, 2)
    night.make_all_but(*debates(0, 1, 2))
    night.add_failed_nights("debate|sums-0001", 1)
    assert [night.keys(request) for request in night.tick()[0]] == [debates(0), debates(2), debates(1)]


def test_a_partition_that_failed_on_too_many_nights_is_skipped_and_named(night: Night) -> None:
    night.plan(0)
    night.make_all_but("debate|sums-0000")
    night.add_failed_nights("debate|sums-0000", 3)
    requests, message = night.tick()
    assert requests == []
    assert message
    assert "debate|sums-0000: failed on too many nights; fix what its last run reports" in message


def test_a_failed_range_counts_for_each_of_its_partitions(night: Night) -> None:
    night.plan(0, 1)
    night.tick()  # registers the shards in the instance
    night.add_run(DagsterRunStatus.FAILURE, schedule_name=NIGHTLY, **ends(0, 1))
    assert night.failed_nights() == {"debate|sums-0000": 1, "debate|sums-0001": 1}


def test_a_run_and_its_retries_are_one_failed_night(night: Night) -> None:
    """Dagster copies the tags of a run to its retries."""
    for _ in range(3):
        night.add_failed_nights("debate|sums-0000", 1)
    assert night.failed_nights() == {"debate|sums-0000": 1}


def test_only_failures_of_the_schedule_within_a_week_that_no_outage_caused_count(night: Night) -> None:
    night.add_run(DagsterRunStatus.FAILURE, partition="debate|sums-0000")
    night.add_failed_nights("tiny|master", 1)  # a partition of another asset
    night.add_failed_nights("debate|sums-0001", 1)
    assert night.failed_nights() == {"debate|sums-0001": 1}
    assert night.failed_nights(later=RECENT + timedelta(minutes=1)) == {}
    for run in night.instance.get_runs():
        night.instance.add_run_tags(run.run_id, {OUTAGE_TAG: "EndpointUnreachable"})
    assert night.failed_nights() == {}


def test_a_budget_in_tokens_limits_a_night(night: Night) -> None:
    night.plan(0, 1, rows=3)
    assert 0 < len(night.launched(tokens=10_000)) < 6
    requests, message = night.tick(tokens=1)
    assert requests == []
    assert ": over budget; " in str(message)


@pytest.mark.parametrize(
    ("status", "later", "in_progress"),
    [
        (DagsterRunStatus.STARTED, timedelta(0), True),
        (DagsterRunStatus.STARTED, LONGEST_RUN - timedelta(minutes=1), True),
        (DagsterRunStatus.STARTED, LONGEST_RUN + timedelta(minutes=1), False),
        (DagsterRunStatus.NOT_STARTED, 2 * LONGEST_RUN, True),
        (DagsterRunStatus.SUCCESS, timedelta(0), False),
        (DagsterRunStatus.FAILURE, timedelta(0), False),
        (DagsterRunStatus.CANCELED, timedelta(0), False),
    ],
)
def test_which_runs_count_as_in_progress(
    night: Night, status: DagsterRunStatus, later: timedelta, in_progress: bool
) -> None:
    night.add_run(status, partition="debate|sums-0000")
    night.add_run(status, partition="tiny|master")  # a partition of another asset
    night.add_run(status, **ends(7, 8))  # shards that are not in the lake
    assert night.in_progress(later) == ({"debate|sums-0000"} if in_progress else set())


def test_partitions_in_progress_are_not_launched_single_ones_and_ranges(night: Night) -> None:
    night.plan(0, 1, 2, 3)
    night.tick()  # registers the shards in the instance
    night.make_all_but(*debates(0, 1, 2, 3))
    night.add_run(DagsterRunStatus.STARTED, partition="debate|sums-0000")
    night.add_run(DagsterRunStatus.NOT_STARTED, **ends(1, 2))
    assert night.launched() == debates(3)


def test_a_night_that_launches_nothing_says_why(night: Night) -> None:
    night.plan(0)
    night.make_all_but("debate|sums-0000")
    night.add_run(DagsterRunStatus.STARTED, partition="debate|sums-0000")
    counts = "1 partitions due (1 missing): 0 launched, 1 in progress"
    assert night.tick() == ([], f"{counts}\ndebate|sums-0000: a run or an open batch makes it")
    night.make("debate|sums-0000")
    assert night.tick() == ([], "0 partitions due (none): 0 launched")


def test_a_tick_that_is_evaluated_twice_has_the_same_run_keys_and_another_night_has_others(night: Night) -> None:
    """Dagster launches one run per run key."""
    night.plan(0)
    nights = [{request.run_key for request in night.tick(when)[0]} for when in (FIRST_NIGHT, FIRST_NIGHT, SECOND_NIGHT)]
    assert nights[0] == nights[1]
    assert not nights[0] & nights[2]


def test_an_interrupted_tick_requests_its_own_runs_again_and_no_others(night: Night) -> None:
    night.plan(0)
    (first, *_), _ = night.tick(partitions=1)
    tick = {"scheduled_execution_time": FIRST_NIGHT.isoformat(), "run_key": str(first.run_key)}
    night.add_run(DagsterRunStatus.STARTED, partition=first.tags["dagster/partition"], schedule_name=NIGHTLY, **tick)
    assert [request.run_key for request in night.tick()[0]] == [first.run_key]


def test_the_instances_shards_become_those_of_the_lake(night: Night) -> None:
    night.plan(0, 1)
    night.tick()
    assert list(night.instance.get_dynamic_partitions(SHARDS)) == [shard(0), shard(1)]


def test_runs_that_call_models_wait_for_each_other(night: Night, tmp_path: Path) -> None:
    """By a pool that the queue limits to one run; the first night of an instance makes the pool known to its queue."""
    definitions = build_definitions(night.deployment)
    assert {definitions.get_assets_def(table.name).op.pool for table in (DIALOGUES, SCORED)} == {"models"}
    shutil.copy(INSTANCE_CONFIG, tmp_path)
    night.plan(0)
    with DagsterInstance.from_config(str(tmp_path)) as fresh:
        pools = fresh.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)
        Night(night.deployment, fresh).tick()
        assert fresh.event_log_storage.get_concurrency_keys() == {"models"}
