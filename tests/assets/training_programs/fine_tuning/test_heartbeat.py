"""Signs of life."""

import json
from pathlib import Path

import pytest

from assets.training_programs.fine_tuning.faults import ORPHANED, Stop
from assets.training_programs.fine_tuning.heartbeat import GRACE_SECONDS, Heartbeat
from resources.lake.store import LocalStore, StoreError

ATTEMPT = "checkpoints/x/attempts/0001"


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class JudgeContext:
    """A heartbeat with a clock of its own, in a lake of its own."""

    def __init__(self, root: Path) -> None:
        self.store, self.stop, self.clock = LocalStore(root), Stop(), Clock()
        self.ended: list[int] = []
        self.heartbeat = Heartbeat(
            self.store, ATTEMPT, self.stop, orphan_minutes=30, clock=self.clock, end=self.ended.append
        )

    def minutes_later(self, minutes: float, parent: str | None = None) -> None:
        """Let time pass; `parent`: what it said last."""
        self.clock.now += minutes * 60
        if parent:
            self.store.put(f"{ATTEMPT}/parent.json", parent.encode())
        self.heartbeat.look_for_parent()


@pytest.fixture
def bench(tmp_path: Path) -> JudgeContext:
    return JudgeContext(tmp_path)


def test_a_beat_tells_step_and_state(bench: JudgeContext) -> None:
    bench.heartbeat.step, bench.heartbeat.state = 7, "training"

    bench.heartbeat.beat()

    beat = json.loads(bench.store.get(f"{ATTEMPT}/heartbeat.json"))
    assert (beat["step"], beat["state"]) == (7, "training")


def test_the_last_beat_says_that_the_program_ended(bench: JudgeContext) -> None:
    with bench.heartbeat:
        pass

    assert json.loads(bench.store.get(f"{ATTEMPT}/heartbeat.json"))["state"] == "ended"


def test_a_parent_that_speaks_keeps_the_program_going(bench: JudgeContext) -> None:
    for word in range(10):
        bench.minutes_later(20, f"word {word}")

    assert not bench.stop.asked


def test_a_parent_that_repeats_itself_is_gone(bench: JudgeContext) -> None:
    bench.minutes_later(1, "the same")
    bench.minutes_later(31, "the same")

    assert bench.stop.code == ORPHANED


def test_a_parent_that_never_spoke_is_gone_after_the_same_time(bench: JudgeContext) -> None:
    bench.minutes_later(31)

    assert bench.stop.code == ORPHANED


def test_a_program_that_does_not_end_by_itself_is_ended(bench: JudgeContext) -> None:
    bench.minutes_later(31)
    assert bench.ended == []

    bench.minutes_later(GRACE_SECONDS / 60)

    assert bench.ended == [ORPHANED]


def test_a_detached_program_never_looks(tmp_path: Path) -> None:
    stop, clock = Stop(), Clock()
    heartbeat = Heartbeat(LocalStore(tmp_path), ATTEMPT, stop, orphan_minutes=None, clock=clock)
    clock.now = 1e9

    heartbeat.look_for_parent()

    assert not stop.asked


class CutOff(LocalStore):
    """Cannot be reached."""

    def put(self, path: str, data: bytes) -> None:
        raise StoreError("out of reach")

    def get(self, path: str) -> bytes:
        raise StoreError("out of reach")


def test_a_lake_out_of_reach_makes_no_orphan(tmp_path: Path) -> None:
    stop, clock = Stop(), Clock()
    heartbeat = Heartbeat(CutOff(tmp_path), ATTEMPT, stop, orphan_minutes=30, clock=clock)

    for _ in range(10):
        clock.now += 20 * 60
        heartbeat.look_for_parent()

    assert not stop.asked


def test_a_beat_that_cannot_be_written_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Heartbeat(CutOff(tmp_path), ATTEMPT, Stop(), orphan_minutes=None).beat()

    assert "out of reach" in capsys.readouterr().err
