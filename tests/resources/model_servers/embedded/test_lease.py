import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.model_servers.embedded.lease import EmbeddedServerError, Patience, ServerFiles, lease, live_server

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
def holders(files: ServerFiles, count: int, *options: str) -> Iterator[list["subprocess.Popen[str]"]]:
    """That many client processes, begun at once; killed at the end."""
    command = [sys.executable, str(HERE / "holder.py"), str(files.folder), *options]
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
    """Whether the server gives up its lock, which it does by ending."""
    deadline = time.monotonic() + SECONDS
    while live_server(files) and time.monotonic() < deadline:
        time.sleep(0.01)
    return live_server(files) is None


def test_five_clients_at_once_share_one_server(files: ServerFiles) -> None:
    with holders(files, 5) as clients:
        addresses = {address_of(client) for client in clients}

    assert len(addresses) == 1
    assert addresses.pop().startswith("http://127.0.0.1:")


def test_the_server_ends_itself_after_its_last_holder_was_killed(files: ServerFiles) -> None:
    with holders(files, 2) as clients:
        for client in clients:
            address_of(client)
        for client in clients:
            client.send_signal(signal.SIGKILL)

    assert has_ended(files)


def test_the_server_outlives_the_client_that_started_it(files: ServerFiles) -> None:
    with holders(files, 1) as (starter,):
        started = address_of(starter)
        with holders(files, 1) as (other,):
            address_of(other)
            starter.kill()
            starter.wait()
            with lease(files, tiny_server(files)) as address:
                assert address == started


def test_a_server_in_use_stays_when_an_idle_one_would_be_gone(files: ServerFiles) -> None:
    with lease(files, tiny_server(files, "--idle-seconds", "0.01")) as address, holders(files, 1) as (other,):
        assert address_of(other) == address  # a Python process starts in many times the idle time


def test_the_server_does_not_belong_to_the_clients_terminal(files: ServerFiles) -> None:
    with lease(files, tiny_server(files)):
        assert os.getsid(pid_of_server(files)) != os.getsid(0)


def test_a_server_whose_health_check_fails_is_killed_and_replaced(files: ServerFiles) -> None:
    with lease(files, tiny_server(files)) as first:
        sick = pid_of_server(files)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{first}/sicken")  # noqa: S310
        with lease(files, tiny_server(files)) as second:
            assert second != first
            assert pid_of_server(files) != sick


def test_a_server_that_hangs_is_killed_and_replaced(files: ServerFiles) -> None:
    with lease(files, tiny_server(files)) as first:
        os.kill(pid_of_server(files), signal.SIGSTOP)
        with lease(files, tiny_server(files), Patience(health=0.2)) as second:
            assert second != first


def test_a_server_still_loading_is_found_again_when_its_starter_was_killed(files: ServerFiles, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with holders(files, 1, "--gate", str(gate)) as (starter,):
        while (server := live_server(files)) is None or not server.pid:
            assert starter.poll() is None
        loading = server.pid
    gate.touch()

    with lease(files, tiny_server(files)):
        assert pid_of_server(files) == loading


def test_a_stale_state_file_is_not_believed(files: ServerFiles) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        files.server.write_text(f'{{"pid": {bystander.pid}, "address": "http://127.0.0.1:1"}}')
        with lease(files, tiny_server(files)) as address:
            assert address != "http://127.0.0.1:1"
        assert bystander.poll() is None
        bystander.kill()


def test_a_server_that_cannot_start_is_reported_with_its_last_words_and_its_log(files: ServerFiles) -> None:
    with (
        pytest.raises(EmbeddedServerError, match=r"ended while it was starting(.|\n)*the model is broken") as caught,
        lease(files, tiny_server(files, "--fails", "the model is broken")),
    ):
        pass
    assert str(files.log) in str(caught.value)


def test_a_server_that_never_gets_ready_is_killed(files: ServerFiles, tmp_path: Path) -> None:
    never = tmp_path / "never"
    with (
        pytest.raises(EmbeddedServerError, match="said nothing"),
        lease(files, tiny_server(files, "--gate", str(never)), Patience(start=0.5)),
    ):
        pass
    assert live_server(files) is None
