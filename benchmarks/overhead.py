"""Dagster's own share: from `dagster asset materialize` to the first call, the cost of a partition, and the imports.

    python -m benchmarks.overhead            all three
    python -m benchmarks.overhead --quick    one command only, and the imports, as `make bench` runs it

Fifty seeds in fifty shards, all played as debates by a fake endpoint without latency, so that a partition's own work is
four or six calls. The commands are those that a person types, in processes of their own. "Started" is when Dagster's
record says that the run's first step began. What a partition costs is the slope between a run of one and one of fifty;
the fifty are then run again, when nothing is left to do.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance

from benchmarks.actors import actors, found, get_json
from benchmarks.results_table import Measured, quick_options, show
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings import Settings
from master_dagster.steps import run_step

PARTITIONS = 50
SCENARIO = "debate"
OURS = ("assets", "resources", "master_dagster")
DAGSTERS = ("dagster", "dagster_shared", "dagster_pipes")
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """The environment of a command: this deployment, this instance, nothing else of ours."""
    chosen = {"lake_root": settings.lake_root, "seeds": settings.seeds, "profile": settings.profile}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))},
        **{f"MASTER_{name.upper()}": value for name, value in chosen.items()},
        "MASTER_PLAN_RULES": settings.plan_rules,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "DAGSTER_MODULE_NAME": "master_dagster.definitions",
    }


def prepare(settings: Settings, home: Path) -> None:
    """Everything up to the plans, in this process."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    definitions = build_definitions(load_deployment(settings))
    with DagsterInstance.from_config(str(home)) as instance:
        run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], ["sums"])
        run_step(definitions, instance, ["dialogue_plans"], list(instance.get_dynamic_partitions("shards")))


def materialize(url: str, given: dict[str, str], *which: str) -> dict[str, float]:
    """Run the command a person types: its seconds, those to the first call, CPU, and calls."""
    get_json(f"{url}/reset")
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "scenario_dialogues", *which]
    began_at, began = time.time(), time.monotonic()
    before = os.times()
    # Dagster takes DAGSTER_HOME from the working folder's .env before the environment's.
    done = subprocess.run(command, env=given, cwd=given["DAGSTER_HOME"], capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr[-3000:]
    seconds = time.monotonic() - began
    seen = get_json(f"{url}/stats")
    with DagsterInstance.from_config(given["DAGSTER_HOME"]) as instance:
        (newest,) = instance.get_runs(limit=1)
        started = instance.all_logs(newest.run_id, of_type=DagsterEventType.STEP_START)[0]
    return {
        "seconds": seconds,
        "cpu": after.children_user + after.children_system - before.children_user - before.children_system,
        "first": (seen["first"] or began) - began,
        "started": started.timestamp - began_at,
        "calls": seen["calls"],
    }


def runs(quick: bool) -> list[Measured]:
    """The commands, one after the other."""
    with actors() as url, tempfile.TemporaryDirectory() as folder:
        settings = found(Path(folder), url, PARTITIONS, shard_size=1, only=SCENARIO)
        home = Path(folder) / "home"
        prepare(settings, home)
        given = environment(settings, home)
        one = materialize(url, given, "--partition", f"{SCENARIO}|sums-0000")
        rows = [
            Measured(
                "`dagster asset materialize` to the first call",
                f"{one['first']:.1f} s; its first step began after {one['started']:.1f} s, all took "
                f"{one['seconds']:.1f} s ({one['cpu']:.1f} s of CPU)",
            )
        ]
        if quick:
            return rows
        everything = ("--partition-range", f"{SCENARIO}|sums-0000...{SCENARIO}|sums-{PARTITIONS - 1:04d}")
        many = materialize(url, given, *everything)
        again = materialize(url, given, *everything)
        for what, run in (
            (f"A partition in a run of {PARTITIONS} of one seed", many),
            ("The same, nothing left to do", again),
        ):
            milliseconds, cpu = ((run[name] - one[name]) / (PARTITIONS - 1) * 1000 for name in ("seconds", "cpu"))
            rows.append(Measured(what, f"{milliseconds:.0f} ms ({cpu:.0f} ms of CPU); {run['calls']} calls"))
        return rows


def imports() -> Measured:
    """What loading the code location takes, by whose modules they are."""
    command = [sys.executable, "-X", "importtime", "-c", "import master_dagster.definitions"]
    before = os.times()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = os.times()
    spent: Counter[str] = Counter()
    for microseconds, module in IMPORT_LINE.findall(done.stderr):
        package = module.split(".")[0]
        spent["ours" if package in OURS else "Dagster" if package in DAGSTERS else package] += int(microseconds)
    total = spent.total()
    largest = ", ".join(f"{name} {time / total:.0%}" for name, time in spent.most_common(8))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured("Loading the code location", f"{total / 1e6:.1f} s ({cpu:.1f} s of CPU): {largest}")


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick_options(parser)
    options = parser.parse_args()
    show([imports(), *runs(options.quick)], options.json)


if __name__ == "__main__":
    main()
