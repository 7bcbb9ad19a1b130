"""How long the nightly schedule takes to find what is due among thousands of partitions, on disk and on S3.

    python -m benchmarks.nightly                              5,000 partitions in a folder
    python -m benchmarks.nightly --s3                         the same on a moto server on loopback (slower than S3)
    python -m benchmarks.nightly --partitions 20000 --tokens 1000000

A third of the partitions is missing, the others are current or stale. Writes an index alone: the partitions' files are
empty of rows, for a tick reads none. Prints seconds for each part of a tick; the figures stand in benchmarks/README.md.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dagster import DagsterInstance

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from assets.seeds.schema import SEEDS
from benchmarks.results_table import at_most, quick_options, show
from master_dagster.automation.nightly import plan_partitions
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.maintenance.record import record_lake
from master_dagster.settings import Settings
from resources.lake.format import FORMAT
from resources.lake.records import PartitionRecord
from resources.lake.store import LocalStore
from resources.lake.tables import Lake, Table


def write_index(lake: Lake, deployment: Deployment, partitions: int) -> None:
    """What a lake of so many partitions says in its index: the names of empty files."""
    expected = deployment.expected()
    now, plans = datetime.now(UTC), "0" * 32
    lake.store.put("lake.json", json.dumps({"format": FORMAT}).encode())
    for number in range(partitions // 3):
        shard = f"x-{number:04d}"
        mark(lake, SEEDS, {"source": "x", "shard": shard}, plans, now)
        mark(lake, DIALOGUE_PLANS, {"shard": shard}, plans, now)
        for place, scenario in enumerate(deployment.scenarios):
            dialogues, judged = expected.fingerprints(plans, "", scenario)
            if (number // 5 + place) % 3:
                keys = {"scenario": scenario, "shard": shard}
                mark(lake, DIALOGUES, keys, dialogues, now)
                mark(lake, SCORED, keys, judged if number % 7 else plans, now)


def mark(lake: Lake, table: Table, keys: dict[str, str], fingerprint: str, now: datetime) -> None:
    """One partition's entry, as `Lake.write` leaves it."""
    record = PartitionRecord(table.name, keys, now, fingerprint, "passed", 250)
    name = f"{record.written_at:%Y%m%dT%H%M%S%fZ}~{fingerprint}~passed~250.json"
    file = f"_index/{table.name}/{table.folder(keys)}/{name}"
    if isinstance(lake.store, LocalStore):
        path = lake.store.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")  # `put` syncs every file to the disk
    else:
        lake.store.put(file, b"{}")


@contextmanager
def opened(s3: bool) -> Iterator[str]:
    """An empty root."""
    if not s3:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
        return
    import logging
    import os

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="lake")
    try:
        yield "s3://lake/nightly"
    finally:
        server.stop()


def main() -> None:
    """Measure one tick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=5000)
    parser.add_argument("--s3", action="store_true", help="on a moto server instead of a folder")
    parser.add_argument("--tokens", type=int, help="a budget for the night")
    parser.add_argument("--record", action="store_true", help="also: a fresh instance learns what is there")
    quick_options(parser)
    given = parser.parse_args()
    with opened(given.s3) as root, tempfile.TemporaryDirectory() as home:
        settings = Settings(
            _env_file=None, lake_root=root, nightly_partitions=given.partitions, nightly_tokens=given.tokens
        )
        deployment = load_deployment(settings)
        lake = deployment.lake()
        write_index(lake, deployment, given.partitions)
        with DagsterInstance.local_temp(home) as instance:
            parts: dict[str, float] = {}

            @contextmanager
            def timed(part: str) -> Iterator[None]:
                began = time.perf_counter()
                yield
                parts[part] = time.perf_counter() - began

            with timed("shards registered in a fresh instance"):
                mirror_shards(lake, instance)
            with timed("the same on later nights"):
                mirror_shards(lake, instance)
            with timed("what a tick launches"):
                plan = plan_partitions(deployment, lake, instance, datetime.now(UTC))
            if given.quick:
                tick = sum(parts.values()) - parts["shards registered in a fresh instance"]
                show(
                    [at_most(f"A tick of the nightly schedule over {len(plan.statuses):,} partitions, s", tick, 60)],
                    given.json,
                )
                return
            if given.record:
                with timed("everything recorded in the instance"):
                    recorded = record_lake(lake, instance)
                print(recorded)
            where, summary = "S3 (moto)" if given.s3 else "disk", plan.choice.summary.splitlines()[0]
            print(f"{len(plan.statuses)} partitions on {where}: {summary}")
            print(f"{len(plan.runs)} runs")
            for part, seconds in parts.items():
                print(f"  {part:<36} {seconds:7.2f} s")


if __name__ == "__main__":
    assert Path("assets").is_dir(), "run it in the project's folder"
    main()
