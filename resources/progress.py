"""How far a long step is: bars on the terminal when a person's command runs it, else a log line now and then.

A command that runs steps in its own process can have some of these lines itself, see `report_progress_to`.
"""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_EVERY_SECONDS = 10.0
TELL_EVERY_SECONDS = 60.0
DRAW_EVERY_SECONDS = 0.2
SHOWN_PARTS = 8  # bars of partitions at once


_teller: ContextVar[Callable[[str], None] | None] = ContextVar("teller", default=None)


@contextmanager
def report_progress_to(teller: Callable[[str], None]) -> Iterator[None]:
    """A context in which the steps of this thread that draw no bars tell `teller` a line a minute."""
    token = _teller.set(teller)
    try:
        yield
    finally:
        _teller.reset(token)


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far one partition is."""

    name: str
    done: int
    total: int
    detail: str = ""


class Update(Protocol):
    """Tells how far the step is. Call it as often as you like: it shows what is sensible.

    Args:
        done: of the whole step.
        total: as far as it is known by now.
        detail: further words; where they take time, a function that is called only when they are shown.
        parts: the partitions that are under way, asked for likewise.
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
        title: what is being done.
        log: where lines go when no terminal is watched, such as `context.log.info`.
        clock: seconds, monotonic.
        terminal: opens the terminal that is watched, if one is.
    """
    opened = terminal()
    if opened is None:
        yield _Lines(title, log, clock)
        return
    # Only who watches waits for it to load.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeRemainingColumn(),
    )
    with opened, Progress(*columns, console=Console(file=opened, force_terminal=True), transient=True) as bars:
        yield _Bars(title, bars, clock)


class _Shown(ABC):
    """Shows what it is told, at most every so many seconds."""

    def __init__(self, clock: Callable[[], float], every: float, last: float) -> None:
        self._clock, self._every, self._last = clock, every, last

    def __call__(
        self,
        done: int,
        total: int,
        detail: str | Callable[[], str] = "",
        parts: Callable[[], Iterable[PartitionProgress]] = tuple,
    ) -> None:
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._show(done, total, detail if isinstance(detail, str) else detail(), parts)

    @abstractmethod
    def _show(self, done: int, total: int, detail: str, parts: Callable[[], Iterable[PartitionProgress]]) -> None: ...


class _Lines(_Shown):
    """A line every `LOG_EVERY_SECONDS`, and some of them to whoever asked to be told."""

    def __init__(self, title: str, log: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._title, self._log, self._started = title, log, clock()
        self._teller, self._told = _teller.get(), self._started
        super().__init__(clock, LOG_EVERY_SECONDS, self._started)

    def _show(self, done: int, total: int, detail: str, parts: Callable[[], Iterable[PartitionProgress]]) -> None:
        left = (total - done) * (self._last - self._started) / done if done else None
        words = [f"{done} of {total}", detail, f"about {format_duration(left)} left" if left is not None else ""]
        line = f"{self._title}: " + ", ".join(word for word in words if word)
        self._log(line)
        if self._teller and self._last - self._told >= TELL_EVERY_SECONDS:
            self._told = self._last
            self._teller(line)


class _Bars(_Shown):
    """A bar for the step, and below it one for each partition under way."""

    def __init__(self, title: str, bars: "Progress", clock: Callable[[], float]) -> None:
        self._bars = bars
        self._step = bars.add_task(title, total=None, detail="")
        self._parts: dict[str, TaskID] = {}
        super().__init__(clock, DRAW_EVERY_SECONDS, last=-DRAW_EVERY_SECONDS)

    def _show(self, done: int, total: int, detail: str, parts: Callable[[], Iterable[PartitionProgress]]) -> None:
        self._bars.update(self._step, completed=done, total=total, detail=detail)
        shown = {part.name: part for part in list(parts())[:SHOWN_PARTS]}
        for name in [name for name in self._parts if name not in shown]:
            self._bars.remove_task(self._parts.pop(name))
        for name, part in shown.items():
            if name not in self._parts:
                self._parts[name] = self._bars.add_task(f"  {name}", detail="")
            self._bars.update(self._parts[name], completed=part.done, total=part.total, detail=part.detail)


def format_duration(seconds: float) -> str:
    """A time as a person says it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
