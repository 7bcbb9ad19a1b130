"""An evaluation that is killed in the middle, as a process of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.assets.evaluation.sums import CHOICE, sums
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest

ANSWERED = 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_an_evaluation_that_is_killed_continues_where_it_stopped(
    number: signal.Signals, board: Any, fake_endpoint: FakeEndpoint
) -> None:
    board.add(CHOICE, sums(30))
    (board.folder / "benchmarks.json").write_text(json.dumps(board.benchmarks))

    def stall(request: SeenRequest) -> Answer | str:
        return "[B]" if request.number < ANSWERED else FakeEndpoint.hangs()

    fake_endpoint.answer_with(stall)
    command = [sys.executable, "-m", "tests.assets.evaluation.evaluating", str(board.folder), fake_endpoint.base_url]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as process:
        fake_endpoint.wait_for(30, 60)
        process.send_signal(number)
    assert process.returncode != 0
    asked = len(fake_endpoint.chats)
    fake_endpoint.answer_with(lambda request: "[B]")
    made = board.evaluate()
    assert made.scores["right"].to_list() == [30]
    assert len(fake_endpoint.chats) - asked == 30 - ANSWERED
