"""Running untrusted code in a sandbox: bubblewrap with its own namespaces, a system-call filter and resource limits.

The code has no network, sees no other process and no environment variable, and has a read-only view of Python and the
system's libraries, a small `/tmp` in memory, and the resources that `SandboxLimits` allows. The result says whether it
ran to its end, and if not, why. The sandbox protects the machine, not the result: hostile code can claim that its
tests passed.

Memory is limited per process: all processes together can use `memory_mb` × `processes`, and `/tmp` besides. Where root
runs it, the code has a user id of its own; otherwise it has its own user namespace.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, cast, get_args

from pydantic import Field

from resources.configuration import Configuration
from resources.sandbox import inside
from resources.sandbox.system_calls import system_call_filter

Ending = Literal["finished", "error", "no_time", "no_memory", "killed", "too_much_output"]

PROGRAM = Path(inside.__file__)
INSIDE = "/inside.py"  # its path in the sandbox; a project below /tmp would be hidden there
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
GRACE_SECONDS = 0.5  # after the limit of processor time, which reports why, everything is killed
DETAIL_BYTES = 2000
CHUNK = 65536
INSTALL = "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`; Fedora: `dnf install bubblewrap`)"


class NoSandbox(RuntimeError):
    """Code cannot be run safely on this machine. The message says why and what to install or change."""


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


def run_code(source: str, limits: SandboxLimits = DEFAULT_LIMITS, packages: Sequence[str] = ()) -> SandboxResult:
    """Run Python source in a sandbox until it ends. Several threads can call this at once.

    Args:
        source: the program. It sees `__name__ == "__main__"`, no arguments, and an empty standard input.
        limits: the resources that it may use.
        packages: installed packages that it may import, such as `numpy`.

    Raises:
        NoSandbox: bubblewrap is not installed, or does not work on this machine.
    """
    token = secrets.token_hex(16)
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as program,
        tempfile.TemporaryFile() as seccomp,
        _pipe() as (reports, report_end),
    ):
        program.write(source.encode("utf-8", "replace"))
        program.seek(0)
        try:
            seccomp.write(system_call_filter())
        except LookupError as error:
            raise NoSandbox(str(error.args[0])) from error
        seccomp.seek(0)
        facts = {**limits.model_dump(), "token": token, "status": report_end.fileno(), "user": _user_id()}
        with report_end:
            process = subprocess.Popen(
                [
                    *_bubblewrap(limits, packages),
                    *("--seccomp", str(seccomp.fileno()), "--", _interpreter(), "-I", "-S", "-B", INSIDE),
                    json.dumps(facts),
                ],
                stdin=program,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                pass_fds=(report_end.fileno(), seccomp.fileno()),
                start_new_session=True,
            )
        return _watch(process, reports.fileno(), token, limits, started)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as read_end, open(writing, "wb", 0) as write_end:  # noqa: PTH123 - a descriptor
        yield read_end, write_end


@lru_cache(maxsize=1)
def require_sandbox() -> None:
    """Check that sandboxes work on this machine, by running harmless code in one.

    Raises:
        NoSandbox: they do not; the message says why and what to do.
    """
    result = run_code("import socket, os\nassert os.listdir('/tmp') == []", SandboxLimits(seconds=20))
    if not result.finished:
        raise NoSandbox(f"a sandbox started, but harmless code did not run in it: {result.detail}")


# -- the command -------------------------------------------------------------------------------------------------------


def _bubblewrap(limits: SandboxLimits, packages: Iterable[str]) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(f"code under test runs only in a sandbox, and bubblewrap is not installed: {INSTALL}")
    root = os.geteuid() == 0
    own = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return [
        program,
        *(own if root else ["--unshare-all"]),
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        # The limit on processes does not apply to root: the program changes its user id before it runs the code.
        *(["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else []),
        *_system_folders(),
        *(argument for device in DEVICES for argument in ("--dev-bind", device, device)),
        *("--ro-bind", str(PROGRAM), INSIDE),
        *_package_folders(packages),
        *("--perms", "1777", "--size", str(2 * limits.file_mb * 2**20), "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
        *("--remount-ro", "/", "--chdir", "/tmp"),  # noqa: S108
    ]


def _system_folders() -> list[str]:
    arguments = ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for folder in map(Path, SYSTEM):
        if folder.is_symlink():
            arguments += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            arguments += ["--ro-bind", str(folder), str(folder)]
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to("/usr"):
        return arguments
    for parent in reversed(prefix.parents[:-1]):  # bubblewrap would create them for root only
        arguments += ["--perms", "0755", "--dir", str(parent)]
    return [*arguments, "--ro-bind", str(prefix), str(prefix)]


def _package_folders(packages: Iterable[str]) -> list[str]:
    arguments = ["--perms", "0755", "--dir", inside.PACKAGES]
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise NoSandbox(f"code under test may use {name}, which is not installed here: `pip install {name}`")
        folder = Path(spec.submodule_search_locations[0])
        for found in (folder, folder.with_name(f"{name}.libs")):
            if found.is_dir():
                arguments += ["--ro-bind", str(found), f"{inside.PACKAGES}/{found.name}"]
    return arguments


def _interpreter() -> str:
    return str(Path(sys.base_prefix).resolve() / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def _user_id() -> int:
    """An unused user id where root runs the sandbox; 0 where the sandbox has its own user namespace."""
    return 2**30 + secrets.randbelow(2**29) if os.geteuid() == 0 else 0


# -- watching ----------------------------------------------------------------------------------------------------------


def _watch(
    process: "subprocess.Popen[bytes]", reports: int, token: str, limits: SandboxLimits, started: float
) -> SandboxResult:
    """Read the output and the program's reports until the code ends or has to be killed."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    printed, reported = bytearray(), bytearray()
    ended: Ending | None = None
    deadline = started + limits.seconds + GRACE_SECONDS
    pipes = {process.stdout.fileno(): printed, reports: reported}
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, select.POLLIN)
    try:
        while pipes and ended is None:
            ready = poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))
            if not ready or time.monotonic() > deadline:
                ended = "no_time"
            for pipe, _ in ready:
                chunk = os.read(pipe, CHUNK)
                pipes[pipe] += chunk
                if not chunk:
                    poll.unregister(pipe)
                    del pipes[pipe]
            if max(len(printed), len(reported)) > 1024 * limits.output_kb:
                ended = "too_much_output"
    finally:
        process.kill()  # this ends the sandbox's first process, and with it all others
        process.wait()
        process.stdout.close()
    seconds = time.monotonic() - started
    output = bytes(printed[-DETAIL_BYTES:]).decode("utf-8", "replace").strip()
    if ended:
        return SandboxResult(ended, output, seconds)
    found = _reports(bytes(reported), token)
    if not found:
        raise NoSandbox(
            f"bubblewrap does not start on this machine: {output or '(no output)'}. User namespaces may be disabled "
            "(sysctl kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns, or a "
            "container's seccomp profile): enable them, or score code benchmarks on a machine that has them"
        )
    ending, detail = found[-1]
    if ending == inside.STARTED:
        ending = "no_time" if process.returncode == 128 + signal.SIGXCPU else "killed"
        detail = f"it ended with status {process.returncode} before its last line"
    return SandboxResult(cast(Ending, ending), detail[:DETAIL_BYTES] or output, seconds)


def _reports(reported: bytes, token: str) -> list[tuple[str, str]]:
    """(ending, detail) of each report with the right token."""
    found = []
    for line in reported.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, TypeError):
            given, ending, detail = json.loads(line)
            if given == token and ending in (inside.STARTED, *get_args(Ending)):
                found.append((ending, str(detail)))
    return found
