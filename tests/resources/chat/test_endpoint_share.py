"""Processes of one machine divide an endpoint's caps among themselves."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.endpoint_share import EndpointShare
from resources.runtime_folder import runtime_folder

PROJECT = Path(__file__).parents[3]
USES_THE_ENDPOINT_UNTIL_KILLED = """
import sys
from resources.chat.endpoint_share import EndpointShare
share = EndpointShare("a", "http://x/v1", 10)
print(share.divide(0), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def joined(slots: int = 10, name: str = "a", address: str = "http://x/v1") -> EndpointShare:
    share = EndpointShare(name, address, slots)
    share.divide(0)
    return share


def shares() -> list[Path]:
    return list(runtime_folder().glob("endpoints/*/[0-9]*"))


def test_one_process_alone_has_everything() -> None:
    assert joined().divide(0) == 10


def test_calls_in_flight_keep_their_slots_until_they_end() -> None:
    first, second = joined(), joined()
    assert second.divide(0) == 0
    assert first.divide(in_flight=8) == 5
    assert second.divide(0) == 2
    assert first.divide(in_flight=5) == 5
    assert second.divide(0) == 5


def test_slots_that_a_process_leaves_go_to_the_others() -> None:
    first, second = joined(), joined()
    first.close()
    assert second.divide(0) == 10
    second.close()
    assert not shares()


def test_fewer_slots_than_processes_go_to_the_oldest() -> None:
    processes = [joined(slots=2) for _ in range(3)]
    assert [share.divide(0) for share in processes] == [1, 1, 0]


def test_a_killed_process_loses_its_share_at_once() -> None:
    command = [sys.executable, "-c", USES_THE_ENDPOINT_UNTIL_KILLED]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert int(other.stdout.readline()) == 10
        ours = joined()
        assert ours.divide(0) == 0
        other.kill()
    assert ours.divide(0) == 10
    assert len(shares()) == 1


def test_a_share_whose_folder_was_deleted_is_joined_again() -> None:
    first = joined()
    shutil.rmtree(runtime_folder())  # as at a logout
    joined()
    assert first.divide(0) == 0
    assert len(shares()) == 2


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["come", "go", "look"])), max_size=40),
)
def test_the_shares_never_exceed_the_cap(most: int, steps: list[tuple[int, str]]) -> None:
    processes: dict[int, EndpointShare] = {}
    slots: dict[int, int | None] = {}
    for who, what in steps:
        if what == "go" and who in processes:
            processes.pop(who).close()
            slots.pop(who, None)
        elif what != "go":
            processes[who] = processes.get(who) or EndpointShare("a", "http://x/v1", most)
            slots[who] = processes[who].divide(0)
        assert sum(one or 0 for one in slots.values()) <= most
    for share in processes.values():
        share.close()


@pytest.mark.parametrize(("name", "address"), [("b", "http://x/v1"), ("a", "http://y/v1")])
def test_endpoints_of_other_names_or_addresses_are_not_shared(name: str, address: str) -> None:
    joined(name=name, address=address)
    assert joined().divide(0) == 10
