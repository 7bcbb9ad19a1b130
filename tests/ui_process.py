"""The UI as processes of its own, which are started and ended as from a terminal."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.waiting import until

START_SECONDS = 300
END_SECONDS = 90


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(module: str, *options: str, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs `python -m <module> <options> --port <a free one>` in `folder`, ended by Ctrl-C; its address.

    Fails where one of its processes is left at the end. `environment` is added to that of the tests.
    """
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", module, *options, "--port", str(port)]

    def answers_or_ended() -> bool:
        with suppress(OSError):
            urllib.request.urlopen(f"{address}/server_info", timeout=1).close()  # noqa: S310 - our own loopback server
            return True
        return process.poll() is not None

    with (
        (folder / "ui.log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            until(answers_or_ended, START_SECONDS)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(END_SECONDS)
            until(lambda: not processes_of(process.pid), END_SECONDS)


def processes_of(session: int) -> list[psutil.Process]:
    """The processes that were started in a session, and their descendants there."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
