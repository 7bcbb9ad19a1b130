"""Code that nobody has read, in the sandbox: whatever it tries, its own row is all that suffers."""

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from resources.sandbox.sandbox import Limits, NoSandbox, Outcome, require_sandbox, run_code, system_call_filter

SHORT = Limits(seconds=2)

try:
    require_sandbox()
    missing = ""
except NoSandbox as error:
    missing = str(error)
pytestmark = pytest.mark.skipif(bool(missing), reason=f"no sandbox works here: {missing}")


def run(source: str, limits: Limits = SHORT) -> Outcome:
    return run_code(source, limits)


def shown(source: str) -> str:
    """What a program that raises tells."""
    return run(f"{source}\nraise ValueError(seen)").detail


def test_code_that_runs_to_its_end_has_finished() -> None:
    assert run("total = sum(range(10))\nassert total == 45").finished


def test_a_failed_assertion_is_an_error_with_its_line() -> None:
    outcome = run("x = 1\nassert x == 2, 'not two'")
    assert (outcome.ending, outcome.detail) == ("error", "AssertionError: not two (line 2)")


def test_a_syntax_error_is_an_error() -> None:
    assert run("def f(:").detail.startswith("SyntaxError")


@pytest.mark.parametrize("leaving", ["import sys\nsys.exit(0)", "import os\nos._exit(0)", "raise SystemExit"])
def test_leaving_before_the_last_line_is_no_way_to_pass(leaving: str) -> None:
    assert run(f"{leaving}\nassert False").ending == "killed"


def test_a_crash_of_the_interpreter_is_told() -> None:
    assert run("import ctypes\nctypes.string_at(0)").ending == "killed"


def test_an_endless_loop_is_ended() -> None:
    assert run("while True:\n    pass", Limits(seconds=0.5)).ending == "no_time"


def test_sleeping_is_ended_as_well() -> None:
    assert run("import time\ntime.sleep(1000)", Limits(seconds=0.5)).ending == "no_time"


def test_a_fork_bomb_is_bounded_and_ended() -> None:
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    assert run(bomb, Limits(seconds=0.5)).ending == "no_time"


def test_no_more_processes_than_allowed_can_be_made() -> None:
    source = """
        import os, time
        seen = 0
        try:
            for seen in range(100):
                if os.fork() == 0:
                    time.sleep(60)
        except OSError:
            pass
    """
    detail = shown("\n".join(line[8:] for line in source.splitlines()))
    assert detail.startswith("ValueError: ")
    assert int(detail.split()[1]) <= SHORT.processes + 2


def test_no_process_is_left_when_code_has_ended() -> None:
    mark = f"left-behind-{os.getpid()}"
    stays = f"os.execv(sys.executable, ['{mark}', '-c', 'while True: pass'])"
    run(f"import os, sys\nif os.fork() == 0:\n    os.setsid()\n    {stays}")
    deadline = time.monotonic() + 10
    while any(mark in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "a process of the sandbox is still there"


def test_memory_without_end_is_refused() -> None:
    assert run("held = []\nwhile True:\n    held.append(bytearray(10**7))").ending == "no_memory"


@pytest.mark.parametrize(
    "memory",
    [
        "import ctypes\nseen = ctypes.CDLL(None).shmget(0, 1 << 28, 0o1600)",
        "import ctypes\nseen = ctypes.CDLL(None).memfd_create(b'x', 0)",
    ],
)
def test_memory_that_no_limit_counts_cannot_be_had(memory: str) -> None:
    assert shown(memory).startswith("ValueError: -1")


def test_namespaces_of_its_own_cannot_be_made() -> None:
    assert shown("import ctypes\nseen = ctypes.CDLL(None).unshare(0x10000000)").startswith("ValueError: -1")


def test_the_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    detail = shown("import os\nseen = sorted(os.environ)")
    assert detail.startswith("ValueError: ['LC_CTYPE', 'OPENBLAS_NUM_THREADS', 'PWD']")


def test_the_environment_of_other_processes_cannot_be_read() -> None:
    assert "ValueError: False" in shown("import os\nseen = os.path.exists('/proc/1/environ')")


def test_files_of_this_machine_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    assert shown(f"import os\nseen = os.path.exists({str(secret)!r})").startswith("ValueError: False")


@pytest.mark.parametrize("place", ["/usr/written", "/written", os.__file__, "/packages/written"])
def test_nothing_outside_can_be_written(place: str) -> None:
    assert run(f"open({place!r}, 'a').write('x')").ending == "error"
    assert not Path("/written").exists()


def test_its_own_folder_can_be_written_up_to_a_size() -> None:
    assert run("open('/tmp/a', 'w').write('a' * 1000)\nassert open('/tmp/a').read() == 'a' * 1000").finished
    assert "File too large" in run(f"open('/tmp/a', 'wb').write(bytes({17 * 2**20}))").detail


def test_what_one_program_wrote_the_next_does_not_find() -> None:
    run("open('/tmp/left', 'w').write('x')")
    assert shown("import os\nseen = os.listdir('/tmp')").startswith("ValueError: []")


def test_a_socket_reaches_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)")
    assert outcome.ending == "error"
    assert "refused" in outcome.detail or "unreachable" in outcome.detail


def test_neither_its_parent_nor_anybody_else_can_be_killed() -> None:
    source = """
import os, signal
for process in (os.getppid(), 1, -1):
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass
"""
    with subprocess.Popen(["sleep", "60"]) as bystander:
        outcome = run(source)
        assert bystander.poll() is None
        bystander.kill()
    assert outcome.ending in ("finished", "killed")


def test_printing_without_end_is_ended() -> None:
    outcome = run("while True:\n    print('x' * 10000)", Limits(seconds=20))
    assert outcome.ending == "too_much_output"
    assert len(outcome.detail) <= 2000


def test_a_result_cannot_be_told_without_the_token() -> None:
    forged = (
        'import os, json\nfor pipe in range(3, 64):\n    try:\n        os.write(pipe, b\'["", "finished", ""]\\n\')\n'
    )
    assert run(f"{forged}    except OSError:\n        pass\nassert False").ending == "error"


def test_standard_input_is_empty() -> None:
    assert run("input()").detail.startswith("EOFError")


def test_packages_that_are_named_can_be_imported() -> None:
    source = "import numpy\nassert numpy.arange(4).sum() == 6"
    assert run_code(source, SHORT, ["numpy"]).finished
    assert "No module named 'numpy'" in run(source).detail


def test_several_run_at_once() -> None:
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run("x = 1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.ending for outcome in outcomes] == ["finished"] * 4


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandbox, match="apt-get install bubblewrap"):
        run("x = 1")


def test_where_bubblewrap_may_not_start_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandbox, match=r"No permissions to create new namespace.*User namespaces may be turned off"):
        run("x = 1")


def test_an_unknown_architecture_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NoSandbox, match="riscv64"):
        system_call_filter()
