"""Writing and reading a partition through the lake, beside plain pyarrow on the same rows and the same disk.

    python -m benchmarks.lake                      10,000 dialogues
    python -m benchmarks.lake --dialogues 1000 --folder /mnt/lake

Both sides write zstd Parquet of all columns, and what is read is a frame (lake) or a table (pyarrow). The lake also
checks every row against the schema, makes the file durable (fsync) before it is visible, and notes it in its index;
these parts are timed on their own. Prints medians of several rounds, in which the sides take turns: of seconds, and of
seconds of CPU, which say more where others use the machine too.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from assets.dialogues.schema import DIALOGUES
from benchmarks.results_table import at_most, quick_options, show
from benchmarks.synthetic import dialogue
from resources.lake.tables import Lake

CHECKS = "part: the schema's checks"
KEYS = {"scenario": "debate", "shard": "synthetic-0000"}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that `work` takes, and seconds of CPU."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - busy


def durable(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def measure(folder: Path, count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds, and median seconds of CPU, of each operation."""
    frame = DIALOGUES.frame([dialogue(number) for number in range(count)])
    table = frame.to_arrow()
    lake = Lake.at(str(folder / "lake"))
    plain, synced = folder / "plain.parquet", folder / "synced.parquet"

    def write_synced() -> None:
        pq.write_table(table, synced, compression="zstd")
        durable(synced)

    operations: dict[str, Callable[[], object]] = {
        "write: pyarrow": lambda: pq.write_table(table, plain, compression="zstd"),
        "write: pyarrow and fsync": write_synced,
        "write: lake": lambda: lake.write(DIALOGUES, KEYS, frame, fingerprint="0" * 16),
        CHECKS: lambda: DIALOGUES.schema.validate(frame, lazy=True),
        "part: encoding": lambda: frame.write_parquet(io.BytesIO(), compression="zstd", compression_level=1),
        "read: pyarrow": lambda: pq.read_table(plain),
        "read: pyarrow, then polars": lambda: pl.from_arrow(pq.read_table(plain)),
        "read: lake": lambda: lake.read(DIALOGUES, [KEYS]),
        "read: lake, two columns": lambda: lake.read(DIALOGUES, [KEYS], ["dialogue_id", "status"]),
        "read: lake, record": lambda: lake.record(DIALOGUES, KEYS),
    }
    seconds = defaultdict(list)
    for _ in range(rounds):
        for name, work in operations.items():
            seconds[name].append(timed(work))
    sizes = (plain.stat().st_size, lake.store.list(DIALOGUES.name)[0].size)
    print(f"{count} dialogues; file of pyarrow {sizes[0]:,} bytes, of the lake {sizes[1]:,} bytes", file=sys.stderr)
    medians = {}
    for name, found in seconds.items():
        walls, busy = zip(*found, strict=True)
        medians[name] = (statistics.median(walls), statistics.median(busy))
    return medians


def ratio(seconds: dict[str, tuple[float, float]], ours: str, plain: str) -> float:
    """Wall-clock seconds of one operation as a multiple of another's."""
    return seconds[ours][0] / seconds[plain][0]


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    quick_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        seconds = measure(Path(folder), options.dialogues, options.rounds)
    if options.quick:
        rows = [
            at_most(
                "A partition written, x pyarrow with an fsync",
                ratio(seconds, "write: lake", "write: pyarrow and fsync"),
                1.2,
            ),
            at_most("… and read, x pyarrow", ratio(seconds, "read: lake", "read: pyarrow"), 1.2),
        ]
        show(rows, options.json)
        return
    for name, (wall, busy) in seconds.items():
        print(f"{name:<28} {wall * 1000:8.1f} ms {busy * 1000:8.1f} ms of CPU")
    for lake, plain in (
        ("write: lake", "write: pyarrow"),
        ("write: lake", "write: pyarrow and fsync"),
        ("read: lake", "read: pyarrow"),
        (CHECKS, "write: lake"),
    ):
        wall, busy = (seconds[lake][side] / seconds[plain][side] for side in (0, 1))
        print(f"{lake} / {plain}: {wall:.2f}, of CPU {busy:.2f}")


if __name__ == "__main__":
    main()
