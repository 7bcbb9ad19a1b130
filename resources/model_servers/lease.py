"""A lease on a background server. All processes of a user on a machine share one server, which ends without leases.

Three files in the runtime folder are locked with `flock`. The kernel releases the locks of a process that ends, even
by SIGKILL:

- `<name>.clients`: every client locks it shared for as long as it needs the server. The server regularly tries to lock
  it exclusively; once that has succeeded for the idle time, there is no client, and the server ends.
- `<name>.starting`: locked exclusively by the one client that checks, starts or replaces the server.
- `<name>.server`: locked exclusively by the server while it runs. It contains the server's process id, when it was
  started and, once it answers, its address. The content is valid only while the file is locked.

This module is the clients' side; `background` is the server's side.
"""

import contextlib
import fcntl
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

LOCK_POLL_SECONDS = 0.02
PROJECT = Path(__file__).parents[2]  # `python -m` finds the program from here, also where the project is not installed
LOG_BYTES = 1_000_000  # a longer log is renamed when the next server starts; one older log is kept
READ_BYTES = 100_000  # of the log, to explain a failed start
SHOWN_LINES = 20


class ModelServerError(RuntimeError):
    """The background server cannot be used. The message says why and where its log is."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files that clients and their server share."""

    folder: Path
    name: str
    title: str = "the embedded server"  # in messages

    @property
    def clients(self) -> Path:
        return self.folder / f"{self.name}.clients"

    @property
    def starting(self) -> Path:
        return self.folder / f"{self.name}.starting"

    @property
    def server(self) -> Path:
        return self.folder / f"{self.name}.server"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"


@dataclass(frozen=True, slots=True)
class LeaseTimeouts:
    """How long a client waits, in seconds."""

    start: float = 120.0  # until a server has loaded its model and answers
    health: float = 15.0  # for the health check of a running server; a busy machine is slow


DEFAULT_TIMEOUTS = LeaseTimeouts()
Explain = Callable[[str], str]  # what to do about a failed start, from what the server printed; "" where unknown


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server, which locks its file. `address` is None until it answers."""

    pid: int
    address: str | None
    started: float = 0.0  # seconds since 1970; 0 where it is not known


@contextlib.contextmanager
def lease(
    files: ServerFiles,
    program: Sequence[str],
    timeouts: LeaseTimeouts = DEFAULT_TIMEOUTS,
    environment: Mapping[str, str] | None = None,
    explain: Explain = lambda printed: "",
) -> Iterator[LiveServer]:
    """Lease the server of `files`; start it with `program` if it is not running.

    Args:
        files: what clients and server share; one name per server.
        program: arguments after `python`; the program calls
            `resources.model_servers.background.serve_until_idle`.
        timeouts: how long to wait.
        environment: of the program; by default this process's.
        explain: what to do about a start that failed, from what the server printed.

    Yields:
        The server, which answers at its address, `http://127.0.0.1:<port>`, until the context ends.

    Raises:
        ModelServerError: the server did not start, did not become healthy, or cannot be replaced.
    """
    with files.clients.open("a") as clients:
        _lock(clients, fcntl.LOCK_SH, timeouts.start, files)
        with files.starting.open("a") as starting:
            _lock(starting, fcntl.LOCK_EX, 3 * timeouts.start, files)
            server = _healthy_server(files, timeouts) or _start(files, program, timeouts, environment, explain)
        yield server


def live_server(files: ServerFiles) -> LiveServer | None:
    """The running server; None if there is none. Call it with `starting` locked."""
    try:
        with files.server.open("r") as state:
            try:
                fcntl.flock(state, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                content = json.loads(state.read() or "{}")
                return LiveServer(content.get("pid", 0), content.get("address"), content.get("started", 0.0))
    except FileNotFoundError:
        pass
    except json.JSONDecodeError:  # the server is writing it
        return LiveServer(pid=0, address=None)
    return None


def _lock(file: IO[str], operation: int, seconds: float, files: ServerFiles) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ModelServerError(
                    f"waited {seconds:.0f} s for {file.name}, which another process has locked; see {files.log}"
                ) from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return


def _healthy_server(files: ServerFiles, timeouts: LeaseTimeouts) -> LiveServer | None:
    """The running server if it is healthy; an unhealthy one is killed."""
    deadline = time.monotonic() + timeouts.start
    while server := live_server(files):
        if server.address and _is_healthy(server.address, timeouts.health):
            return server
        if server.address or time.monotonic() > deadline:
            _kill(files, server.pid)
            return None
        time.sleep(LOCK_POLL_SECONDS)  # still loading: the client that started it was killed
    return None


def _is_healthy(address: str, seconds: float) -> bool:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=seconds)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _kill(files: ServerFiles, pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)  # with what it started
    deadline = time.monotonic() + 10
    while live_server(files):
        if time.monotonic() > deadline:
            raise ModelServerError(
                f"{files.title} (process {pid}) does not answer and cannot be killed: end it by hand; see {files.log}"
            )
        time.sleep(LOCK_POLL_SECONDS)


def _start(
    files: ServerFiles,
    program: Sequence[str],
    timeouts: LeaseTimeouts,
    environment: Mapping[str, str] | None,
    explain: Explain,
) -> LiveServer:
    if files.log.exists() and files.log.stat().st_size > LOG_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    with files.log.open("ab") as log:
        begun = log.tell()
        process = subprocess.Popen(
            [sys.executable, *program],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the client's terminal must not reach the server
        )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    with process.stdout:
        ready = _first_line(process.stdout, timeouts.start)
    if ready is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()  # the server has detached itself, or has ended
    # Also if it ended: it ends where a server is running whose starter was killed before the server had its lock.
    if server := _healthy_server(files, timeouts):
        return server
    what = "ended while it was starting" if ready is not None else f"was not ready after {timeouts.start:.0f} s"
    printed = _printed(files.log, begun)
    shown = "\n".join(f"  {line}" for line in printed.splitlines()[-SHOWN_LINES:]) or "  (none)"
    advice = explain(printed)
    raise ModelServerError(
        f"{files.title} {what}{advice and f': {advice}'}. Its last output:\n{shown}\nLog: {files.log}"
    )


def _first_line(pipe: IO[bytes], seconds: float) -> bytes | None:
    """The line that the program prints when it serves; empty if it ended instead, None after `seconds`."""
    readable, _, _ = select.select([pipe], [], [], seconds)
    return pipe.readline() if readable else None


def _printed(log: Path, begun: int) -> str:
    """What the server printed since a position of its log, the end of it."""
    with log.open("rb") as file:
        file.seek(max(begun if log.stat().st_size >= begun else 0, log.stat().st_size - READ_BYTES))
        return file.read().decode("utf-8", errors="replace").strip()
