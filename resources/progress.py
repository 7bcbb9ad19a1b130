"""How far a long step is: bars on the terminal of the person who started it, else log lines.

A command that runs steps in its own process can receive some of these lines, see `report_progress_to`.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_EVERY_SECONDS = 10.0
REPORT_EVERY_SECONDS = 60.0
DRAW_EVERY_SECONDS = 0.2
SHOWN_PARTITIONS = 8  # bars of partitions at once

_receiver: ContextVar[Callable[[str], None] | None] = ContextVar("receiver", default=None)


@contextmanager
def report_progress_to(receive: Callable[[str], None]) -> Iterator[None]:
    """A context in which the steps of this thread that draw no bars pass one line per minute to `receive`."""
    token = _receiver.set(receive)
    try:
        yield
    finally:
        _receiver.reset(token)


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far one partition is."""

    name: str
    done: int
    total: int
    detail: str = ""


class Update(Protocol):
    """Reports how far the step is. It may be called often; it shows something now and then.

    Args:
        done: of the whole step.
        total: as far as it is known by now.
        detail: further text, or a function that returns it and is called only when it is shown.
        parts: returns the partitions in progress; it is called only when they are shown.
    """

    def __call__(
        self,
        done: int,
        total: int,
        detail: str | Callable[[], str] = "",
        parts: Callable[[], Iterable[PartitionProgress]] = tuple,
    ) -> None: ...


def watched_terminal() -> TextIO | None:
    """The terminal of the person who typed the command; None in the UI's run workers, in CI and behind a pipe.

    Dagster redirects stdout and stderr into log files while a step runs, so the bars go to /dev/tty.
    """
    if "api" in sys.argv[1:2] or sys.__stdin__ is None or not sys.__stdin__.isatty():
        return None
    try:
        return Path("/dev/tty").open("w")
    except OSError:
        return None


@contextmanager
def progress(
    title: str,
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    terminal: Callable[[], TextIO | None] = watched_terminal,
) -> Iterator[Update]:
    """A context that yields an `Update`: a bar for the step and one for each partition, or log lines.

    Args:
        title: what the step makes.
        log: receives lines where there is no terminal, such as `context.log.info`.
        clock: seconds, monotonic.
        terminal: opens the terminal, if there is one.
    """
    opened = terminal()
    if opened is None:
        yield _at_most_every(LOG_EVERY_SECONDS, clock, clock(), _lines(title, log, clock))
        return
    from rich.console import Console  # takes a while to import
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeRemainingColumn(),
    )
    with opened, Progress(*columns, console=Console(file=opened, force_terminal=True), transient=True) as bars:
        yield _at_most_every(DRAW_EVERY_SECONDS, clock, -DRAW_EVERY_SECONDS, _bars(title, bars))


def _at_most_every(seconds: float, clock: Callable[[], float], since: float, show: "_Show") -> Update:
    """An `Update` that calls `show` only when that many seconds have passed since the last time."""

    def update(
        done: int,
        total: int,
        detail: str | Callable[[], str] = "",
        parts: Callable[[], Iterable[PartitionProgress]] = tuple,
    ) -> None:
        nonlocal since
        if clock() - since >= seconds:
            since = clock()
            show(done, total, detail if isinstance(detail, str) else detail(), parts)

    return update


_Show = Callable[[int, int, str, Callable[[], Iterable[PartitionProgress]]], None]


def _lines(title: str, log: Callable[[str], None], clock: Callable[[], float]) -> _Show:
    """Log lines; one every `REPORT_EVERY_SECONDS` also goes to the receiver."""
    started = reported = clock()
    receiver = _receiver.get()

    def show(done: int, total: int, detail: str, parts: object) -> None:
        nonlocal reported
        now = clock()
        left = f"about {format_duration((total - done) * (now - started) / done)} left" if done else ""
        line = f"{title}: " + ", ".join(word for word in (f"{done} of {total}", detail, left) if word)
        log(line)
        if receiver and now - reported >= REPORT_EVERY_SECONDS:
            reported = now
            receiver(line)

    return show


def _bars(title: str, bars: "Progress") -> _Show:
    """A bar for the step, and below it one for each partition in progress."""
    step = bars.add_task(title, total=None, detail="")
    partitions: dict[str, TaskID] = {}

    def show(done: int, total: int, detail: str, parts: Callable[[], Iterable[PartitionProgress]]) -> None:
        bars.update(step, completed=done, total=total, detail=detail)
        shown = {part.name: part for part in list(parts())[:SHOWN_PARTITIONS]}
        for name in partitions.keys() - shown:
            bars.remove_task(partitions.pop(name))
        for name, part in shown.items():
            if name not in partitions:
                partitions[name] = bars.add_task(f"  {name}", detail="")
            bars.update(partitions[name], completed=part.done, total=part.total, detail=part.detail)

    return show


def format_duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
