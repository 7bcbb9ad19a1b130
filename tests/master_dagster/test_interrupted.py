"""A run that is ended in the middle, and the same again: what is released is what an undisturbed run releases."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from assets.boost_qa.release import RELEASES
from assets.dialogue_browser.publishing import HOME as BROWSERS
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.framework.partitions import UNTUNED, Scenario
from assets.quality.schema import SCORED
from assets.report.making import HOME as REPORTS
from assets.seeds.mirror import mirror_shards
from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.training_sets.variants import HOME as TRAINING_SETS
from master_dagster.definitions import build_definitions
from master_dagster.demo import DEMO_VARIANTS, run_step
from master_dagster.maintenance.record import record_lake
from resources.chat.journal import decode_records
from resources.chat.profile import Role
from resources.lake.published_folders import read_latest
from resources.lake.tables import Lake
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.sample_project import FinishedProject, SampleProject, play
from tests.waiting import until

PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine
STAGES = ["scenario_dialogues", "scored_dialogues"]
SHARD = "sums-0000"
BASE = "smollm2-135m"
KEYS = [f"{next(iter(Scenario))}|{SHARD}", f"{list(Scenario)[-1]}|{SHARD}"]
TEACH_AND_SCORE = """
import sys
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from master_dagster.settings import Settings, load_deployment

lake_root, seeds, profile, *keys = sys.argv[1:]
deployment = load_deployment(Settings(_env_file=None, lake_root=lake_root, seeds=seeds, profile=profile))
with DagsterInstance.ephemeral() as instance:
    mirror_shards(deployment.lake(), instance)
    run_step(build_definitions(deployment), instance, ["scenario_dialogues", "scored_dialogues"], keys)
"""

MAKE_ONE_STAGE = """
import json, os, sys
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from master_dagster.settings import Settings, load_deployment
from resources.lake.store import LocalStore

settings, assets, keys, last, pausing, going_on = sys.argv[1:]
written = []

def with_pause(write):
    def write_and_pause(store, path, *content):
        done = write(store, path, *content)
        written.append(path)
        if len(written) == int(last):
            os.write(int(pausing), b"!")
            os.read(int(going_on), 1)
        return done
    return write_and_pause

for name in ("put", "put_file", "put_if_absent"):
    setattr(LocalStore, name, with_pause(getattr(LocalStore, name)))
deployment = load_deployment(Settings(_env_file=None, **json.loads(settings)))
with DagsterInstance.ephemeral() as instance:
    mirror_shards(deployment.lake(), instance)
    run_step(build_definitions(deployment), instance, json.loads(assets), json.loads(keys))
