"""The whole graph in provider batches, killed with SIGKILL at every step of a wave: nothing is paid twice.

    python -m benchmarks.batches

A stand-in of OpenAI's API for files and batches in this process answers by the request alone. One run asks everything
live. Others, over an empty lake, submit every role's turns in batches: each is killed before or after one kind of
request to the provider is carried out, until all kinds were met; the last one ends. Its release has to be the live one.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.attacks.kills import start
from benchmarks.results_table import Measured, at_most, show
from resources.chat.spending_log import read_spending
from resources.lake.published_folders import read_latest
from tests.batch_project import put_in_batches
from tests.batch_server import BatchServer, Cut
from tests.fake_endpoint import FakeEndpoint
from tests.sample_project import SampleProject, found_project

STEPS = [
    (kind, when)
    for kind in ("POST /files", "POST /batches", "GET /batches", "GET /files/content", "GET /files", "DELETE /files")
    for when in ("before", "after")
]
PLAN = ("validating", "in_progress", "completed")
SHORT_WAITS = """
from master_dagster import batches
from resources.chat.batches import collection
batches.POLL_SECONDS, collection.SETTLE_SECONDS = 0.05, 0.0
"""


class Killer:
    """Kills the run before or after the first request of a kind."""

    def __init__(self, server: BatchServer) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.step: tuple[str, str] | None = None
        server.before, server.after = self._hook("before"), self._hook("after")

    def _hook(self, when: str) -> Any:
        def hook(what: Cut) -> None:
            kind = f"{what[0]} {re.sub('/file-[0-9]+', '', what[1])}"
            if (kind, when) == self.step and self.process:
                self.step = None
                self.process.kill()

        return hook


def run(project: SampleProject, killer: Killer | None = None, step: tuple[str, str] | None = None) -> int:
    """One run in a process of its own; its exit status, which is -9 where it was killed."""
    process = start(project, SHORT_WAITS)
    if killer:
        killer.process, killer.step = process, step
    process.communicate()
    return process.returncode


def release_of(project: SampleProject) -> str:
    """The id of the latest release."""
    latest = read_latest(project.deployment.lake().store, "boost_qa")
    return str(latest and latest["id"])


def cost_of(project: SampleProject) -> float:
    """US dollars that the lake records as paid."""
    return sum(row.cost for row in read_spending(project.deployment.lake().store))


def measure() -> list[Measured]:
    """The figures."""
    with ExitStack() as stack:
        endpoint = FakeEndpoint()
        endpoint.start()
        stack.callback(endpoint.stop)
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        live = found_project(folders[0], endpoint)
        assert run(live) == 0
        server = BatchServer(endpoint, plan=PLAN)
        server.start()
        stack.callback(server.stop)
        batched, killer = put_in_batches(found_project(folders[1], endpoint), server), Killer(server)
        killed = sum(run(batched, killer, step) == -signal.SIGKILL for step in STEPS)
        assert run(batched) == 0
        submitted, answered = server.requests, server.answered
        same = release_of(batched) == release_of(live)
        return [
            Measured("runs killed, one at each step", f"{killed}", f"{len(STEPS)}", killed == len(STEPS)),
            Measured("the release", "that of live calls" if same else "another one", "that of live calls", same),
            Measured("calls submitted", f"{submitted.total()} in {len(server.batches)} batches"),
            at_most("calls submitted twice", submitted.total() - len(submitted), 0, "{:.0f}"),
            at_most("calls paid twice", answered.total() - len(answered) + len(server.live), 0, "{:.0f}"),
            at_most("files left at the provider", len(server.files) - len(server.deleted), 0, "{:.0f}"),
            at_most("paid, of the live price", cost_of(batched) / cost_of(live), 0.5),
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print a line of JSON")
    options = parser.parse_args()
    show(measure(), options.json, "Batches")


if __name__ == "__main__":
    main()
