"""Runs that are interrupted and repeated end with the same content as runs that were not interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, DagsterInstance

from assets.dialogue_browser.publishing import HOME as BROWSERS
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.framework.partitions import FREE_VARIANTS, UNTUNED
from assets.quality.schema import SCORED
from assets.report.making import HOME as REPORTS
from assets.seeds.mirror import mirror_shards
from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.training_sets.variants import HOME as TRAINING_SETS
from master_dagster.graph import build_definitions
from master_dagster.maintenance.record import record_lake
from master_dagster.steps import run_step
from resources.lake.published_folders import read_latest
from resources.lake.tables import Lake
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.sample_project import FinishedProject, SampleProject, journalled_answers, play
from tests.shipped_scenarios import NAMES
from tests.waiting import until

PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine
SHARD = "sums-0000"
BASE = "smollm2-135m"
KEYS = [f"{next(iter(NAMES))}|{SHARD}", f"{NAMES[-1]}|{SHARD}"]
MATERIALISE = """
import json, os, sys
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.graph import build_definitions
from master_dagster.steps import run_step
from master_dagster.deployment import load_deployment
from master_dagster.settings import Settings
from resources.lake.store import LocalStore

settings, assets, keys, pause_after, paused, resume = map(json.loads, sys.argv[1:])
written = []

def with_pause(write):
    def write_and_pause(store, path, *content):
        result = write(store, path, *content)
        written.append(path)
        if len(written) == pause_after:
            os.write(paused, b"!")
            os.read(resume, 1)
        return result
    return write_and_pause

for name in ("put", "put_file", "put_if_absent"):
    setattr(LocalStore, name, with_pause(getattr(LocalStore, name)))
deployment = load_deployment(Settings(_env_file=None, **settings))
with DagsterInstance.ephemeral() as instance:
    mirror_shards(deployment.lake(), instance)
    run_step(build_definitions(deployment), instance, assets, keys)
"""

pytestmark = pytest.mark.end_to_end


@dataclass(frozen=True)
class Stage:
    """Assets of one command, the lake's folders with their content, and the write after which the command pauses."""

    assets: tuple[str, ...]
    keys: Sequence[str] | None
    folders: tuple[str, ...]
    pause_after: int = 2

    def start(self, project: SampleProject, paused: int = 0, resume: int = 0) -> "subprocess.Popen[str]":
        """Make the assets in a process of its own, which pauses if it gets two pipes."""
        settings = project.settings.model_dump(mode="json", exclude_unset=True)
        pause_after = self.pause_after if paused else 0
        arguments = [json.dumps(one) for one in (settings, self.assets, self.keys, pause_after, paused, resume)]
        return subprocess.Popen(
            [sys.executable, "-c", MATERIALISE, *arguments],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[paused, resume] if paused else [],
        )

    def run(self, project: SampleProject, instance: DagsterInstance) -> None:
        """Make the assets in this process."""
        mirror_shards(project.deployment.lake(), instance)
        run_step(build_definitions(project.deployment), instance, self.assets, self.keys)

    def content(self, lake: Lake) -> dict[str, object]:
        """Identities of the partitions of each table and of the latest of each published folder."""
        tables = {
            table.name: table for table in (SEEDS, EMBEDDINGS, DIALOGUE_PLANS, BENCHMARK_ANSWERS, BENCHMARK_SCORES)
        }
        found: dict[str, object] = {}
        for folder in self.folders:
            if folder in tables:
                found[folder] = [(one.name, one.fingerprint, one.rows) for one in lake.records(tables[folder])]
            else:
                latest = read_latest(lake.store, folder)
                found[folder] = latest and latest["id"]
        return found


DIALOGUES_AND_SCORES = Stage((DIALOGUES.name, SCORED.name), KEYS, ())
SOURCES = Stage(("raw_seeds", "seed_embeddings"), ("sums",), (SEEDS.name, EMBEDDINGS.name))
PLANS = Stage(("dialogue_plans",), (SHARD,), (DIALOGUE_PLANS.name,), pause_after=1)
RELEASE = Stage(("boost_qa",), None, ("boost_qa",))
TRAINING = Stage(("training_sets",), FREE_VARIANTS, tuple(f"{TRAINING_SETS}/{name}" for name in FREE_VARIANTS))
BROWSER = Stage(("dialogue_browser",), None, (BROWSERS,))
SCORES = Stage((BENCHMARK_SCORES.name,), (f"{BASE}|{UNTUNED}",), (BENCHMARK_ANSWERS.name, BENCHMARK_SCORES.name))
REPORT = Stage(("experiment_report",), None, (REPORTS,))