"""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]

pytestmark = pytest.mark.end_to_end


def kept_answers(lake: Lake) -> int:
    """How many answers the journals hold."""
    files = lake.store.list("_journal")
    return sum(1 for file in files for record in decode_records(lake.store.get(file.path)) if record)


class Pause:
    """The class, which falls silent after some answers in one of the stages."""

    def __init__(self, judging: bool, answers: int) -> None:
        self.judging, self.left = judging, answers
        self.answered: list[SeenRequest] = []
        self.silent = threading.Event()

    def rule(self, request: SeenRequest) -> Answer | str:
        if (request.model == Role.JUDGE) == self.judging:
            self.left -= 1
            if self.left < 0:
                self.silent.set()
                return FakeEndpoint.hangs()
        self.answered.append(request)
        return play(request)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("judging", [False, True], ids=["teaching", "scoring"])
def test_the_same_command_again_ends_in_the_release_of_an_undisturbed_run(
    judging: bool,
    number: signal.Signals,
    finished: FinishedProject,
    planned_project: SampleProject,
    instance: DagsterInstance,
) -> None:
    project, settings = planned_project, planned_project.settings
    pause = Pause(judging, answers=3)
    project.endpoint.answer_with(pause.rule)
    command = [sys.executable, "-c", TEACH_AND_SCORE, settings.lake_root, settings.seeds, settings.profile, *KEYS]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert pause.silent.wait(SECONDS)
    if number == signal.SIGKILL:  # which answers under way do not outlive
        until(lambda: kept_answers(project.deployment.lake()) == len(pause.answered))
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0, output

    project.endpoint.answer_with(play)
    before = len(project.endpoint.chats)
    lake, definitions = project.deployment.lake(), build_definitions(project.deployment)
    mirror_shards(lake, instance)
    run_step(definitions, instance, STAGES, KEYS)
    run_step(definitions, instance, ["boost_qa"], None)

    release, undisturbed = RELEASES.latest(lake), RELEASES.latest(finished.project.deployment.lake())
    assert release
    assert undisturbed
    assert release.id == undisturbed.id
    asked_again = {(call.model, call.text) for call in project.endpoint.chats[before:]}
    assert not asked_again & {(call.model, call.text) for call in pause.answered}
    for table in (DIALOGUES, SCORED):
        recorded = instance.get_materialized_partitions(definitions.get_assets_def(table.name).key)
        assert recorded == {record.name for record in lake.records(table)}


@dataclass(frozen=True)
class Stage:
    """Assets that a command makes, where in the lake their content lies, and after which write it is ended."""

    assets: tuple[str, ...]
    keys: tuple[str, ...] | None
    folders: tuple[str, ...]
    last_write: int

    def content(self, lake: Lake) -> dict[str, object]:
        """Ids of what is there: of every partition of the tables, and of what the pointers name."""
        names = {
            table.name: table for table in (SEEDS, EMBEDDINGS, DIALOGUE_PLANS, BENCHMARK_ANSWERS, BENCHMARK_SCORES)
        }
        found: dict[str, object] = {}
        for folder in self.folders:
            if folder in names:
                found[folder] = [(one.name, one.fingerprint, one.rows) for one in lake.records(names[folder])]
            else:
                latest = read_latest(lake.store, folder)
                found[folder] = latest and latest["id"]
        return found


SOURCES = Stage(("raw_seeds", "seed_embeddings"), ("sums",), (SEEDS.name, EMBEDDINGS.name), last_write=2)
PLANS = Stage(("dialogue_plans",), (SHARD,), (DIALOGUE_PLANS.name,), last_write=1)
RELEASE = Stage(("boost_qa",), None, ("boost_qa",), last_write=2)
TRAINING = Stage(
    ("training_sets",), DEMO_VARIANTS, tuple(f"{TRAINING_SETS}/{name}" for name in DEMO_VARIANTS), last_write=2
)
BROWSER = Stage(("dialogue_browser",), None, (BROWSERS,), last_write=2)
SCORES = Stage(
    (BENCHMARK_SCORES.name,), (f"{BASE}|{UNTUNED}",), (BENCHMARK_ANSWERS.name, BENCHMARK_SCORES.name), last_write=2
)
REPORT = Stage(("experiment_report",), None, (REPORTS,), last_write=2)


@pytest.fixture(scope="module")
def scored(finished: FinishedProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleProject]:
    """A project in which a model was asked a small benchmark, and the report is written."""
    folder, endpoint = tmp_path_factory.mktemp("scored"), FakeEndpoint()
    endpoint.start()
    endpoint.answer_with(lambda request: "[A]")
    rows = [{"question": f"How much is {n} + {n}?", "options": [str(2 * n), "0"], "answer": "A"} for n in range(1, 4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = {"question": "question", "options": "options", "answer": "answer"}
    benchmark = {"name": "doubles", "kind": "multiple_choice", "form": "fields", "fields": fields}
    written = {
        "benchmarks": {"name": "small", "benchmarks": [{**benchmark, "rows": {"file": "rows.jsonl"}}]},
        "served": {"kind": "endpoint", "endpoint": {"base_url": endpoint.base_url}},
    }
    for name, content in written.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    files = {name: str(folder / f"{name}.yaml") for name in written}
    project = moved(replace(finished.project, settings=finished.project.settings.model_copy(update=files)), folder)
    with DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(project.deployment)
        for stage in (SCORES, REPORT):
            run_step(definitions, instance, stage.assets, stage.keys)
    yield project
    endpoint.stop()


def moved(project: SampleProject, folder: Path) -> SampleProject:
    """The same over a copy of its lake."""
    shutil.copytree(project.settings.lake_root, folder / "lake")
    settings = project.settings.model_copy(update={"lake_root": str(folder / "lake")})
    return replace(project, folder=folder, settings=settings)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    "stage", [SOURCES, PLANS, RELEASE, TRAINING, BROWSER, SCORES, REPORT], ids=lambda stage: stage.assets[0]
)
def test_a_stage_that_is_ended_between_two_writes_ends_in_the_same_content(
    stage: Stage, number: signal.Signals, scored: SampleProject, tmp_path: Path, instance: DagsterInstance
) -> None:
    project = moved(scored, tmp_path)
    lake = project.deployment.lake()
    for folder in [tmp_path / "lake"] if stage is SOURCES else map(Path, stage.folders):
        for home in (folder, Path("_index") / folder):
            shutil.rmtree(tmp_path / "lake" / home, ignore_errors=True)
    paused, pause = os.pipe()
    go_on, let_go_on = os.pipe()
    settings = project.settings.model_dump_json(exclude_unset=True)
    words = [settings, json.dumps(stage.assets), json.dumps(stage.keys), *map(str, (stage.last_write, pause, go_on))]
    command = [sys.executable, "-c", MAKE_ONE_STAGE, *words]
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[pause, go_on]
    )
    os.close(pause)
    reached = os.read(paused, 1)
    process.send_signal(number)
    for end in (paused, go_on, let_go_on):  # a stage that ends in order first finishes the write
        os.close(end)
    output, _ = process.communicate(timeout=SECONDS)
    assert reached, output.decode()
    assert process.returncode != 0, output.decode()

    definitions = build_definitions(project.deployment)
    mirror_shards(lake, instance)
    run_step(definitions, instance, stage.assets, stage.keys)
    assert stage.content(lake) == stage.content(scored.deployment.lake())
    assert not set(record_lake(lake, instance)) & set(stage.assets)
