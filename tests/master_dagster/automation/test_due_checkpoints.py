"""Which checkpoints are due for training and scoring and why, and that the sensors launch what the night shows."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest, build_sensor_context

from assets.boost_qa.release import RELEASES
from assets.checkpoints.checkpoint import CHECKPOINTS, planned_specification, untuned_id
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.run_report import OUTAGE_TAG
from assets.training_programs.recipe import Recipe, Training
from assets.training_programs.specification import Specification, specify
from assets.training_sets.variants import TRAINING_SETS
from master_dagster.automation.checkpoints import SCORING_SENSOR, TRAINING_SENSOR, checkpoint_sensors
from master_dagster.automation.tonight import NightStep, tonight_now
from master_dagster.deployment import Deployment
from master_dagster.graph import build_definitions
from resources.lake.records import Gate
from tests.sample_project import SampleProject

Change = Callable[[Specification], Specification]
INSTANCE_CONFIG = Path(__file__).parents[3] / "infra" / "dagster.yaml"
VARIANTS = ("untuned", "boost_qa", "ori", "dpo", "kto")
BASE = "smollm2-135m"
STAGES = {TRAINING_SENSOR: "training", SCORING_SENSOR: "evaluation"}
JOBS = {TRAINING_SENSOR: "train_checkpoints", SCORING_SENSOR: "score_checkpoints"}
ASSETS = {TRAINING_SENSOR: "checkpoints", SCORING_SENSOR: BENCHMARK_SCORES.name}


@dataclass(frozen=True)
class Trained:
    """A project with a release, whose checkpoints and scores a test writes without training."""

    deployment: Deployment
    instance: DagsterInstance
    empty: Path

    def planned(self, variant: str) -> Specification:
        lake, training = self.deployment.lake(), self.deployment.training
        return planned_specification(lake, RELEASES.latest(lake), training, training.base(BASE), variant, "local")

    def train(self, variant: str, change: Change = lambda planned: planned) -> None:
        """Write the checkpoint of a changed specification as the latest one."""
        run = CHECKPOINTS.begin(self.deployment.lake(), BASE, variant)
        if variant == "untuned":
            run.publish(self.empty, untuned_id(self.deployment.training.base(BASE)), {})
            return
        made = change(self.planned(variant))
        made = specify(made.base, variant, made.recipe, made.data, made.image)
        manifest = {
            "training_set": {"id": made.data.id, "release": made.data.release},
            "results": {"seconds": 1800},
            **made.model_dump(mode="json", include={"base", "recipe", "image"}),
        }
        run.publish(self.empty, made.id, manifest)

    def score(self, variant: str, gate: Gate = "passed", checkpoint: str | None = None) -> None:
        """Write scores of a checkpoint, by default of the latest one."""
        lake = self.deployment.lake()
        usage = {"sums": {"calls": 3, "replayed": 2, "cost": 0.5, "replayed_cost": 0.25}}
        facts = {"checkpoint": checkpoint or CHECKPOINTS.latest(lake, BASE, variant).id, "usage": usage}
        keys, rows = {"base": BASE, "variant": variant}, BENCHMARK_SCORES.empty()
        lake.write(BENCHMARK_SCORES, keys, rows, fingerprint="0" * 32, gate=gate, facts=facts)

    def shown(self, launcher: str) -> dict[str, NightStep]:
        """The night's rows of what a sensor launches and of what it skips, by variant."""
        steps = tonight_now(self.deployment, self.deployment.lake(), self.instance).steps
        return {step.what.removeprefix(f"{BASE}|"): step for step in steps if step.stage == STAGES[launcher]}

    def launched(self, launcher: str) -> list[RunRequest]:
        """The runs that a tick of the sensor requests."""
        (sensor,) = (one for one in checkpoint_sensors(self.deployment) if one.name == launcher)
        with build_sensor_context(self.instance, resources={"lake": self.deployment.lake()}) as context:
            return list(sensor.evaluate_tick(context).run_requests or [])

    def add_run(
        self,
        key: str,
        status: DagsterRunStatus,
        *,
        asset: str = "",
        job: str = "",
        run_key: str = "",
        outage: str = "",
    ) -> None:
        """Record a run of a job, or of an asset as the UI launches it."""
        tags = {"dagster/partition": key, "dagster/run_key": run_key, **({OUTAGE_TAG: outage} if outage else {})}
        selection = frozenset([AssetKey(asset)]) if asset else None
        name = job or "__ASSET_JOB"
        self.instance.add_run(DagsterRun(job_name=name, status=status, tags=tags, asset_selection=selection))


