"""The server's side of a lease: detach from the starter, serve, and end when there is no client. See `lease`."""

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn, Protocol

from resources.model_servers.lease import ServerFiles

LOCK_SECONDS = 5.0  # a lock that is refused for this long belongs to a running server


class ListeningServer(Protocol):
    """A server that answers on threads or in a process of its own; `GET /health` returns 200 when it is healthy."""

    @property
    def listening_address(self) -> str:
        """`http://127.0.0.1:<port>`."""
        ...


class ServerEnded(Exception):
    """The process of a server ended by itself. The message is for the log."""


def _nothing() -> None:
    pass


def serve_until_idle(
    files: ServerFiles,
    open_server: Callable[[], ListeningServer],
    idle_seconds: float,
    *,
    check: Callable[[], None] = _nothing,
    close: Callable[[], None] = _nothing,
) -> NoReturn:
    """Detach from the starter, open the server, and end the process after `idle_seconds` without a client.

    Standard output is the starter's pipe: one line on it says that the server is ready. Standard error is the log.
    Call it before a thread is started.

    Args:
        files: what clients and server share.
        open_server: returns when the server answers; raises ServerEnded where it does not start.
        idle_seconds: without a client.
        check: called regularly; raises ServerEnded where the server's process has ended.
        close: called before this process ends, also when it ends by SIGTERM or an error.
    """

    started = time.time()

    def leave(_number: int, _frame: object) -> NoReturn:
        close()
        os._exit(0)

    if os.fork():
        os._exit(0)  # so that the starter need not wait for the server's end
    os.chdir("/")
    starter = os.dup(1)
    os.dup2(2, 1)  # what the server prints goes to the log
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        with files.server.open("a+") as state:
            lock_server_file(state)
            _write_state(state, pid=os.getpid(), started=started)
            server = open_server()
            _write_state(state, pid=os.getpid(), started=started, address=server.listening_address)
            with contextlib.suppress(BrokenPipeError):  # the starter was killed; the next client reads the file
                os.write(starter, b"serving\n")
            os.close(starter)
            with files.clients.open("a") as clients:
                _wait_until_idle(files.clients, clients, idle_seconds, check)
                _write_state(state)
                close()
                os._exit(0)  # new clients wait for the lock until here; a normal exit hangs in llama.cpp's destructor
    except BaseException as error:
        if isinstance(error, ServerEnded):
            sys.stderr.write(f"{error}\n")
        else:
            traceback.print_exc()
        sys.stderr.flush()
        close()
        os._exit(1)


def lock_server_file(state: IO[str], seconds: float = LOCK_SECONDS) -> None:
    """Lock the server's file exclusively for as long as this process runs.

    `live_server` locks the file for an instant to see whether a server runs, so that a lock that is refused once
    does not prove that one does.

    Raises:
        BlockingIOError: the file stays locked for `seconds`: another server is running.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def _write_state(state: IO[str], **content: object) -> None:
    state.seek(0)
    state.truncate()
    state.write(json.dumps(content))
    state.flush()


def _wait_until_idle(path: Path, clients: IO[str], idle_seconds: float, check: Callable[[], None]) -> None:
    """Return, with the clients' file locked exclusively, when no client has locked it for `idle_seconds`."""
    poll = min(0.5, idle_seconds / 4)
    idle_since: float | None = None
    while True:
        time.sleep(poll)
        check()
        try:
            fcntl.flock(clients, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            idle_since = None
            continue
        now = time.monotonic()
        idle_since = idle_since or now
        if now - idle_since >= idle_seconds or not _still_exists(path, clients):
            return
        fcntl.flock(clients, fcntl.LOCK_UN)


def _still_exists(path: Path, file: IO[str]) -> bool:
    """Whether `path` still is the open `file`. If the runtime folder was removed, no client finds this server."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
