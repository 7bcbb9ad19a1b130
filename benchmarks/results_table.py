"""The results table of the benchmarks: one row per figure, with its target."""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

# rich is imported where a table is printed: the processes that are measured import this module too.

VERDICTS = {True: "[green]met[/]", False: "[red]falls short[/]", None: "–"}


@dataclass(frozen=True)
class Measured:
    """One figure. `met` is None where there is no target."""

    what: str
    measured: str
    target: str = "–"
    met: bool | None = None


def show(rows: Iterable[Measured], as_json: bool = False, title: str | None = None) -> None:
    """Print the rows: a table, or a line of JSON for another program."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("what", "measured", "target", "verdict"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.what, row.measured, row.target, VERDICTS[row.met])
    # What is no terminal has no width to keep to.
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)


def at_most(what: str, value: float, most: float, form: str = "{:.2f}") -> Measured:
    """A figure that is to be no more than `most`; `form` writes both."""
    return Measured(what, form.format(value), f"≤ {form.format(most)}", value <= most)


def at_least(what: str, value: float, least: float, form: str = "{:.2f}") -> Measured:
    """A figure that is to be no less than `least`."""
    return Measured(what, form.format(value), f"≥ {form.format(least)}", value >= least)


def quick_options(parser: argparse.ArgumentParser) -> None:
    """What every benchmark takes that `make bench` runs."""
    parser.add_argument(
        "--quick", action="store_true", help="the short form that `make bench` runs: rows, with targets"
    )
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)


def peak_mb() -> float:
    """Peak resident memory of this process since `forget_peak`, in MB."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) / 1024


def resident_mb() -> float:
    """Resident memory of this process now, in MB."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0]) / 1024


def forget_peak() -> None:
    """Reset `peak_mb` (Linux)."""
    with open("/proc/self/clear_refs", "w") as clear:  # noqa: PTH123
        clear.write("5")
