"""How far a long step is: a bar on the terminal when a person's command runs it, else a log line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_EVERY_SECONDS = 10.0

Update = Callable[[int, int, str], None]


def watched_terminal() -> TextIO | None:
    """The terminal of the person who typed the command; None in the UI's run workers, in CI and behind a pipe.

    Dagster redirects stdout and stderr into log files while a step runs, so the bar goes to /dev/tty.
    """
    if "api" in sys.argv[1:2] or sys.__stdin__ is None or not sys.__stdin__.isatty():
        return None
    try:
        return Path("/dev/tty").open("w")
    except OSError:
        return None


@contextmanager
def progress(title: str, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Iterator[Update]:
    """A context that yields `update(done, total, detail)`. Call it as often as you like: it shows what is sensible.

    Args:
        title: what is being done.
        log: where lines go when no terminal is watched, such as `context.log.info`.
        clock: seconds, monotonic.
    """
    terminal = watched_terminal()
    if terminal is None:
        last = clock()

        def log_line(done: int, total: int, detail: str) -> None:
            nonlocal last
            if clock() - last >= LOG_EVERY_SECONDS:
                last = clock()
                log(f"{title}: {done} of {total}" + (f", {detail}" if detail else ""))

        yield log_line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeRemainingColumn(),
    )
    with terminal, Progress(*columns, console=Console(file=terminal), transient=True) as bar:
        task = bar.add_task(title, total=None, detail="")
        yield lambda done, total, detail: bar.update(task, completed=done, total=total, detail=detail)
