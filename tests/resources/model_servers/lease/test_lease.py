import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.model_servers.background import lock_server_file
from resources.model_servers.lease import LeaseTimeouts, ModelServerError, ServerFiles, lease, live_server

HERE = Path(__file__).parent
SECONDS = 30.0  # a test that waits longer for an event has failed


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ServerFiles]:
    files = ServerFiles(tmp_path, "tiny")
    yield files
    if server := live_server(files):
        os.kill(server.pid, signal.SIGKILL)


def tiny_server(files: ServerFiles, *options: str) -> list[str]:
    return [str(HERE / "tiny_server.py"), str(files.folder), *options]


@contextlib.contextmanager
def client_processes(files: ServerFiles, count: int, *options: str) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start this many client processes at once; kill them at the end."""
    command = [sys.executable, str(HERE / "client.py"), str(files.folder), *options]
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        yield clients
    finally:
        for client in clients:
            client.kill()
            client.communicate()


def address_of(client: "subprocess.Popen[str]") -> str:
    assert client.stdout is not None
    return client.stdout.readline().strip()


def pid_of_server(files: ServerFiles) -> int:
    server = live_server(files)
    assert server is not None
    return server.pid


def has_ended(files: ServerFiles) -> bool:
    """Whether the server ends in time."""
    deadline = time.monotonic() + SECONDS
    while live_server(files) and time.monotonic() < deadline:
        time.sleep(0.01)
    return live_server(files) is None


def test_five_clients_at_once_share_one_server(files: ServerFiles) -> None:
    with client_processes(files, 5) as clients:
        addresses = {address_of(client) for client in clients}

    assert len(addresses) == 1
    assert addresses.pop().startswith("http://127.0.0.1:")


def test_the_server_ends_after_its_last_client_was_killed(files: ServerFiles) -> None:
    with client_processes(files, 2) as clients:
        for client in clients:
            address_of(client)
        for client in clients:
            client.send_signal(signal.SIGKILL)

    assert has_ended(files)


def test_the_server_outlives_the_client_that_started_it(files: ServerFiles) -> None:
    with client_processes(files, 1) as (starter,):
        started = address_of(starter)
        with client_processes(files, 1) as (other,):
            address_of(other)
            starter.kill()
            starter.wait()
            with lease(files, tiny_server(files)) as server:
                assert server.address == started


def test_a_leased_server_does_not_end(files: ServerFiles) -> None:
    with lease(files, tiny_server(files, "--idle-seconds", "0.01")) as server, client_processes(files, 1) as (other,):
        assert address_of(other) == server.address  # starting a Python process takes many times the idle time


def test_the_server_has_its_own_session(files: ServerFiles) -> None:
    with lease(files, tiny_server(files)):
        assert os.getsid(pid_of_server(files)) != os.getsid(0)


@pytest.mark.parametrize("hangs", [False, True], ids=["the health check fails", "the health check hangs"])
def test_an_unhealthy_server_is_killed_and_replaced(files: ServerFiles, hangs: bool) -> None:
    with lease(files, tiny_server(files)) as first:
        unhealthy = pid_of_server(files)
        if hangs:
            os.kill(unhealthy, signal.SIGSTOP)
        else:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{first.address}/sicken")  # noqa: S310
        with lease(files, tiny_server(files), LeaseTimeouts(health=0.2 if hangs else 15)) as second:
            assert second != first
            assert pid_of_server(files) != unhealthy


def test_a_server_that_is_loading_is_used_after_its_starter_was_killed(files: ServerFiles, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with client_processes(files, 1, "--gate", str(gate)) as (starter,):
        while (server := live_server(files)) is None or not server.pid:
            assert starter.poll() is None
        loading = server.pid
    gate.touch()

    with lease(files, tiny_server(files)):
        assert pid_of_server(files) == loading


def test_a_server_that_starts_is_not_stopped_by_a_client_that_looks_for_one(files: ServerFiles) -> None:
    looking = files.server.open("a+")
    fcntl.flock(looking, fcntl.LOCK_SH)
    with files.server.open("a+") as state, ThreadPoolExecutor(1) as executor:
        locked = executor.submit(lock_server_file, state, SECONDS)
        assert not locked.done()
        looking.close()
        locked.result()


def test_a_second_server_ends(files: ServerFiles) -> None:
    with files.server.open("a+") as first, files.server.open("a+") as second:
        lock_server_file(first)
        with pytest.raises(BlockingIOError):
            lock_server_file(second, 0)


def test_the_state_file_of_a_dead_server_is_ignored_and_its_process_id_not_killed(files: ServerFiles) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        files.server.write_text(f'{{"pid": {bystander.pid}, "address": "http://127.0.0.1:1"}}')
        with lease(files, tiny_server(files)) as server:
            assert server.address != "http://127.0.0.1:1"
        assert bystander.poll() is None
        bystander.kill()


def test_a_server_that_cannot_start_is_reported_with_its_last_output_and_its_log(files: ServerFiles) -> None:
    with (
        pytest.raises(ModelServerError, match=r"ended while it was starting(.|\n)*the model is broken") as caught,
        lease(files, tiny_server(files, "--fails", "the model is broken")),
    ):
        pass
    assert str(files.log) in str(caught.value)


def test_a_server_that_is_not_ready_in_time_is_killed(files: ServerFiles, tmp_path: Path) -> None:
    never = tmp_path / "never"
    with (
        pytest.raises(ModelServerError, match="was not ready"),
        lease(files, tiny_server(files, "--gate", str(never)), LeaseTimeouts(start=0.5)),
    ):
        pass
    assert live_server(files) is None
