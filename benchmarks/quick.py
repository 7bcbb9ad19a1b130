"""The quick benchmarks, one after the other, and one table of what they measured: `make bench`.

Each is the short form (`--quick`) of a file beside this one, in processes of its own; a part that fails, or takes
longer than it may, is a row that says so. What other work does on the machine meanwhile shows in every figure of time.
"""

import json
import os
import subprocess
import sys
import time

from rich.console import Console

from benchmarks.results_table import Measured, show

PARTS = {
    "engine": 120,
    "overhead": 60,
    "graph": 90,
    "checks": 90,
    "nightly": 60,
    "lake": 60,
    "signals": 60,
    "evaluation": 60,
}  # seconds that each may take; half of it on a quiet machine


def part(name: str, seconds: int) -> list[Measured]:
    """The rows of one benchmark."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * patience())
    except subprocess.TimeoutExpired as late:
        return [Measured(name, f"not done after {late.timeout:.0f} s: the machine is busy", "–", None)]
    if done.returncode:
        return [Measured(name, f"failed: {done.stderr.strip().splitlines()[-1][:200]}", "runs", False)]
    return [Measured(**row) for row in json.loads(done.stdout.strip().splitlines()[-1])]


def patience() -> float:
    """How much longer than on a quiet machine a part may take under the present load."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def main() -> None:
    """Measure, and print one table."""
    console, began = Console(stderr=True, highlight=False), time.monotonic()
    rows: list[Measured] = []
    load = os.getloadavg()[0]
    for name, seconds in PARTS.items():
        with console.status(f"benchmarks/{name}.py …"):
            rows += part(name, seconds)
    taken = time.monotonic() - began
    show(rows, title=f"{taken:.0f} s; load {load:.1f} at the start on {os.cpu_count()} cores (benchmarks/README.md)")


if __name__ == "__main__":
    main()
