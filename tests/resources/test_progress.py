"""What a long step shows."""

import io

import pytest

from assets.framework.partition_run import RunProgress
from resources.chat.calls import Usage
from resources.chat.throughput import Throughput
from resources.progress import PartitionProgress, format_duration, progress, report_progress_to
from tests.waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A terminal that remembers what was drawn after it was closed."""

    shown = ""

    def close(self) -> None:
        self.shown = self.getvalue()
        super().close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_terminal_there_is_a_line_every_few_seconds(clock: Clock) -> None:
    lines: list[str] = []
    with progress("dialogues", lines.append, clock, terminal=lambda: None) as update:
        for done in range(1, 101):
            clock.now += 0.25
            update(done, 200, lambda: "4 calls/s")
    assert lines == [
        "dialogues: started",
        "dialogues: 40 of 200, 4 calls/s, about 40 s left",
        "dialogues: 80 of 200, 4 calls/s, about 30 s left",
    ]


def test_a_command_can_receive_a_line_per_minute(clock: Clock) -> None:
    logged: list[str] = []
    received: list[str] = []
    with (
        report_progress_to(received.append),
        progress("dialogues", logged.append, clock, terminal=lambda: None) as update,
    ):
        for done in range(1, 131):
            clock.now += 1
            update(done, 200)
    assert received == ["dialogues: 60 of 200, about 2 min left", "dialogues: 120 of 200, about 80 s left"]
    assert len(logged) == 1 + 13


@pytest.mark.parametrize(
    ("updated", "line"),
    [(False, "embeddings: running for 2 min"), (True, "embeddings: 3 of 4, 7 calls, about 40 s left")],
)
def test_a_step_that_reports_nothing_is_shown_as_it_is_by_then(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, updated: bool, line: str
) -> None:
    monkeypatch.setattr("resources.progress.LOOK_SECONDS", 0.01)
    lines: list[str] = []
    with progress("embeddings", lines.append, clock, terminal=lambda: None) as update:
        if updated:
            update(3, 4, lambda: "7 calls")
        clock.now += 120
        until(lambda: len(lines) == 2)
    assert lines == ["embeddings: started", line]


def test_the_time_left_follows_from_calls_where_they_are_counted(clock: Clock) -> None:
    """Ten dialogues of four calls: none has ended when half of the calls are answered."""
    lines: list[str] = []
    with progress("dialogues", lines.append, clock, terminal=lambda: None) as update:
        shown = RunProgress(update, calls=lambda: 20)
        clock.now += 100
        with shown.partition("debate|x-0000", 10, calls=40):
            pass
    assert lines == ["dialogues: started", "dialogues: 0 of 10, about 2 min left"]


def test_details_are_computed_only_when_they_are_shown(clock: Clock) -> None:
    def costly() -> str:
        raise AssertionError("nobody sees this")

    with progress("dialogues", lambda _: None, clock, terminal=lambda: None) as update:
        update(1, 2, costly)


def test_on_a_terminal_each_partition_in_progress_has_a_bar(clock: Clock) -> None:
    terminal = Terminal()
    with progress("dialogues", lambda _: None, clock, terminal=lambda: terminal) as update:
        update(
            5,
            20,
            lambda: "4 calls/s",
            lambda: [PartitionProgress("debate|x-0000", 3, 10, "1 set aside"), PartitionProgress("debate|y", 2, 10)],
        )
    for shown in ("dialogues", "5/20", "4 calls/s", "debate|x-0000", "3/10", "1 set aside", "debate|y"):
        assert shown in terminal.shown


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (720, "12 min"), (12_000, "3 h 20 min")])
def test_durations_have_a_fitting_unit(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_the_throughput_is_that_of_the_last_seconds(clock: Clock) -> None:
    usage = Usage()
    throughput = Throughput(usage, clock)
    for second in range(60):
        clock.now = float(second)
        usage.calls += 1 if second < 30 else 5
        usage.completion_tokens = 100 * usage.calls
        words = throughput.describe()
    assert words == "5 calls/s, 500 tokens/s"


def test_costs_and_replays_are_shown_if_there_are_any(clock: Clock) -> None:
    usage = Usage(calls=1200, prompt_tokens=3000, cost=1.5, replayed=7, retries=2)
    assert (
        Throughput(usage, clock).describe_total() == "1,200 calls, 3,000 tokens, $1.50, 7 from the journal, 2 retries"
    )
