"""The server's side of a lease: detach, serve, and end when no client is left. See `lease`."""

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

from resources.model_servers.embedded.lease import ServerFiles


class Listening(Protocol):
    """A server that answers on threads of its own; `GET /health` says 200 when it is well."""

    @property
    def listening_address(self) -> str:
        """`http://127.0.0.1:<port>`."""
        ...


def serve_until_idle(files: ServerFiles, open_server: Callable[[], Listening], idle_seconds: float) -> NoReturn:
    """Detach from the starter, open the server, and end the process once no lease was held for `idle_seconds`.

    Standard output is the starter's pipe: one line on it says that the server serves. Standard error is the log.
    Call it before any thread is started.
    """
    if os.fork():
        os._exit(0)  # the starter need not reap us, whenever we end
    os.chdir("/")
    starter = os.dup(1)
    os.dup2(2, 1)  # whatever the server prints belongs in the log
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        with files.server.open("a+") as state:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where another server is running
            _write_state(state, pid=os.getpid())
            server = open_server()
            _write_state(state, pid=os.getpid(), address=server.listening_address)
            with contextlib.suppress(BrokenPipeError):  # killed meanwhile; the next client finds us all the same
                os.write(starter, b"serving\n")
            os.close(starter)
            with files.clients.open("a") as clients:
                _wait_until_idle(files.clients, clients, idle_seconds)
                _write_state(state)
                os._exit(0)  # while new clients wait for the lock; an ordinary exit hangs in llama.cpp's destructor
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _leave(_number: int, _frame: object) -> NoReturn:
    os._exit(0)


def _write_state(state: IO[str], **content: object) -> None:
    state.seek(0)
    state.truncate()
    state.write(json.dumps(content))
    state.flush()


def _wait_until_idle(path: Path, clients: IO[str], idle_seconds: float) -> None:
    """Return, holding the clients' lock exclusively, when nobody has held it for `idle_seconds`."""
    poll = min(0.5, idle_seconds / 4)
    idle_since: float | None = None
    while True:
        time.sleep(poll)
        try:
            fcntl.flock(clients, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            idle_since = None
            continue
        now = time.monotonic()
        idle_since = idle_since or now
        if now - idle_since >= idle_seconds or not _still_there(path, clients):
            return
        fcntl.flock(clients, fcntl.LOCK_UN)


def _still_there(path: Path, file: IO[str]) -> bool:
    """Whether `path` still is the open `file`: where the runtime folder was removed, nobody finds us again."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
