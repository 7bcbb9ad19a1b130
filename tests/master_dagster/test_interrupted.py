"""A run that is ended in the middle, and the same again: what is released is what an undisturbed run releases."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import DagsterInstance

from assets.boost_qa.release import HOME as RELEASES
from assets.boost_qa.release import latest_release
from assets.dialogues.schema import DIALOGUES
from assets.evaluation.browser.publishing import HOME as BROWSERS
from assets.lesson_plans.schema import LESSON_PLANS
from assets.partitions import Scenario
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.training_sets.variants import HOME as TRAINING_SETS
from master_dagster.definitions import build_definitions
from master_dagster.demo import DEMO_VARIANTS, run_step
from master_dagster.record import record_lake
from resources.chat.journal import decode_records
from resources.chat.profile import Role
from resources.lake import Lake
from resources.publication import read_latest
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.school import School, Taught, play
from tests.waiting import until

PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine
STAGES = ["scenario_dialogues", "scored_dialogues"]
SHARD = "sums-0000"
KEYS = [f"{next(iter(Scenario))}|{SHARD}", f"{list(Scenario)[-1]}|{SHARD}"]
TEACH_AND_SCORE = """
import sys
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from master_dagster.deployment import Settings, load_deployment

lake_root, seeds, profile, *keys = sys.argv[1:]
deployment = load_deployment(Settings(_env_file=None, lake_root=lake_root, seeds=seeds, profile=profile))
with DagsterInstance.ephemeral() as instance:
    mirror_shards(deployment.lake(), instance)
    run_step(build_definitions(deployment), instance, ["scenario_dialogues", "scored_dialogues"], keys)
"""

MAKE_ONE_STAGE = """
import json, os, sys, time
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from master_dagster.deployment import Settings, load_deployment
from resources.store import LocalStore

lake_root, seeds, profile, assets, keys, last, pipe = sys.argv[1:]
written = []

def pausing(write):
    def write_and_pause(store, path, *content):
        done = write(store, path, *content)
        written.append(path)
        if len(written) == int(last):
            os.write(int(pipe), b"!")
            time.sleep(600)
        return done
    return write_and_pause

for name in ("put", "put_file", "put_if_absent"):
    setattr(LocalStore, name, pausing(getattr(LocalStore, name)))
deployment = load_deployment(Settings(_env_file=None, lake_root=lake_root, seeds=seeds, profile=profile))
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
    judging: bool, number: signal.Signals, taught: Taught, planned_school: School, instance: DagsterInstance
) -> None:
    school, settings = planned_school, planned_school.settings
    pause = Pause(judging, answers=3)
    school.endpoint.answer_with(pause.rule)
    command = [sys.executable, "-c", TEACH_AND_SCORE, settings.lake_root, settings.seeds, settings.profile, *KEYS]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert pause.silent.wait(SECONDS)
    if number == signal.SIGKILL:  # which answers under way do not outlive
        until(lambda: kept_answers(school.deployment.lake()) == len(pause.answered))
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0, output

    school.endpoint.answer_with(play)
    before = len(school.endpoint.chats)
    lake, definitions = school.deployment.lake(), build_definitions(school.deployment)
    mirror_shards(lake, instance)
    run_step(definitions, instance, STAGES, KEYS)
    run_step(definitions, instance, ["boost_qa"], None)

    release, undisturbed = latest_release(lake), latest_release(taught.school.deployment.lake())
    assert release
    assert undisturbed
    assert release.id == undisturbed.id
    asked_again = {(call.model, call.text) for call in school.endpoint.chats[before:]}
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
        names = {table.name: table for table in (SEEDS, EMBEDDINGS, LESSON_PLANS)}
        found: dict[str, object] = {}
        for folder in self.folders:
            if folder in names:
                found[folder] = [(one.name, one.fingerprint, one.rows) for one in lake.records(names[folder])]
            else:
                latest = read_latest(lake.store, folder)
                found[folder] = latest and latest["id"]
        return found


SOURCES = Stage(("raw_seeds", "seed_embeddings"), ("sums",), (SEEDS.name, EMBEDDINGS.name), last_write=2)
PLANS = Stage(("lesson_plans",), (SHARD,), (LESSON_PLANS.name,), last_write=1)
RELEASE = Stage(("boost_qa",), None, (RELEASES,), last_write=2)
TRAINING = Stage(
    ("training_sets",), DEMO_VARIANTS, tuple(f"{TRAINING_SETS}/{name}" for name in DEMO_VARIANTS), last_write=2
)


BROWSER = Stage(("dialogue_browser",), None, (BROWSERS,), last_write=2)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("stage", [SOURCES, PLANS, RELEASE, TRAINING, BROWSER], ids=lambda stage: stage.assets[0])
def test_a_stage_that_is_ended_between_two_writes_ends_in_the_same_content(
    stage: Stage, number: signal.Signals, taught: Taught, taught_school: School, instance: DagsterInstance
) -> None:
    settings, lake = taught_school.settings, taught_school.deployment.lake()
    for folder in [taught_school.folder / "lake"] if stage is SOURCES else map(Path, stage.folders):
        for home in (folder, Path("_index") / folder):
            shutil.rmtree(taught_school.folder / "lake" / home, ignore_errors=True)
    told, tell = os.pipe()
    words = [settings.lake_root, settings.seeds, settings.profile, json.dumps(stage.assets), json.dumps(stage.keys)]
    command = [sys.executable, "-c", MAKE_ONE_STAGE, *words, str(stage.last_write), str(tell)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[tell])
    os.close(tell)
    paused = os.read(told, 1)
    os.close(told)
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert paused, output.decode()
    assert process.returncode != 0, output.decode()

    definitions = build_definitions(taught_school.deployment)
    mirror_shards(lake, instance)
    run_step(definitions, instance, list(stage.assets), list(stage.keys) if stage.keys else None)
    assert stage.content(lake) == stage.content(taught.school.deployment.lake())
    assert not set(record_lake(lake, instance)) & set(stage.assets)
