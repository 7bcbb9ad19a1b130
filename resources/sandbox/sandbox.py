"""Running code that nobody has read: bubblewrap with namespaces of its own, a system-call filter and resource limits.

The code gets no network, no process but its own, no environment, a read-only view of Python and of the system's
libraries, a small `/tmp` in memory, and what `Limits` says. Told apart is whether it ran to its end, and if not, why.
It guards the machine from the code, not the result: code that sets out to do so can claim that its tests passed.

Limits are per process; what all its processes together can hold in memory is at most `memory_mb` × `processes` and
what `/tmp` takes. Run by root, the code has a user id that nobody else has; else it has a user namespace of its own.
"""

import contextlib
import importlib.util
import json
import os
import platform
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, cast, get_args

from resources.sandbox import inside

Ending = Literal["finished", "error", "no_time", "no_memory", "killed", "too_much_output"]

PROGRAM = Path(inside.__file__)
INSIDE = "/inside.py"  # where the sandbox has it, wherever the project lies: below /tmp it would be hidden
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
GRACE_SECONDS = 0.5  # between the limit of processor time, which tells why, and the end whatever happens
SHOWN_BYTES = 2000
CHUNK = 65536
INSTALL = "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`; Fedora: `dnf install bubblewrap`)"


class NoSandbox(RuntimeError):
    """Code cannot be run safely on this machine. The message says why and what to install or change."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What code may use."""

    seconds: float = 10.0  # wall clock
    memory_mb: int = 512  # address space of each process
    processes: int = 8  # processes and threads at one time
    file_mb: int = 16  # largest file; /tmp holds twice that
    output_kb: int = 64  # what it may print


@dataclass(frozen=True, slots=True)
class Outcome:
    """How code ended."""

    ending: Ending
    detail: str  # the error, or the last words that were printed
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether it ran to its end without an error."""
        return self.ending == "finished"


def run_code(source: str, limits: Limits | None = None, packages: Sequence[str] = ()) -> Outcome:
    """Run Python source in a sandbox and say how it ended. Blocks; can be called from several threads at once.

    Args:
        source: the program. It sees `__name__ == "__main__"`, no arguments, and an empty standard input.
        limits: what it may use.
        packages: installed packages that it may import beside the standard library, such as `numpy`.

    Raises:
        NoSandbox: bubblewrap is not there, or does not start here.
    """
    limits = limits or Limits()
    token = secrets.token_hex(16)
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as program,
        tempfile.TemporaryFile() as seccomp,
        _pipe() as (told, telling),
    ):
        program.write(source.encode("utf-8", "replace"))
        program.seek(0)
        seccomp.write(system_call_filter())
        seccomp.seek(0)
        facts = {**asdict(limits), "token": token, "status": telling.fileno(), "user": _user_id()}
        with telling:
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
                pass_fds=(telling.fileno(), seccomp.fileno()),
                start_new_session=True,
            )
        return _watch(process, told.fileno(), token, limits, started)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as told, open(writing, "wb", 0) as telling:  # noqa: PTH123 - a descriptor
        yield told, telling


@lru_cache(maxsize=1)
def require_sandbox() -> None:
    """Make sure that sandboxes work on this machine, by running something harmless in one.

    Raises:
        NoSandbox: they do not; the message says why and what to do.
    """
    outcome = run_code("import socket, os\nassert os.listdir('/tmp') == []\nprint('well')", Limits(seconds=20))
    if not outcome.finished:
        raise NoSandbox(f"a sandbox was started, but harmless code did not run in it: {outcome.detail}")


# -- the command -------------------------------------------------------------------------------------------------------


def _bubblewrap(limits: Limits, packages: Iterable[str]) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(f"code under test is run in a sandbox only, and bubblewrap is not installed: {INSTALL}")
    root = os.geteuid() == 0
    own = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return [
        program,
        *(own if root else ["--unshare-all"]),
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        # Root's limit on processes does not hold: the program takes another user's id before it runs the code.
        *(["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else []),
        *_system_folders(),
        *(argument for device in DEVICES for argument in ("--dev-bind", device, device)),
        *("--ro-bind", str(PROGRAM), INSIDE),
        *_package_folders(packages),
        *("--perms", "1777", "--size", str(2 * limits.file_mb * 2**20), "--tmpfs", "/tmp"),  # noqa: S108 - its own
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
    for parent in reversed(prefix.parents[:-1]):  # bubblewrap would make them for root alone
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
    """An id that no one else has, for what root starts; 0 where the namespace has its own already."""
    return 2**30 + secrets.randbelow(2**29) if os.geteuid() == 0 else 0


# -- watching ----------------------------------------------------------------------------------------------------------


def _watch(process: "subprocess.Popen[bytes]", told: int, token: str, limits: Limits, started: float) -> Outcome:
    """Read what is printed and what the program tells, until it ends or is ended."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    printed, said = bytearray(), bytearray()
    ended: Ending | None = None
    deadline = started + limits.seconds + GRACE_SECONDS
    pipes = {process.stdout.fileno(): printed, told: said}
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
            if max(len(printed), len(said)) > 1024 * limits.output_kb:
                ended = "too_much_output"
    finally:
        process.kill()  # with it the sandbox's first process dies, and with that all of them
        process.wait()
        process.stdout.close()
    seconds = time.monotonic() - started
    words = bytes(printed[-SHOWN_BYTES:]).decode("utf-8", "replace").strip()
    if ended:
        return Outcome(ended, words, seconds)
    reports = _reports(bytes(said), token)
    if not reports:
        raise NoSandbox(
            f"bubblewrap does not start here: {words or 'it said nothing'}. User namespaces may be turned off (sysctl "
            "kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns, or a container's "
            "seccomp profile): turn them on, or score code benchmarks on a machine that has them"
        )
    ending, detail = reports[-1]
    if ending == inside.STARTED:
        ending = "no_time" if process.returncode == 128 + signal.SIGXCPU else "killed"
        detail = f"it ended with status {process.returncode} before its last line"
    return Outcome(cast(Ending, ending), detail[:SHOWN_BYTES] or words, seconds)


