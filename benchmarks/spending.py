"""What was paid, read for a lake of many dialogues: what `status` and the asset `spending` do.

    python -m benchmarks.spending                      200 partitions of 500 dialogues, 400 records of engines

The lake is made up; making it is not measured.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.spending.spending import read_rows, write_spending
from assets.spending.summary import spending_metadata
from benchmarks.results_table import Measured, peak_mb, show
from resources.chat.spending_log import FOLDER
from resources.identity import stable_hash
from resources.lake.tables import Lake
from tests.tiny_lake import TinyDialogue, TinyLake

CALLS = {"calls": 500, "prompt_tokens": 300_000, "cached_tokens": 100_000, "completion_tokens": 90_000, "cost": 0.5}
ROLES = ((DIALOGUES, "debater_a"), (DIALOGUES, "debater_b"), (SCORED, "judge"))


def make_lake(root: str, partitions: int, dialogues: int) -> Lake:
    """A lake with so many partitions of so many dialogues, and the records of the engines that paid for them."""
    tiny = TinyLake(Lake.at(root))
    tiny.add(TinyDialogue("one", "1 + 1?", "2", "debate"))
    lake, usage = tiny.lake, {"prompt_tokens": 600_000, "completion_tokens": 180_000, "cost": 1.0}
    rows = {table.name: lake.read(table) for table in (DIALOGUES, SCORED)}
    for number in range(partitions):
        shard = f"sums-{number:04d}"
        ids = pl.Series("dialogue_id", [stable_hash(shard, one) for one in range(dialogues)])
        for table in (DIALOGUES, SCORED):
            frame = pl.concat([rows[table.name]] * dialogues)
            frame = frame.with_columns(ids, ids.alias("seed_id"), pl.lit(shard).alias("shard"))
            keys = {"scenario": "debate", "shard": shard}
            lake.write(table, keys, frame, fingerprint=shard, facts={"usage": usage})
            paid: list[dict[str, Any]] = [
                {"day": f"2026-01-{1 + number % 28:02d}", "run": shard, "scope": f"{table.name}/debate|{shard}"}
                | {"role": role, "model": role, "batch": False, **CALLS}
                for asked, role in ROLES
                if asked is table
            ]
            lake.store.put(f"{FOLDER}/{table.name}-{number}.json", json.dumps({"rows": paid}).encode())
    return lake


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that `work` takes, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    """Print the seconds of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--dialogues", type=int, default=500, help="of each partition")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        lake = make_lake(root, options.partitions, options.dialogues)
        reading, rows = timed(lambda: read_rows(lake))
        writing, _ = timed(lambda: write_spending(lake))
        showing, _ = timed(lambda: spending_metadata(lake, rows))
    seconds = {"read, as status does": reading, "read and written": writing, "tables and plot": showing}
    named = [Measured(what, f"{found:.2f} s") for what, found in seconds.items()]
    show([*named, Measured("rows", f"{rows.height:,}"), Measured("peak memory", f"{peak_mb():.0f} MB")])


if __name__ == "__main__":
    main()
