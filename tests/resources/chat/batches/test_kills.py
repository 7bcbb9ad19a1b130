"""SIGKILL at each step of a wave: no request is submitted or answered twice, and none is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.batch_server import Cut

if TYPE_CHECKING:
    from tests.resources.chat.batches.conftest import WavesSetup

PROJECT = Path(__file__).parents[4]
UPLOAD, CREATE, LIST = ("POST", "/files"), ("POST", "/batches"), ("GET", "/batches")
ANSWERS, DELETE = ("GET", "/files/file-1/content"), ("DELETE", "/files/file-1")
PROGRAM = """
import asyncio, os, signal, sys
from resources.chat.batches import collection, waves
from resources.chat.calls import AwaitingBatch, Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.journal import ScopeJournal
from resources.chat.profile import Profile
from resources.chat.spending_log import SpendingLog
from resources.lake.opening import open_store
from tests.resources.chat.batches.conftest import SCOPE, WavesSetup

kill_at = sys.argv[3]
collection.SETTLE_SECONDS = 0.0

def killing(function, at):
    def killed(*arguments, **named):
        if kill_at == f"before {at}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        if kill_at == f"after {at}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return killed

waves.change_ledger = killing(waves.change_ledger, "the ledger names the batch")
collection.change_ledger = killing(collection.change_ledger, "the ledger says that it is collected")
ScopeJournal.append = killing(ScopeJournal.append, "an answer is journalled")
SpendingLog.save = killing(SpendingLog.save, "it is recorded what was paid")

async def main():
    async with ChatEngine(Profile.model_validate_json(sys.argv[1]), open_store(sys.argv[2]), batches=True) as engine:
        calls = [engine.complete(WavesSetup.call(number), scope=SCOPE) for number in range(4)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        if any(isinstance(one, AwaitingBatch) for one in found):
            await engine.submit(SCOPE)

asyncio.run(main())
"""


def start(waves: "WavesSetup", kill_at: str = "") -> "subprocess.Popen[str]":
    given = [waves.profile().model_dump_json(), waves.store.root, kill_at]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *given], cwd=PROJECT, text=True, stderr=subprocess.PIPE)


def finish(waves: "WavesSetup") -> None:
    """Run until every call has its answer; each is then submitted, answered and paid for once."""
    waves.run_until_done(*(waves.call(number) for number in range(4)))
    assert set(waves.server.requests.values()) == {1}
    assert set(waves.server.answered.values()) == {1}
    assert (waves.ledger.open, waves.ledger.left_files) == ([], [])
    assert waves.server.files.keys() == set(waves.server.deleted)
    assert sum(row.calls for row in waves.spent) == 4
    assert sum(row.cost for row in waves.spent) == 4 * (10 + 5) * 0.5


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "what", [UPLOAD, CREATE, LIST, ANSWERS, DELETE], ids=["upload", "create", "list", "answers", "delete"]
)
def test_a_run_that_is_killed_at_a_request_to_the_provider(waves: "WavesSetup", what: Cut, when: str) -> None:
    waves.server.plan = ("completed",)
    if what in (LIST, ANSWERS, DELETE):
        start(waves).wait(60)
    process = None

    def kill(seen: Cut) -> None:
        if seen == what and process is not None and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)

    setattr(waves.server, when, kill)
    process = start(waves)
    assert process.wait(60) == -signal.SIGKILL
    finish(waves)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("step", "runs"),
    [
        ("the ledger names the batch", 0),
        ("an answer is journalled", 1),
        ("it is recorded what was paid", 1),
        ("the ledger says that it is collected", 1),
    ],
)
def test_a_run_that_is_killed_between_two_writes(waves: "WavesSetup", step: str, runs: int, when: str) -> None:
    waves.server.plan = ("completed",)
    for _ in range(runs):
        start(waves).wait(60)
    assert start(waves, f"{when} {step}").wait(60) == -signal.SIGKILL
    finish(waves)
