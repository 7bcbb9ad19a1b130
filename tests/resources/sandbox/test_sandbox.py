"""Untrusted code in the sandbox: whatever it tries, only its own result suffers."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import SandboxLimits, SandboxResult, run_code

SHORT = SandboxLimits(seconds=2)
AT_ONCE = SandboxLimits(seconds=0.5)

pytestmark = pytest.mark.usefixtures("sandbox")

FORK_BOMB = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
FORKS = """import os, time
seen = 0
try:
    for seen in range(100):
        if os.fork() == 0:
            time.sleep(60)
except OSError:
    pass"""
MANY_FILES = """import os
made = 0
try:
    for folder in range(100):
        os.mkdir(f"/tmp/{folder}")
        for file in range(1000):
            os.close(os.open(f"/tmp/{folder}/{file}", os.O_CREAT))
            made += 1
except OSError as error:
    raise ValueError(made, str(error))"""
FORGED_REPORT = """import os
for pipe in range(3, 64):
    try:
        os.write(pipe, b'["", "finished", ""]\\n')
    except OSError:
        pass
assert False"""
KILLS = """import os, signal
for process in (os.getppid(), 1, -1):
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass"""


def run(source: str, limits: SandboxLimits = SHORT) -> SandboxResult:
    return run_code(source, limits=limits)


def seen_by(source: str) -> str:
    """What a program finds in its variable `seen`."""
    return run(f"{source}\nraise ValueError(seen)").detail.removeprefix("ValueError: ")


@pytest.mark.parametrize(
    ("source", "limits", "ending"),
    [
        ("total = sum(range(10))\nassert total == 45", SHORT, "finished"),
        ("import sys\nsys.exit(0)\nassert False", SHORT, "killed"),
        ("import os\nos._exit(0)\nassert False", SHORT, "killed"),
        ("raise SystemExit\nassert False", SHORT, "killed"),
        ("import ctypes\nctypes.string_at(0)", SHORT, "killed"),
        ("while True:\n    pass", AT_ONCE, "no_time"),
        ("import time\ntime.sleep(1000)", AT_ONCE, "no_time"),
        (FORK_BOMB, AT_ONCE, "no_time"),
        ("kept = []\nwhile True:\n    kept.append(bytearray(10**7))", SHORT, "no_memory"),
        ("while True:\n    print('x' * 10000)", SandboxLimits(seconds=20), "too_much_output"),
        (FORGED_REPORT, SHORT, "error"),
    ],
)
def test_how_code_ended(source: str, limits: SandboxLimits, ending: str) -> None:
    result = run(source, limits)
    assert result.ending == ending
    assert len(result.detail) <= 2000


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("x = 1\nassert x == 2, 'not two'", "AssertionError: not two (line 2 of the code)"),
        ("def f(:", "SyntaxError"),
        ("input()", "EOFError"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy'"),
        ("open('/tmp/a', 'wb').write(bytes(17 * 2**20))", "OSError: [Errno 27] File too large"),
    ],
)
def test_the_detail_of_an_error(source: str, detail: str) -> None:
    result = run(source)
    assert result.ending == "error"
    assert result.detail.startswith(detail)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import ctypes\nseen = ctypes.CDLL(None).shmget(0, 1 << 28, 0o1600)", "-1"),
        ("import ctypes\nseen = ctypes.CDLL(None).memfd_create(b'x', 0)", "-1"),
        ("import ctypes\nseen = ctypes.CDLL(None).unshare(0x10000000)", "-1"),
        ("import os\nseen = sorted(os.environ)", "['LC_CTYPE', 'OPENBLAS_NUM_THREADS', 'PWD']"),
        ("import os\nseen = os.path.exists('/proc/1/environ')", "False"),
        (f"import os\nseen = os.path.exists({__file__!r})", "False"),
    ],
)
def test_what_code_can_see_and_do(monkeypatch: pytest.MonkeyPatch, source: str, seen: str) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    assert seen_by(source).startswith(seen)


def test_no_more_processes_than_allowed_can_be_made() -> None:
    assert int(seen_by(FORKS).split()[0]) <= SHORT.processes + 2


def test_no_process_is_left_when_code_has_ended() -> None:
    mark = f"left-behind-{os.getpid()}"
    stays = f"os.execv(sys.executable, ['{mark}', '-c', 'while True: pass'])"
    run(f"import os, sys\nif os.fork() == 0:\n    os.setsid()\n    {stays}")
    deadline = time.monotonic() + 10
    while any(mark in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "a process of the sandbox is still there"


@pytest.mark.parametrize("path", ["/usr/written", "/written", os.__file__, "/packages/written"])
def test_nothing_outside_can_be_written(path: str) -> None:
    assert run(f"open({path!r}, 'a').write('x')").ending == "error"
    assert not Path("/written").exists()


def test_its_own_folder_can_be_written_and_starts_empty() -> None:
    assert run("open('/tmp/a', 'w').write('a' * 1000)\nassert open('/tmp/a').read() == 'a' * 1000").finished
    assert seen_by("import os\nseen = os.listdir('/tmp')").startswith("[]")


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_VSOCK", "AF_NETLINK", "AF_PACKET", "AF_ALG"])
def test_sockets_of_other_families_than_unix_cannot_be_made(family: str) -> None:
    made = run(f"import socket\nsocket.socket(socket.{family}, socket.SOCK_STREAM)")
    assert made.detail.startswith("PermissionError")


def test_unix_sockets_can_be_made_and_have_small_buffers() -> None:
    assert run(
        "import socket\nsocket.socket(socket.AF_UNIX)\none, other = socket.socketpair()\none.sendall(b'x')"
    ).finished
    larger = "socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)"
    assert run(f"import socket\n{larger}").detail.startswith("PermissionError")


def test_the_number_of_files_is_limited() -> None:
    detail = run(MANY_FILES).detail
    assert detail.startswith("ValueError: (4"), detail
    assert "No space left" in detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a namespace of processes so")
def test_no_zombie_is_left_where_the_first_process_of_a_container_runs_code() -> None:
    program = textwrap.dedent("""
        import psutil
        from resources.sandbox.sandbox import SandboxLimits, run_code
        for code in ("x = 1", "assert False", "import os; os._exit(0)", "while True: pass"):
            run_code(code, limits=SandboxLimits(seconds=0.5))
        print([child.status() for child in psutil.Process().children(recursive=True)])
    """)
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_other_process_can_be_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        result = run(KILLS)
        assert bystander.poll() is None
        bystander.kill()
    assert result.ending in ("finished", "killed")


def test_packages_that_are_named_can_be_imported() -> None:
    assert run_code("import numpy\nassert numpy.arange(4).sum() == 6", "", SHORT, ["numpy"]).finished


def test_several_run_at_once() -> None:
    results: list[SandboxResult] = []
    threads = [threading.Thread(target=lambda: results.append(run("x = 1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.ending for result in results] == ["finished"] * 4


@pytest.mark.parametrize(
    ("bwrap", "message"),
    [
        (None, "apt-get install bubblewrap"),
        (
            "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n",
            r"No permissions to create new namespace.*User namespaces may be disabled",
        ),
    ],
)
def test_where_bubblewrap_does_not_work_the_error_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bwrap: str | None, message: str
) -> None:
    if bwrap:
        (tmp_path / "bwrap").write_text(bwrap)
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandbox, match=message):
        run("x = 1")


def test_an_unknown_architecture_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NoSandbox, match="riscv64"):
        run("x = 1")
