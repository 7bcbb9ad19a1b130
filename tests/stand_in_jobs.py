"""What stand-ins for services that run jobs share: submitted jobs as real processes, and what becomes of them.

See `Fate` for one job. A stand-in speaks HTTP on loopback, and can lose requests, lose answers and refuse.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
RUNNING, ENDED = "running", "ended"


@dataclass
class Fate:
    """What becomes of a submitted job."""

    waits: int = 0  # looks at it before it starts
    no_capacity: bool = False  # it never starts
    interrupt_at: str | None = None  # as spot does, once its output holds this: SIGTERM, then SIGKILL
    restarts: bool = False  # SageMaker starts an interrupted job again, under its name
    host_fails: bool = False  # SIGKILL without a warning, once its output holds `interrupt_at`
    over_time: bool = False  # its longest time is over, once its output holds `interrupt_at`


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class StandInJob:
    """A submitted job and its process."""

    name: str
    id: str
    service: str
    command: list[str]
    environment: Mapping[str, str]
    request: Mapping[str, Any]
    fate: Fate
    created_at: float
    state: str = "waiting"
    ending: str | None = None  # "spot", "asked", "capacity", "host", "time"
    reason: str = ""
    exit_code: int | None = None
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    started: int = 0


class JobService(ABC):
    """A service. What happens to the next submitted jobs is in `fates`; the other attributes decide the rest."""

    content_type = "application/json"

    def __init__(self, environment: Mapping[str, str], grace_seconds: float = 20) -> None:
        """
        Args:
            environment: what the image and the job's role give every job, beside what its request says.
            grace_seconds: between SIGTERM and SIGKILL.
        """
        self.environment = dict(environment)
        self.grace_seconds = grace_seconds
        self.fates: list[Fate] = []
        self.jobs: list[StandInJob] = []
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.faults: list[str] = []  # requests and answers that do not fit the service's models
        self.refusals: dict[str, list[Refusal]] = {}  # by operation: the next answers, instead of doing anything
        self.lost_requests: Counter[str] = Counter()  # by operation: so many connections break before it is heard
        self.lost_answers: Counter[str] = Counter()  # by operation: so many connections break after it was done
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the service and every process that it started."""
        self._server.shutdown()
        self._server.server_close()
        for job in self.jobs:
            if job.process is not None:
                _signal(job.process, signal.SIGKILL)
                job.process.wait()

    def running(self) -> list[StandInJob]:
        """Jobs whose process runs."""
        return [job for job in self.jobs if job.process is not None and job.process.poll() is None]

    def made(self, operation: str) -> list[Mapping[str, Any]]:
        """The bodies of all requests for an operation."""
        return [body for made, body in self.calls if made == operation]

    # -- HTTP ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def operation(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> tuple[str, dict[str, Any]]:
        """The operation that a request asks for, and its input."""

    @abstractmethod
    def carry_out(self, operation: str, body: Mapping[str, Any]) -> Any:
        """The answer of an operation: JSON, or text. Raises Refusal."""

    @abstractmethod
    def error(self, refusal: Refusal) -> tuple[Any, dict[str, str]]:
        """Body and headers of an error answer."""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _respond(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                operation, parameters = stand_in.operation(self.command, self.path, dict(self.headers), body)
                try:
                    answer = stand_in._answer(operation, parameters)
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                except Refusal as refusal:
                    self._send(refusal.status, *stand_in.error(refusal))
                except Exception as error:
                    stand_in.faults.append(f"the stand-in failed at {operation}: {error!r}")
                    raise
                else:
                    self._send(200, answer, {})

            do_GET = do_POST = do_DELETE = _respond

            def _send(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", stand_in.content_type)
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _answer(self, operation: str, body: Mapping[str, Any]) -> Any:
        with self._lock:
            self.calls.append((operation, body))
            if self._uses_up(self.lost_requests, operation):
                raise ConnectionAbortedError
            if self.refusals.get(operation):
                raise self.refusals[operation].pop(0)
            answer = self.carry_out(operation, body)
            if self._uses_up(self.lost_answers, operation):
                raise ConnectionAbortedError
            return answer

    @staticmethod
    def _uses_up(counter: Counter[str], operation: str) -> bool:
        if counter[operation] <= 0:
            return False
        counter[operation] -= 1
        return True

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _submit(
        self,
        name: str,
        identity: str,
        service: str,
        command: list[str],
        environment: Mapping[str, str],
        request: Mapping[str, Any],
        fate: Fate | None = None,
    ) -> StandInJob:
        """Submit a job; its fate is the next one of `fates` unless given."""
        fate = fate or self._next_fate()
        job = StandInJob(name, identity, service, command, environment, request, fate, time.time())
        self.jobs.append(job)
        if fate.no_capacity:
            job.state, job.ending = ENDED, "capacity"
        elif not fate.waits:
            self._start(job)
        return job

    def _next_fate(self) -> Fate:
        return self.fates.pop(0) if self.fates else Fate()

    def _look(self, job: StandInJob) -> None:
        """Somebody looks at a job: one that waits comes nearer to its start."""
        if job.state == "waiting":
            job.fate.waits -= 1
            if job.fate.waits <= 0:
                self._start(job)

    def _start(self, job: StandInJob) -> None:
        python, *arguments = job.command
        assert python == "python", "the image has no other interpreter"
        job.state, job.started, job.ending = RUNNING, job.started + 1, None
        job.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **self.environment, **job.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._follow, args=(job, job.process), daemon=True).start()

    def _follow(self, job: StandInJob, process: "subprocess.Popen[str]") -> None:
        """Read a job's output to its end."""
        assert process.stdout is not None
        for line in process.stdout:
            job.lines.append(line.rstrip("\n"))
            if job.fate.interrupt_at and job.fate.interrupt_at in line and job.started == 1:
                self._end(job, "host" if job.fate.host_fails else "time" if job.fate.over_time else "spot", "")
        code = process.wait()
        with self._lock:
            job.exit_code = 128 - code if code < 0 else code
            if job.ending == "spot" and job.fate.restarts:
                job.state, job.fate.waits = "waiting", 2
            else:
                job.state = ENDED

    def _end(self, job: StandInJob, how: str, reason: str) -> None:
        """SIGTERM, SIGKILL after the grace; the job ends when its process has."""
        with self._lock:
            if job.ending is not None:
                return
            job.ending, job.reason = how, reason
            if job.state == "waiting":
                job.state = ENDED
                return
        if job.process is not None:
            _signal(job.process, signal.SIGKILL if how == "host" else signal.SIGTERM)
            killing = threading.Timer(self.grace_seconds, _signal, (job.process, signal.SIGKILL))
            killing.daemon = True
            killing.start()


def _signal(process: "subprocess.Popen[str]", number: int) -> None:
    """SIGTERM goes to a container's first process, SIGKILL to all of them."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
