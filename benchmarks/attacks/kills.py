"""SIGKILL at random moments of a run of the whole graph: no row is lost, and the release is the same."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from benchmarks.attacks.tally import Tally
from benchmarks.engine import opened_lake
from resources.lake.published_folders import read_latest
from tests.fake_endpoint import FakeEndpoint
from tests.sample_project import SampleProject, found_project, play

PROJECT = Path(__file__).parents[2]
ROUNDS, KILLS = 2, 3  # so many lakes, each with so many killed runs before the one that ends
TABLES = (SEEDS, DIALOGUE_PLANS, DIALOGUES, SCORED)
SECONDS_LATER = 3.0  # scores and a release are made then
LATENCY = 0.3  # seconds of each answer, so that some are in flight
PROGRAM = """
import json, sys
from dagster import DagsterInstance
from master_dagster.graph import build_definitions
from master_dagster.deployment import load_deployment
from master_dagster.settings import Settings
from master_dagster.steps import materialise_plans, materialise_release

deployment = load_deployment(Settings(_env_file=None, **json.loads(sys.argv[1])))
with DagsterInstance.ephemeral() as instance:
    definitions = build_definitions(deployment)
    materialise_plans(deployment, definitions, instance)
    materialise_release(deployment, definitions, instance)
"""


def run() -> Tally:
    """Kills of runs whose lake is a folder."""
    return _run("kills", s3=False)


def run_on_s3() -> Tally:
    """Kills of runs whose lake is on an S3 server (moto) in another process."""
    return _run("kills_on_s3", s3=True)


def _run(kind: str, *, s3: bool) -> Tally:
    tally, draw, twice = Tally(kind), random.Random(0), 0
    with opened_lake(s3) as root, ExitStack() as stack:
        endpoint = FakeEndpoint()
        endpoint.start()
        stack.callback(endpoint.stop)
        project = found_project(Path(stack.enter_context(tempfile.TemporaryDirectory())), endpoint)
        endpoint.answer_with(lambda request: FakeEndpoint.says(play(request), delay=LATENCY))
        start(_with_lake(project, f"{root}/undisturbed")).communicate()
        calls = _calls(endpoint)
        expected = _content(_with_lake(project, f"{root}/undisturbed"))
        for number in range(ROUNDS):
            disturbed = _with_lake(project, f"{root}/{number}")
            endpoint.requests.clear()
            killed = sum(_killed(disturbed, draw, calls.total()) for _ in range(KILLS))
            output, _ = start(disturbed).communicate()
            same = _content(disturbed) == expected
            for _ in range(killed):
                tally.count(same, f"lake {number}: {_content(disturbed)} instead of {expected}\n{output[-500:]}")
            twice += sum((_calls(endpoint) - calls).values())
    tally.note = f"{twice} of {ROUNDS * calls.total()} calls paid twice"
    return tally


def _with_lake(project: SampleProject, root: str) -> SampleProject:
    settings = project.settings.model_copy(update={"lake_root": root})
    return SampleProject(project.folder, settings, project.endpoint)


def start(project: SampleProject, first: str = "") -> "subprocess.Popen[str]":
    """A process that makes the graph up to a release, after the lines of `first`."""
    settings = json.dumps(project.settings.model_dump(mode="json", exclude_unset=True))
    return subprocess.Popen(
        [sys.executable, "-c", first + PROGRAM, settings],
        cwd=PROJECT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _killed(project: SampleProject, draw: random.Random, calls: int) -> bool:
    """Start a run and kill it up to some seconds after a random one of its calls. Returns whether it still ran."""
    before = len(project.endpoint.chats)
    wanted = before + draw.randint(1, max(1, calls - before))
    process = start(project)
    while process.poll() is None and len(project.endpoint.chats) < min(wanted, calls):
        time.sleep(0.05)
    time.sleep(draw.uniform(0, SECONDS_LATER))
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def _calls(endpoint: FakeEndpoint) -> Counter[tuple[str, str]]:
    return Counter((chat.model, chat.text) for chat in endpoint.chats)


def _content(project: SampleProject) -> tuple[object, dict[str, list[tuple[str, str, int]]]]:
    """The id of the release, and name, fingerprint and rows of every partition."""
    lake = project.deployment.lake()
    latest = read_latest(lake.store, "boost_qa")
    records = {table.name: [(one.name, one.fingerprint, one.rows) for one in lake.records(table)] for table in TABLES}
    return latest and latest["id"], records
