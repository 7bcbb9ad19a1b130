"""Untrusted code in the sandbox: whatever it tries, only its own result suffers."""

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from resources.sandbox.sandbox import NoSandbox, SandboxLimits, SandboxResult, require_sandbox, run_code

SHORT = SandboxLimits(seconds=2)
AT_ONCE = SandboxLimits(seconds=0.5)

try:
    require_sandbox()
    missing = ""
except NoSandbox as error:
    missing = str(error)
pytestmark = pytest.mark.skipif(bool(missing), reason=f"no sandbox works here: {missing}")

FORK_BOMB = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
FORKS = """import os, time
seen = 0
try:
    for seen in range(100):
        if os.fork() == 0:
            time.sleep(60)
except OSError:
    pass"""
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
    return run_code(source, limits)


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
        ("x = 1\nassert x == 2, 'not two'", "AssertionError: not two (line 2)"),
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


def test_a_socket_cannot_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)")
    assert result.ending == "error"
    assert "refused" in result.detail or "unreachable" in result.detail


def test_no_other_process_can_be_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        result = run(KILLS)
        assert bystander.poll() is None
        bystander.kill()
    assert result.ending in ("finished", "killed")


def test_packages_that_are_named_can_be_imported() -> None:
    assert run_code("import numpy\nassert numpy.arange(4).sum() == 6", SHORT, ["numpy"]).finished


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
