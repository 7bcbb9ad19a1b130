"""The program that starts a model server as a child process, keeps its log, and ends it when there is no client.

`resources.model_servers.started.servers` starts it:
`python -m resources.model_servers.started.program --name … -- vllm serve … --port {port}`.
"""

import argparse
import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NoReturn

from resources.chat.redaction import Redactor
from resources.model_servers.background import ServerEnded, serve_until_idle
from resources.model_servers.lease import LOG_BYTES, ServerFiles
from resources.model_servers.started.commands import PORT
from resources.model_servers.started.usage import record_usage

PORT_TRIES = 3  # with different free ports, where another process took one first
POLL_SECONDS = 0.2
REQUEST_SECONDS = 5.0
GRACE_SECONDS = 15.0  # to end after SIGTERM
RECORD_SECONDS = 30.0
KEPT_LINES = 50  # of the output, to see why it ended
PR_SET_PDEATHSIG = 1
PORT_IN_USE = re.compile("address already in use|couldn't bind", re.IGNORECASE)


class ChildServer:
    """A model server as a child process.

    Args:
        options: of this program.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._log = ServerFiles(options.folder, options.name).log
        self._key = os.environ.get(options.key_variable)
        self._redactors = [Redactor(os.environ.get(name)) for name in options.secret]
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: list[str] = []
        self._port = 0
        self._begun = self._recorded = time.time()
        self._startup_seconds = 0.0

    @property
    def listening_address(self) -> str:
        """See `ListeningServer`."""
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> "ChildServer":
        """Start the server and wait until it answers. The client that waits for it limits the time.

        Raises:
            ServerEnded: it ended before.
        """
        for remaining in reversed(range(1 if self._options.port else PORT_TRIES)):
            self._start()
            try:
                while not (self._answers("/health") and self._answers("/v1/models")):
                    self.check()
                    time.sleep(POLL_SECONDS)
                break
            except ServerEnded:
                if not remaining or not any(PORT_IN_USE.search(line) for line in self._lines):
                    raise
        self._startup_seconds = time.time() - self._begun
        self._record()
        return self

    def check(self) -> None:
        """
        Raises:
            ServerEnded: the process has ended.
        """
        assert self._process is not None  # noqa: S101 - it was started
        code = self._process.poll()
        if code is not None:
            self._reader.join(POLL_SECONDS)  # what it printed last; its own children may keep the pipe open
            raise ServerEnded(f"{self._options.command[0]} ended with exit code {code}")
        if self._startup_seconds and time.time() - self._recorded > RECORD_SECONDS:
            self._record()

    def close(self) -> None:
        """End the server and all that it started. It is in the process group of this program, which ends too."""
        if self._startup_seconds:
            self._record()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
            self._reader.join(POLL_SECONDS)
            if self._reader.is_alive():  # something still has the pipe
                os.killpg(0, signal.SIGKILL)

    def _start(self) -> None:
        try:  # another server on that port would answer in place of this one
            self._port = _free_port(self._options.port)
        except OSError as error:
            raise ServerEnded(f"port {self._options.port}: {error.strerror}") from None
        self._lines.clear()
        command = [argument.replace(PORT, str(self._port)) for argument in self._options.command]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent,
        )
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._reader = threading.Thread(target=self._keep_log, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _keep_log(self, output: IO[bytes]) -> None:
        """Write what the server prints to the log, without secrets; a long log is renamed, and one is kept."""
        log = self._log.open("ab", buffering=0)
        for line in output:
            text = line.decode("utf-8", errors="replace").rstrip("\n")
            for redactor in self._redactors:
                text = redactor.text(text)
            if log.tell() > LOG_BYTES:
                log.close()
                self._log.replace(self._log.with_suffix(".log.1"))
                log = self._log.open("ab", buffering=0)
                os.dup2(log.fileno(), 2)
            log.write(f"{text}\n".encode())
            self._lines = [*self._lines[1 - KEPT_LINES :], text]
        log.close()

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._key}"} if self._key else {})
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _record(self) -> None:
        now = time.time()
        first = self._recorded == self._begun
        record_usage(
            self._options.usage_name,
            self._options.title,
            starts=int(first),
            startup_seconds=self._startup_seconds,
            running_seconds=now - self._recorded,
            price_per_hour=self._options.price_per_hour,
        )
        self._recorded = now


def _end_with_parent() -> None:
    """The kernel ends the server when this program dies, also by SIGKILL; a GPU is not left occupied."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _free_port(wanted: int) -> int:
    """The port that is wanted, or any where that is 0. Raises OSError where it is in use."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", wanted))
        return int(listener.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    options = _parser().parse_args(arguments)
    child = ChildServer(options)
    files = ServerFiles(options.folder, options.name)
    serve_until_idle(files, child.open, options.idle_seconds, check=child.check, close=child.close)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resources.model_servers.started.program", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the files that clients and server share")
    parser.add_argument("--name", required=True, help="name of these files")
    parser.add_argument("--usage-name", required=True, help="name under which its use is recorded")
    parser.add_argument("--title", required=True, help="how messages name the server")
    parser.add_argument("--idle-seconds", type=float, required=True, help="end after this time without a client")
    parser.add_argument("--port", type=int, default=0, help="its port; 0: a free one")
    parser.add_argument("--key-variable", required=True, help="environment variable that holds the server's key")
    parser.add_argument("--secret", action="append", default=[], help="variable whose value is kept out of the log")
    parser.add_argument("--price-per-hour", type=json.loads, default=None, help="US dollars")
    parser.add_argument("command", nargs="+", help="the server's command, after --")
    return parser


if __name__ == "__main__":
    main()
