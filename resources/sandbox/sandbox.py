"""Running untrusted code in a sandbox: bubblewrap with its own namespaces, a system-call filter and resource limits.

The code has no network, sees no other process and no environment variable, and has a read-only view of Python and the
system's libraries, a small `/tmp` in memory, and the resources that `SandboxLimits` allows. Its tests run in a second
sandbox, which calls the code's functions over a socket and gets plain values back: the code cannot see the tests, and
whether it passed is decided where it has no access.

Memory is limited per process: all processes of a sandbox together can use `memory_mb` × `processes`, and `/tmp`
besides. Where root runs it, the code has a user id of its own; otherwise it has its own user namespace.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

from pydantic import Field

from resources.configuration import Configuration
from resources.outside_text import clean_text, parse_json
from resources.sandbox.bubblewrap import NoSandbox, SandboxProcess, open_pipe, start_sandbox
from resources.sandbox.inside.program import GONE, STARTED

Ending = Literal["finished", "error", "no_time", "no_memory", "killed", "too_much_output"]

GRACE_SECONDS = 0.5  # after the limit of processor time, which reports why, everything is killed
DETAIL_CHARACTERS = 2000
START_SECONDS = 60  # on a busy machine; these do not count as the code's
CHUNK = 65536


class SandboxLimits(Configuration):
    """What code in the sandbox may use."""

    seconds: float = Field(default=10, gt=0, description="Wall-clock and CPU time.")
    memory_mb: int = Field(default=512, ge=64, description="Address space of each process.")
    processes: int = Field(default=8, ge=1, description="Processes and threads at one time.")
    file_mb: int = Field(default=16, ge=1, description="Largest file; all files together can have twice this size.")
    output_kb: int = Field(default=64, ge=1, description="Most output; code that prints more is killed.")


DEFAULT_LIMITS = SandboxLimits()


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How code ended."""

    ending: Ending
    detail: str  # the error, or the end of the output
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether it ran to its end without an error."""
        return self.ending == "finished"


def run_code(
    code: str,
    tests: str = "",
    limits: SandboxLimits = DEFAULT_LIMITS,
    packages: Sequence[str] = (),
    entry_point: str = "",
) -> SandboxResult:
    """Run Python code, and tests of it in another process. Several threads can call this at once.

    Args:
        code: the program under test, run as a module that is not `__main__`, without arguments and standard input.
        tests: statements that raise where the code is wrong. Names that they do not define are the code's.
        limits: the resources that each of the two sandboxes may use.
        packages: installed packages that both may import, such as `numpy`.
        entry_point: a name that is the code's even where it is a built-in one, such as `sum`.

    Raises:
        NoSandbox: bubblewrap is not installed, or does not work on this machine.
    """
    started = time.monotonic()
    facts = {**limits.model_dump(), "entry_point": entry_point}
    code_end, tests_end = socket.socketpair()
    with code_end, tests_end, open_pipe() as (reports, report_end):
        code_descriptors = {"connection": code_end.fileno()}
        tests_descriptors = {"connection": tests_end.fileno(), "status": report_end.fileno()}
        with ExitStack() as ends:
            code_process = start_sandbox("code", code, facts, code_descriptors, packages)
            ends.callback(code_process.end)
            tests_process = start_sandbox("tests", tests, facts, tests_descriptors, packages)
            ends.callback(tests_process.end)
            for descriptor in (code_end, tests_end, report_end):
                descriptor.close()
            watched = _Watched(code_process, tests_process, reports.fileno(), limits)
            met = watched.wait()
    return watched.result(met, time.monotonic() - started)


@lru_cache(maxsize=1)
def require_sandbox() -> None:
    """Check that sandboxes work on this machine, by running harmless code in one.

    Raises:
        NoSandbox: they do not; the message says why and what to do.
    """
    result = run_code("import socket, os\nassert os.listdir('/tmp') == []", limits=SandboxLimits(seconds=20))
    if not result.finished:
        raise NoSandbox(f"a sandbox started, but harmless code did not run in it: {result.detail}")


@dataclass
class _Watched:
    """The two sandboxes of one program, and what they print and report."""

    code: SandboxProcess
    tests: SandboxProcess
    reports: int
    limits: SandboxLimits

    def __post_init__(self) -> None:
        self.printed, self.reported = bytearray(), bytearray()

    def wait(self) -> Ending | None:
        """Read until the tests have ended. Returns the limit that was met, or None."""
        texts = {self.code.output.fileno(): self.printed, self.tests.output.fileno(): self.printed}
        texts[self.reports] = self.reported
        poll = select.poll()
        for pipe in texts:
            poll.register(pipe, select.POLLIN)
        deadline = time.monotonic() + START_SECONDS
        running = False
        while texts and self.reported.count(b"\n") < len((STARTED, "ending")):
            if self.reported and not running:
                running, deadline = True, time.monotonic() + self.limits.seconds + GRACE_SECONDS
            ready = poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))
            if not ready or time.monotonic() > deadline:
                return "no_time" if running else None
            for pipe, _ in ready:
                chunk = os.read(pipe, CHUNK)
                texts[pipe] += chunk
                if not chunk:
                    poll.unregister(pipe)
                    del texts[pipe]
            if max(len(self.printed), len(self.reported)) > 1024 * self.limits.output_kb:
                return "too_much_output"
        ended = self._ended_without_report()
        if ended:
            ended.ends_within(GRACE_SECONDS)  # its exit status says why
        return None

    def _ended_without_report(self) -> SandboxProcess | None:
        """The process that ended before the tests could report how they ended, if one did."""
        reports = _reports(bytes(self.reported))
        return {GONE: self.code, STARTED: self.tests}.get(reports[-1][0]) if reports else None

    def result(self, met: Ending | None, seconds: float) -> SandboxResult:
        """How it ended, once both processes have; `met` is the limit that was met."""
        output = clean_text(bytes(self.printed[-DETAIL_CHARACTERS:]).decode("utf-8", "replace")).strip()
        if met:
            return SandboxResult(met, output, seconds)
        found = _reports(bytes(self.reported))
        if not found or found[0][0] != STARTED:
            raise NoSandbox(
                f"bubblewrap does not start on this machine: {output or '(no output)'}. User namespaces may be "
                "disabled (sysctl kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns, "
                "or a container's seccomp profile): enable them, or score code benchmarks on a machine that has them"
            )
        ending, detail = found[-1]
        ended = self._ended_without_report()
        if ended:
            status = ended.exit_status
            ending = "no_time" if status == 128 + signal.SIGXCPU else "killed"
            detail = f"it ended with status {status} before its last line"
        return SandboxResult(cast(Ending, ending), detail or output, seconds)


def _reports(reported: bytes) -> list[tuple[str, str]]:
    """(ending, detail) of each report."""
    found = []
    for line in reported.decode("utf-8", "replace").splitlines():
        with suppress(ValueError, TypeError):
            ending, detail = parse_json(line)
            if ending in (STARTED, GONE, *get_args(Ending)):
                found.append((ending, clean_text(str(detail), DETAIL_CHARACTERS)))
    return found