class Pause:
    """Models that stop answering after some answers of the judge, or of the others."""

    def __init__(self, judging: bool, answers: int) -> None:
        self.judging, self.left = judging, answers
        self.answered: list[SeenRequest] = []
        self.silent = threading.Event()

    def rule(self, request: SeenRequest) -> Answer | str:
        if (request.model == "judge") == self.judging:
            self.left -= 1
            if self.left < 0:
                self.silent.set()
                return FakeEndpoint.hangs()
        self.answered.append(request)
        return play(request)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: signal.Signals(number).name
)
@pytest.mark.parametrize("judging", [False, True], ids=["dialogues", "scores"])
def test_an_interrupted_run_is_continued_pays_nothing_twice_and_ends_in_the_same_release(
    judging: bool,
    number: signal.Signals,
    finished: FinishedProject,
    planned_project: SampleProject,
    instance: DagsterInstance,
) -> None:
    project, lake = planned_project, planned_project.deployment.lake()
    pause = Pause(judging, answers=3)
    project.endpoint.answer_with(pause.rule)
    process = DIALOGUES_AND_SCORES.start(project)
    assert pause.silent.wait(SECONDS)
    if number == signal.SIGKILL:  # an answer that is not journalled yet would be lost
        until(lambda: journalled_answers(lake) == len(pause.answered))
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0, output

    project.endpoint.answer_with(play)
    before = len(project.endpoint.chats)
    for stage in (DIALOGUES_AND_SCORES, RELEASE):
        stage.run(project, instance)
    assert RELEASE.content(lake) == RELEASE.content(finished.project.deployment.lake())
    requested_again = {(call.model, call.text) for call in project.endpoint.chats[before:]}
    assert not requested_again & {(call.model, call.text) for call in pause.answered}
    for table in (DIALOGUES, SCORED):
        recorded = instance.get_materialized_partitions(AssetKey(table.name))
        assert recorded == {record.name for record in lake.records(table)}


@pytest.fixture(scope="module")
def scored(finished: FinishedProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleProject]:
    """A project with the scores of a model in a small benchmark, and with a report."""
    folder, endpoint = tmp_path_factory.mktemp("scored"), FakeEndpoint()
    endpoint.start()
    endpoint.answer_with(lambda request: "[A]")
    rows = [{"question": f"How much is {n} + {n}?", "options": [str(2 * n), "0"], "answer": "A"} for n in range(1, 4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = {"question": "question", "options": "options", "answer": "answer"}
    benchmark = {"name": "doubles", "kind": "multiple_choice", "form": "fields", "fields": fields}
    configurations = {
        "benchmarks": {"name": "small", "benchmarks": [{**benchmark, "rows": {"file": "rows.jsonl"}}]},
        "served": {"kind": "endpoint", "endpoint": {"base_url": endpoint.base_url}},
    }
    for name, content in configurations.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    files = {name: str(folder / f"{name}.yaml") for name in configurations}
    project = copied(replace(finished.project, settings=finished.project.settings.model_copy(update=files)), folder)
    with DagsterInstance.ephemeral() as instance:
        for stage in (SCORES, REPORT):
            stage.run(project, instance)
    yield project
    endpoint.stop()


def copied(project: SampleProject, folder: Path) -> SampleProject:
    """The same project over a copy of its lake."""
    shutil.copytree(project.settings.lake_root, folder / "lake")
    settings = project.settings.model_copy(update={"lake_root": str(folder / "lake")})
    return replace(project, folder=folder, settings=settings)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize(
    "stage", [SOURCES, PLANS, RELEASE, TRAINING, BROWSER, SCORES, REPORT], ids=lambda stage: stage.assets[0]
)
def test_a_stage_that_is_interrupted_between_two_writes_ends_with_the_same_content(
    stage: Stage, number: signal.Signals, scored: SampleProject, tmp_path: Path, instance: DagsterInstance
) -> None:
    project = copied(scored, tmp_path)
    for folder in [tmp_path / "lake"] if stage is SOURCES else map(Path, stage.folders):
        for home in (folder, Path("_index") / folder):
            shutil.rmtree(tmp_path / "lake" / home, ignore_errors=True)
    (paused, pause), (resume, end_of_resume) = os.pipe(), os.pipe()
    process = stage.start(project, pause, resume)
    os.close(pause)
    reached = os.read(paused, 1)
    process.send_signal(number)
    for end in (paused, resume, end_of_resume):  # a stage that ends in an orderly way finishes the write first
        os.close(end)
    output, _ = process.communicate(timeout=SECONDS)
    assert reached, output
    assert process.returncode != 0, output

    stage.run(project, instance)
    lake = project.deployment.lake()
    assert stage.content(lake) == stage.content(scored.deployment.lake())
    assert not set(record_lake(lake, instance)) & set(stage.assets)
