"""A lease on a background server: one server a machine and user for all processes, gone when nobody holds one.

Three files in the runtime folder, all locked with `flock`, so that the kernel does the counting and a SIGKILL is
counted as well:

- `<name>.clients`: every client holds it shared for as long as it needs the server. The server tries for it
  exclusively now and then; when that has succeeded for long enough nobody is there, and it ends.
- `<name>.starting`: held exclusively by the one client that looks at, starts or replaces the server.
- `<name>.server`: held exclusively by the server while it lives. What it says about the server (process id, and
  the address once it serves) counts only while it is locked: a stale file is never believed, nor its process id
  killed.

This is the clients' side; `detached` is the server's.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

LOCK_POLL_SECONDS = 0.02
PROJECT = Path(__file__).parents[3]  # from where `python -m` finds the program, installed or not
LOG_BYTES = 1_000_000  # a longer log is put aside when the next server starts


class EmbeddedServerError(RuntimeError):
    """The background server cannot be had. The message says why and where its log is."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files through which clients and their server meet."""

    folder: Path
    name: str

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
class Patience:
    """How long a client waits, in seconds."""

    start: float = 120.0  # for a server to load its model and answer
    health: float = 15.0  # for an answer of one that is running; a busy machine is slow


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A server that holds its lock. `address` is None until it serves."""

    pid: int
    address: str | None


@contextlib.contextmanager
def lease(files: ServerFiles, program: Sequence[str], patience: Patience | None = None) -> Iterator[str]:
    """Hold the server of `files`, started with `program` if none is running; yield its address.

    Args:
        files: where clients and server meet; one name a server.
        program: arguments after `python`; the program calls `resources.model_servers.embedded.detached.serve_until_idle`.
        patience: how long to wait.

    Yields:
        `http://127.0.0.1:<port>`, answering for as long as the lease is held.

    Raises:
        EmbeddedServerError: the server did not start, did not become healthy, or cannot be replaced.
    """
    patience = patience or Patience()
    with files.clients.open("a") as clients:
        _lock(clients, fcntl.LOCK_SH, patience.start, files)
        with files.starting.open("a") as starting:
            _lock(starting, fcntl.LOCK_EX, 3 * patience.start, files)
            address = _healthy_address(files, patience) or _start(files, program, patience)
        yield address


def live_server(files: ServerFiles) -> LiveServer | None:
    """The server that holds its lock now; None where there is none. Call it with `starting` held."""
    try:
        with files.server.open("r") as state:
            try:
                fcntl.flock(state, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                content = json.loads(state.read() or "{}")
                return LiveServer(pid=content.get("pid", 0), address=content.get("address"))
    except FileNotFoundError:
        pass
    except json.JSONDecodeError:  # being written just now
        return LiveServer(pid=0, address=None)
    return None


def _lock(file: IO[str], operation: int, seconds: float, files: ServerFiles) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"waited {seconds:.0f} s for {file.name}, which another process holds; see {files.log}"
                ) from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return


def _healthy_address(files: ServerFiles, patience: Patience) -> str | None:
    """The address of the running server if it is well; one that is not is killed."""
    deadline = time.monotonic() + patience.start
    while server := live_server(files):
        if server.address and _is_healthy(server.address, patience.health):
            return server.address
        if server.address or time.monotonic() > deadline:
            _kill(files, server.pid)
            return None
        time.sleep(LOCK_POLL_SECONDS)  # still loading: whoever started it was killed meanwhile
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
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while live_server(files):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"the embedded server (process {pid}) is not answering and cannot be ended: end it by hand; "
                f"see {files.log}"
            )
        time.sleep(LOCK_POLL_SECONDS)


def _start(files: ServerFiles, program: Sequence[str], patience: Patience) -> str:
    if files.log.exists() and files.log.stat().st_size > LOG_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    with files.log.open("ab") as log:
        begun = log.tell()
        process = subprocess.Popen(
            [sys.executable, *program],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in the client's terminal is not for the server
        )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    with process.stdout:
        said = _first_line(process.stdout, patience.start)
    if said is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()  # it has detached itself, or is dead
    # Asked even of one that ended: it gives way to a server whose starter was killed before it had its lock.
    if address := _healthy_address(files, patience):
        return address
    what = "ended while it was starting" if said is not None else f"said nothing for {patience.start:.0f} s"
    raise EmbeddedServerError(
        f"the embedded server {what}. Its last words:\n{_tail(files.log, begun)}\nLog: {files.log}"
    )


def _first_line(pipe: IO[bytes], seconds: float) -> bytes | None:
    """The line the program says when it serves; empty if it ended instead, None if it stayed silent."""
    readable, _, _ = select.select([pipe], [], [], seconds)
    return pipe.readline() if readable else None


def _tail(log: Path, begun: int, lines: int = 20) -> str:
    with log.open("rb") as file:
        file.seek(begun)
        words = file.read().decode("utf-8", errors="replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in words[-lines:]) or "  (none)"
