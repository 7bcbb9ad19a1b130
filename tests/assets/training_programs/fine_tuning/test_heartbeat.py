"""Heartbeats of the program, and the check that a run still waits for it."""

import json
from pathlib import Path

import pytest

from assets.training_programs.fine_tuning.errors import ORPHANED, Stop
from assets.training_programs.fine_tuning.heartbeat import GRACE_SECONDS, Heartbeat
from resources.lake.store import LocalStore, StoreError

ATTEMPT = "checkpoints/x/attempts/0001"


class Lake(LocalStore):
    """A lake that may be unreachable."""

    unreachable = False

    def put(self, path: str, data: bytes) -> None:
        if self.unreachable:
            raise StoreError("out of reach")
        super().put(path, data)

    def get(self, path: str) -> bytes:
        if self.unreachable:
            raise StoreError("out of reach")
        return super().get(path)


class Program:
    """A heartbeat with a clock and a lake of its own."""

    def __init__(self, root: Path, orphan_minutes: float | None = 30) -> None:
        self.lake, self.stop, self.now = Lake(root), Stop(), 0.0
        self.ended: list[int] = []
        self.heartbeat = Heartbeat(
            self.lake, ATTEMPT, self.stop, orphan_minutes, clock=lambda: self.now, end=self.ended.append
        )

    def minutes_later(self, minutes: float, parent: str | None = None) -> None:
        """Let time pass; `parent`: content of its file."""
        self.now += minutes * 60
        if parent:
            self.lake.put(f"{ATTEMPT}/parent.json", parent.encode())
        self.heartbeat.check_parent()

    def last(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.lake.get(f"{ATTEMPT}/heartbeat.json"))
        return found


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_a_heartbeat_has_step_and_state_and_the_last_one_says_that_the_program_ended(program: Program) -> None:
    program.heartbeat.step, program.heartbeat.state = 7, "training"
    program.heartbeat.beat()
    assert (program.last()["step"], program.last()["state"]) == (7, "training")
    with program.heartbeat:
        pass
    assert program.last()["state"] == "ended"


@pytest.mark.parametrize(
    ("before", "seconds"),
    [(None, 120.0), (b"{}", 120.0), (b"not JSON", 120.0), (b'{"seconds": 1000.0}', 1120.0)],
    ids=["first start", "earlier version", "damaged", "started again by the backend"],
)
def test_a_heartbeat_has_the_seconds_of_all_starts_of_the_attempt(
    program: Program, before: bytes | None, seconds: float
) -> None:
    if before:
        program.lake.put(f"{ATTEMPT}/heartbeat.json", before)
    for _ in range(2):
        program.minutes_later(1)
        program.heartbeat.beat()
    assert program.last()["seconds"] == seconds


@pytest.mark.parametrize(
    ("minutes", "contents", "orphaned"),
    [
        ([20] * 10, [str(number) for number in range(10)], False),
        ([1, 31], ["the same", "the same"], True),
        ([31], [None], True),
    ],
    ids=["the parent is alive", "its file does not change", "it never wrote one"],
)
def test_a_program_whose_parent_is_silent_is_asked_to_end(
    program: Program, minutes: list[float], contents: list[str | None], orphaned: bool
) -> None:
    for passed, content in zip(minutes, contents, strict=True):
        program.minutes_later(passed, content)
    assert (program.stop.code == ORPHANED) == orphaned
    assert program.ended == []


def test_a_program_that_does_not_end_when_asked_is_ended(program: Program) -> None:
    program.minutes_later(31)
    program.minutes_later(GRACE_SECONDS / 60)
    assert program.ended == [ORPHANED]


def test_a_detached_program_does_not_check(tmp_path: Path) -> None:
    program = Program(tmp_path, orphan_minutes=None)
    program.minutes_later(1e9)
    assert not program.stop.asked


def test_an_unreachable_lake_makes_no_orphan(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program.lake.unreachable = True
    for _ in range(10):
        program.minutes_later(20)
    program.heartbeat.beat()
    assert not program.stop.asked
    assert "out of reach" in capsys.readouterr().err
