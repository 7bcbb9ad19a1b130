"""The command that starts a sandbox, and its process."""

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from resources.sandbox import inside
from resources.sandbox.inside.program import PACKAGES
from resources.sandbox.system_calls import system_call_filter

INSIDE = Path(inside.__file__).parent
IMPORTS = "/inside"  # a project below /tmp would be hidden in the sandbox
START = f"import sys; sys.path.append({IMPORTS!r}); from {inside.__name__}.program import main; main()"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
FILES = 4096  # files and folders in /tmp: each takes a kilobyte of the kernel's memory, which no other limit counts
NOBODY = "65534"
# bubblewrap cannot limit the number of files: /tmp is mounted before it starts, in a namespace of its own.
MOUNT = 'mount -t tmpfs -o mode=1777,nosuid,nodev,size="$1",nr_inodes="$2" sandbox /dev/shm && shift 2 && exec "$@"'
INSTALL = "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`; Fedora: `dnf install bubblewrap`)"


class NoSandbox(RuntimeError):
    """Code cannot be run safely on this machine. The message says why and what to install or change."""


@dataclass
class SandboxProcess:
    """bubblewrap's process, and a descriptor of the first process in its sandbox."""

    bubblewrap: "subprocess.Popen[bytes]"
    first: int | None

    @property
    def exit_status(self) -> int:
        """The first program's after its end; of one that a signal ended, 128 more than the signal."""
        return self.bubblewrap.returncode

    @property
    def output(self) -> IO[bytes]:
        """What the processes in the sandbox print."""
        assert self.bubblewrap.stdout is not None  # noqa: S101 - it is a pipe
        return self.bubblewrap.stdout

    def ends_within(self, seconds: float) -> None:
        """Wait until it ends by itself, but no longer than this."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.bubblewrap.wait(seconds)

    def end(self) -> None:
        """End all processes of the sandbox.

        bubblewrap may end before the sandbox's first process. Where this process is the first of a container, it
        becomes the parent of that process and has to wait for it.
        """
        if self.first is None:
            self.bubblewrap.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.first, signal.SIGKILL)
        self.bubblewrap.wait()
        if self.first is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.first, os.WEXITED)
            os.close(self.first)
        self.output.close()


def start_sandbox(
    side: Literal["tests", "code"],
    source: str,
    facts: Mapping[str, Any],
    descriptors: Mapping[str, int],
    packages: Sequence[str],
) -> SandboxProcess:
    """Start Python in a sandbox, with `inside/program.py`.

    Args:
        side: `tests` or `code`.
        source: what that side runs.
        facts: the limits, and what the program needs besides; a user id is added.
        descriptors: those that the program gets, by name.
        packages: installed packages that may be imported.

    Raises:
        NoSandbox: bubblewrap is not installed, or the machine's architecture is unknown.
    """
    with tempfile.TemporaryFile() as program, tempfile.TemporaryFile() as seccomp, open_pipe() as (info, info_end):
        program.write(source.encode("utf-8", "replace"))
        program.seek(0)
        try:
            seccomp.write(system_call_filter())
        except LookupError as error:
            raise NoSandbox(str(error.args[0])) from error
        seccomp.seek(0)
        options = ["--info-fd", str(info_end.fileno()), "--seccomp", str(seccomp.fileno())]
        facts = {**facts, **descriptors, "user": _user_id()}
        python = [_interpreter(), "-I", "-S", "-B", "-c", START, side, json.dumps(facts)]
        with info_end:
            process = subprocess.Popen(
                [*_with_tmp(2 * facts["file_mb"] * 2**20), *_bubblewrap(packages), *options, "--", *python],
                stdin=program,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
                pass_fds=(*descriptors.values(), info_end.fileno(), seccomp.fileno()),
                start_new_session=True,
            )
        return SandboxProcess(process, _first_process(info))


@contextlib.contextmanager
def open_pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The two ends of a pipe, unbuffered; both are closed at the end."""
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as read_end, open(writing, "wb", 0) as write_end:  # noqa: PTH123 - a descriptor
        yield read_end, write_end


def _first_process(info: IO[bytes]) -> int | None:
    """A descriptor of the sandbox's first process; None where bubblewrap did not start it."""
    with contextlib.suppress(ValueError, LookupError, OSError):
        return os.pidfd_open(json.loads(info.read())["child-pid"])
    return None


# -- the command -------------------------------------------------------------------------------------------------------


def _with_tmp(size: int) -> list[str]:
    """The command that mounts a file system of this many bytes and then runs a command, in a namespace of its own."""
    namespaces = "-m" if os.geteuid() == 0 else "-Urm"
    return ["unshare", namespaces, "sh", "-c", MOUNT, "sh", str(size), str(FILES)]


def _bubblewrap(packages: Iterable[str]) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(f"code under test runs only in a sandbox, and bubblewrap is not installed: {INSTALL}")
    if shutil.which("unshare", path=os.defpath) is None:
        raise NoSandbox("code under test runs only in a sandbox, and `unshare` is not installed: install util-linux")
    root = os.geteuid() == 0
    own = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return [
        program,
        *(own if root else ["--unshare-all", "--uid", NOBODY, "--gid", NOBODY]),
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        # The limit on processes does not apply to root: the program changes its user id before it runs the code.
        *(["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else []),
        *_system_folders(),
        *(argument for device in DEVICES for argument in ("--dev-bind", device, device)),
        *("--ro-bind", str(INSIDE), f"{IMPORTS}/{inside.__name__.replace('.', '/')}"),
        *_package_folders(packages),
        *("--bind", "/dev/shm", "/tmp"),  # noqa: S108 - the sandbox's own
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
    arguments = ["--perms", "0755", "--dir", PACKAGES]
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise NoSandbox(f"code under test may use {name}, which is not installed here: `pip install {name}`")
        folder = Path(spec.submodule_search_locations[0])
        for found in (folder, folder.with_name(f"{name}.libs")):
            if found.is_dir():
                arguments += ["--ro-bind", str(found), f"{PACKAGES}/{found.name}"]
    return arguments


def _interpreter() -> str:
    return str(Path(sys.base_prefix).resolve() / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def _user_id() -> int:
    """An unused user id where root runs the sandbox; 0 where the sandbox has its own user namespace."""
    return 2**30 + secrets.randbelow(2**29) if os.geteuid() == 0 else 0
