"""Processes of one machine divide an endpoint's caps."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.leases import EndpointShare, Share, share_endpoint

PROJECT = Path(__file__).parents[3]
HOLDER = """
import sys
from pathlib import Path
from resources.chat.leases import EndpointShare
held = EndpointShare(Path(sys.argv[1]), 10).divide(0)
print(held, flush=True)
sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts a process that holds something until it is ended; it has it when this returns."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, *arguments],
            cwd=PROJECT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def part(share: EndpointShare, in_flight: int = 0) -> Share:
    divided = share.divide(in_flight)
    assert divided is not None
    return divided


def test_one_process_alone_has_everything(tmp_path: Path) -> None:
    assert part(EndpointShare(tmp_path / "e", 10)) == Share(10, 1.0, whole=True)


def test_what_is_in_flight_is_kept_until_it_ends(tmp_path: Path) -> None:
    first = EndpointShare(tmp_path / "e", 10)
    first.divide(0)
    second = EndpointShare(tmp_path / "e", 10)
    assert part(second) == Share(0, 0.0, whole=False)
    assert part(first, in_flight=8) == Share(5, 0.5, whole=True)
    assert part(second) == Share(2, 0.5, whole=False)
    part(first, in_flight=5)
    assert part(second) == Share(5, 0.5, whole=True)


def test_a_part_that_is_given_up_goes_to_the_others(tmp_path: Path) -> None:
    first, second = EndpointShare(tmp_path / "e", 10), EndpointShare(tmp_path / "e", 10)
    first.close()
    assert part(second) == Share(10, 1.0, whole=True)


def test_the_last_to_leave_leaves_nothing(tmp_path: Path) -> None:
    shares = [EndpointShare(tmp_path / "e", 10) for _ in range(2)]
    for share in shares:
        share.close()
    assert not (tmp_path / "e").exists()


def test_fewer_slots_than_processes_go_to_the_first_come(tmp_path: Path) -> None:
    shares = [EndpointShare(tmp_path / "e", 2) for _ in range(3)]
    assert [part(share).slots for share in shares] == [1, 1, 0]


def test_a_killed_process_loses_its_part_at_once(tmp_path: Path, hold: Hold) -> None:
    other = hold(str(tmp_path / "e"), "share")
    ours = EndpointShare(tmp_path / "e", 10)
    assert part(ours).slots == 0
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert part(ours) == Share(10, 1.0, whole=True)
    assert len(list(tmp_path.glob("e/*.share"))) == 1


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["come", "go", "look"])), max_size=40),
)
def test_the_parts_never_exceed_the_caps(
    tmp_path_factory: pytest.TempPathFactory, cap: int, steps: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("endpoints") / "e"
    shares: dict[int, EndpointShare] = {}
    parts: dict[int, Share] = {}
    for who, what in steps:
        if what == "go" and who in shares:
            shares.pop(who).close()
            parts.pop(who, None)
        elif what != "go":
            shares.setdefault(who, EndpointShare(folder, cap) if who not in shares else shares[who])
            parts[who] = part(shares[who])
        assert sum(one.slots for one in parts.values()) <= cap
        assert sum(one.rate for one in parts.values()) <= 1 + 1e-6
    for share in shares.values():
        share.close()


def test_endpoints_of_other_names_or_addresses_are_not_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    others = [share_endpoint("a", "http://x/v1", 10), share_endpoint("b", "http://x/v1", 10)]
    ours = share_endpoint("a", "http://y/v1", 10)
    assert ours is not None
    assert part(ours).slots == 10
    assert all(others)


def test_without_a_runtime_folder_a_process_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "master-dagster").write_text("in the way")
    assert share_endpoint("a", "http://x/v1", 10) is None
    assert "for each process alone" in caplog.text
