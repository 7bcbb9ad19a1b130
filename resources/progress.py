"""How far a long step is: bars on the terminal of the person who started it, else log lines.

A command that runs steps in its own process can receive some of these lines, see `report_progress_to`.
"""

import sys
import threading
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
LOOK_SECONDS = 5.0  # how often a step that reports nothing is looked at
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
        share: returns how much of the work is done (0..1), where that is known better than by `done` of `total`.
    """

    def __call__(
        self,
        done: int,
        total: int,
        detail: str | Callable[[], str] = "",
        parts: Callable[[], Iterable[PartitionProgress]] = tuple,
        share: Callable[[], float] | None = None,
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

    The first line is logged at once. A step that reports nothing for a while is shown as it is by then.

    Args:
        title: what the step makes.
        log: receives lines where there is no terminal, such as `context.log.info`.
        clock: seconds, monotonic.
        terminal: opens the terminal, if there is one.
    """
    opened = terminal()
    if opened is None:
        log(f"{title}: started")
        shown = _Shown(LOG_EVERY_SECONDS, clock, clock(), _lines(title, log, clock))
        with _called_every(LOOK_SECONDS, shown.repeat):
            yield shown
        return
    from rich.console import Console  # takes a while to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeRemainingColumn(),
    )
    with opened, Progress(*columns, console=Console(file=opened, force_terminal=True), transient=True) as bars:
        yield _Shown(DRAW_EVERY_SECONDS, clock, -DRAW_EVERY_SECONDS, _bars(title, bars))


@contextmanager
def _called_every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something every so many seconds, in a thread of its own, while the context is open."""
    ended = threading.Event()

    def calls() -> None:
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=calls, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class _State:
    """What an update reports; see `Update`."""

    done: int = 0
    total: int = 0
    detail: str | Callable[[], str] = ""
    parts: Callable[[], Iterable[PartitionProgress]] = tuple
    share: Callable[[], float] | None = None

    @property
    def words(self) -> str:
        """The detail as text."""
        return self.detail if isinstance(self.detail, str) else self.detail()

    @property
    def share_done(self) -> float:
        """How much of the work is done, 0..1."""
        return self.share() if self.share else self.done / max(self.total, 1)


class _Shown:
    """An `Update` that shows the newest state at most every so many seconds."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], since: float, show: Callable[[_State], None]
    ) -> None:
        self._seconds, self._clock, self._since, self._show = seconds, clock, since, show
        self._newest = _State()
        self._lock = threading.Lock()  # words of a state are computed by one thread at a time

    def __call__(
        self,
        done: int,
        total: int,
        detail: str | Callable[[], str] = "",
        parts: Callable[[], Iterable[PartitionProgress]] = tuple,
        share: Callable[[], float] | None = None,
    ) -> None:
        self._newest = _State(done, total, detail, parts, share)
        self._show_after(self._seconds)

    def repeat(self) -> None:
        """Show the newest state again: often where its numbers go on, and else once per minute."""
        self._show_after(self._seconds if self._newest.total else REPORT_EVERY_SECONDS)

    def _show_after(self, seconds: float) -> None:
        with self._lock:
            if self._clock() - self._since >= seconds:
                self._since = self._clock()
                self._show(self._newest)


def _lines(title: str, log: Callable[[str], None], clock: Callable[[], float]) -> Callable[[_State], None]:
    """Log lines; one every `REPORT_EVERY_SECONDS` also goes to the receiver."""
    started = reported = clock()
    receiver = _receiver.get()

    def show(state: _State) -> None:
        nonlocal reported
        now = clock()
        count = f"{state.done} of {state.total}" if state.total else f"running for {format_duration(now - started)}"
        share = state.share_done
        left = f"about {format_duration((now - started) * (1 - share) / share)} left" if share else ""
        line = f"{title}: " + ", ".join(word for word in (count, state.words, left) if word)
        log(line)
        if receiver and now - reported >= REPORT_EVERY_SECONDS:
            reported = now
            receiver(line)

    return show


def _bars(title: str, bars: "Progress") -> Callable[[_State], None]:
    """A bar for the step, and below it one for each partition in progress."""
    step = bars.add_task(title, total=None, detail="", count="")
    partitions: dict[str, TaskID] = {}

    def show(state: _State) -> None:
        count = f"{state.done}/{state.total}"
        bars.update(step, completed=state.share_done, total=1, detail=state.words, count=count)
        shown = {part.name: part for part in list(state.parts())[:SHOWN_PARTITIONS]}
        for name in partitions.keys() - shown:
            bars.remove_task(partitions.pop(name))
        for name, part in shown.items():
            if name not in partitions:
                partitions[name] = bars.add_task(f"  {name}", detail="", count="")
            count = f"{part.done}/{part.total}"
            bars.update(partitions[name], completed=part.done, total=part.total, detail=part.detail, count=count)

    return show


def format_duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