@pytest.fixture
def trained(finished_project: SampleProject, instance: DagsterInstance, tmp_path: Path) -> Trained:
    """Every checkpoint that is made by default; the finished project's own is `untuned`."""
    (tmp_path / "empty").mkdir()
    found = Trained(finished_project.deployment, instance, tmp_path / "empty")
    for variant in VARIANTS:
        found.train(variant)
    return found


def changed(part: Literal["base", "recipe", "data"], **changes: object) -> Change:
    """A specification with other values in one of its parts."""
    return lambda made: made.model_copy(update={part: getattr(made, part).model_copy(update=changes)})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (changed("recipe"), None),
        (changed("recipe", save_steps=7, minimum_rows=1), None),
        (changed("base", context_tokens=4096), None),
        (changed("recipe", epochs=9, learning_rate=0.5), "recipe changed (epochs, learning_rate)"),
        (changed("base", revision="abc"), "base model changed (revision)"),
        (changed("data", id="another"), "training set changed"),
        (changed("data", release="earlier"), "release {release} is newer"),
        (lambda made: made.model_copy(update={"image": "x"}), "trainer's image changed"),
    ],
    ids=["same", "how often it saves", "context", "recipe", "base", "training set", "release", "image"],
)
@pytest.mark.parametrize("variant", ["boost_qa", "dpo"])
def test_a_checkpoint_is_due_where_another_one_would_be_trained_now(
    trained: Trained, variant: str, change: Change, why: str | None
) -> None:
    trained.train(variant, change)
    release = RELEASES.latest(trained.deployment.lake()).id
    expected = {variant: (why.format(release=release), 30)} if why else {}
    assert {name: (step.why, step.minutes) for name, step in trained.shown(TRAINING_SENSOR).items()} == expected


def test_the_rows_follow_from_the_training_configuration(trained: Trained) -> None:
    def due(training: Training) -> dict[str, str]:
        changed = replace(trained, deployment=replace(trained.deployment, training=training))
        return {name: step.why for name, step in changed.shown(TRAINING_SENSOR).items()}

    ours = trained.deployment.training
    dpo = ours.variants["dpo"].model_copy(update={"epochs": 9})
    (base,) = ours.bases
    other = base.model_copy(update={"revision": "abc"})
    assert due(ours) == {}
    assert due(ours.model_copy(update={"variants": {"dpo": dpo}})) == {"dpo": "recipe changed (epochs)"}
    assert due(ours.model_copy(update={"variants": {"me": Recipe()}}))["me"].startswith("release ")
    assert due(ours.model_copy(update={"bases": (other,), "variants": {}})) == {
        "untuned": "base model changed",
        "boost_qa": "base model changed (revision)",
        "ori": "base model changed (revision)",
    }


def test_a_training_set_of_an_earlier_release_is_not_trained_on(trained: Trained) -> None:
    lake = trained.deployment.lake()
    TRAINING_SETS.begin(lake, "dpo").publish(
        trained.empty, "other", {"variant": "dpo", "release": "earlier", "points_to": None}
    )
    step = trained.shown(TRAINING_SENSOR)["dpo"]
    assert (step.launched_by, step.on) == (None, None)
    assert "has no training set 'dpo'; materialise training_sets, partition 'dpo'" in step.why
    assert trained.launched(TRAINING_SENSOR) == []


