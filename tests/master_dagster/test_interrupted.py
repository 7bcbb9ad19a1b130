"""A run that is ended in the middle, and the same again: what is released is what an undisturbed run releases."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dagster import DagsterInstance

from assets.boost_qa.release import latest_release
from assets.dialogues.schema import DIALOGUES
from assets.partitions import Scenario
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from resources.chat.profile import Role
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.school import School, Taught, play

PROJECT = Path(__file__).parents[2]
SECONDS = 120  # after which a process counts as hanging
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

pytestmark = pytest.mark.end_to_end


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


@pytest.mark.parametrize(
    ("judging", "number"),
    [(False, signal.SIGINT), (True, signal.SIGTERM), (True, signal.SIGKILL)],
    ids=["teaching, SIGINT", "scoring, SIGTERM", "scoring, SIGKILL"],
)
def test_the_same_command_again_ends_in_the_release_of_an_undisturbed_run(
    judging: bool, number: signal.Signals, taught: Taught, planned_school: School, instance: DagsterInstance
) -> None:
    school, settings = planned_school, planned_school.settings
    pause = Pause(judging, answers=3)
    school.endpoint.answer_with(pause.rule)
    command = [sys.executable, "-c", TEACH_AND_SCORE, settings.lake_root, settings.seeds, settings.profile, *KEYS]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert pause.silent.wait(SECONDS)
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