def _reports(said: bytes, token: str) -> list[tuple[str, str]]:
    """What the program told by its token: how it ended, and in words."""
    found = []
    for line in said.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, TypeError):
            given, ending, detail = json.loads(line)
            if given == token and ending in (inside.STARTED, *get_args(Ending)):
                found.append((ending, str(detail)))
    return found


# -- system calls ------------------------------------------------------------------------------------------------------

# By architecture: its audit number, and those system calls that code under test has no use for. They make namespaces,
# mounts, memory that no limit counts, or reach parts of the kernel that break oftenest.
_DENIED = {
    "x86_64": (
        0xC000003E,
        {
            *(272, 308, 165, 166, 155, 161),  # unshare setns mount umount2 pivot_root chroot
            *(428, 429, 430, 431, 432, 433, 442),  # the new mount interface
            *(101, 310, 311, 434, 438),  # ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd
            *(248, 249, 250, 321, 298, 323),  # add_key request_key keyctl bpf perf_event_open userfaultfd
            *(425, 426, 427, 319, 447),  # io_uring, memfd_create, memfd_secret
            *(29, 68, 64, 240),  # shmget msgget semget mq_open
        },
        56,  # clone
        435,  # clone3
    ),
    "aarch64": (
        0xC00000B7,
        {
            *(97, 268, 40, 39, 41, 51),
            *(428, 429, 430, 431, 432, 433, 442),
            *(117, 270, 271, 434, 438),
            *(217, 218, 219, 280, 241, 282),
            *(425, 426, 427, 279, 447),
            *(194, 186, 190, 180),
        },
        220,
        435,
    ),
}
_NEW_NAMESPACE = 0x7E020080  # every CLONE_NEW… flag
_ALLOW, _REFUSE, _NO_SUCH_CALL, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def system_call_filter() -> bytes:
    """The filter as the kernel takes it: a program of classic BPF over number, architecture and arguments of a call.

    Raises:
        NoSandbox: the machine's architecture is not known.
    """
    try:
        architecture, denied, clone, clone3 = _DENIED[platform.machine()]
    except KeyError:
        known = ", ".join(_DENIED)
        raise NoSandbox(f"the sandbox's system-call filter knows {known}, not {platform.machine()}") from None
    numbers = sorted(denied)
    program = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the call's number
        (_AT_LEAST, 0, 1, 0x40000000),  # x32, which has numbers of its own
        (_RETURN, 0, 0, _NO_SUCH_CALL),
        (_EQUAL, 0, 1, clone3),  # its flags lie in memory; without it libc falls back on clone
        (_RETURN, 0, 0, _NO_SUCH_CALL),
        (_EQUAL, 0, 4, clone),
        (_LOAD, 0, 0, 16),  # its flags
        (_ANY_BIT, 0, 1, _NEW_NAMESPACE),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        *((_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in program)