def test_scores_are_due_where_they_are_not_those_of_the_latest_checkpoint(trained: Trained) -> None:
    trained.score("untuned")
    trained.score("boost_qa", gate="failed")
    trained.score("ori", checkpoint="earlier")
    found = {name: (step.why, step.calls, step.live_cost) for name, step in trained.shown(SCORING_SENSOR).items()}
    assert found == {
        "boost_qa": ("a gate failed", 5, 0.75),
        "ori": ("the checkpoint is newer", 5, 0.75),
        "dpo": ("not scored yet", None, None),
        "kto": ("not scored yet", None, None),
    }


@pytest.mark.parametrize("launcher", STAGES)
def test_a_sensor_launches_what_the_night_shows(trained: Trained, launcher: str) -> None:
    for variant in VARIANTS[1:]:
        trained.train(variant, changed("recipe", epochs=9))
    key_of_run = {one.tags["dagster/partition"]: str(one.run_key) for one in trained.launched(launcher)}
    making, failed = f"{BASE}|boost_qa", f"{BASE}|ori"
    trained.add_run(making, DagsterRunStatus.STARTED, asset="checkpoints")
    trained.add_run(making, DagsterRunStatus.NOT_STARTED, job="score_checkpoints")
    trained.add_run(failed, DagsterRunStatus.FAILURE, job=JOBS[launcher], run_key=key_of_run[failed])
    shown, requests = trained.shown(launcher), trained.launched(launcher)
    assert [f"{BASE}|{name}" for name, step in shown.items() if step.launched_by == launcher] == [
        request.tags["dagster/partition"] for request in requests
    ]
    assert [step.why for step in shown.values() if step.launched_by] == [one.tags["master/due"] for one in requests]
    assert {name for name, step in shown.items() if step.launched_by is None} == {"boost_qa", "ori"}
    assert shown["boost_qa"].why == "a run or an open batch makes it"
    assert f"its status is failure: fix what it reports, then launch the job `{JOBS[launcher]}`" in shown["ori"].why
    job = build_definitions(trained.deployment).resolve_job_def(JOBS[launcher])
    assert job.partitions_def and {f"{BASE}|{name}" for name in shown} <= set(job.partitions_def.get_partition_keys())


@pytest.mark.parametrize(
    ("outage", "pause", "launched"),
    [
        ("", timedelta(0), False),
        ("BudgetSpent", timedelta(0), True),
        ("BudgetSpent", timedelta(days=1), False),
    ],
    ids=["failed", "outage of a day ago", "outage of today"],
)
def test_a_run_is_launched_again_a_day_after_an_outage_alone(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, outage: str, pause: timedelta, launched: bool
) -> None:
    monkeypatch.setattr("master_dagster.automation.checkpoints.AFTER_OUTAGE", pause)
    key = f"{BASE}|boost_qa"

    def key_of_run() -> str | None:
        requests = trained.launched(SCORING_SENSOR)
        return next((one.run_key for one in requests if one.tags["dagster/partition"] == key), None)

    first = str(key_of_run())
    trained.add_run(key, DagsterRunStatus.FAILURE, job=JOBS[SCORING_SENSOR], run_key=first, outage=outage)
    assert (key_of_run() is not None) == launched
    assert key_of_run() != first


@pytest.mark.parametrize("launcher", STAGES)
def test_the_runs_of_a_tick_wait_for_each_other(project: SampleProject, tmp_path: Path, launcher: str) -> None:
    shutil.copy(INSTANCE_CONFIG, tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as fresh:
        Trained(project.deployment, fresh, tmp_path).launched(launcher)
        pool = build_definitions(project.deployment).get_assets_def(ASSETS[launcher]).op.pool
        assert fresh.event_log_storage.get_concurrency_keys() == {pool}


def test_a_launched_run_makes_the_checkpoint(finished_project: SampleProject, instance: DagsterInstance) -> None:
    lake = finished_project.deployment.lake()
    lake.store.delete(f"checkpoints/{BASE}/untuned/latest.json")
    project = Trained(finished_project.deployment, instance, finished_project.folder)
    (request,) = (one for one in project.launched(TRAINING_SENSOR) if one.tags["dagster/partition"].endswith("untuned"))
    job = build_definitions(project.deployment).resolve_job_def(JOBS[TRAINING_SENSOR])
    assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert "untuned" not in project.shown(TRAINING_SENSOR)
