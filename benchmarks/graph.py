"""So many seeds through the whole graph, on a fake endpoint without latency: time and peak memory of each stage.

    python -m benchmarks.graph                               1,000 seeds
    python -m benchmarks.graph --seeds 5000 19000 100000     is peak memory flat in the number of seeds?
    python -m benchmarks.graph --seeds 2000 5000 10000 20000 --apart     what does a seed more cost each stage?
    python -m benchmarks.graph --quick                       300 seeds, as `make bench` runs it

Each size runs in a process of its own with a fresh lake and instance (SQLite), every stage in one run over all its
partitions, with its checks, as the demo does; the endpoint is another process. "in ours" is the time inside the assets'
and checks' functions, "Dagster" what is left of the run, and the share is Dagster's of the whole. "resident" is the
memory at a stage's start, "peak" the most that it reached. What one stage gave back, the allocators keep for the next:
with `--apart` each stage begins in a process of its own, and what one more seed costs it can be seen.
"""

import argparse
import functools
import inspect
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster
from rich.console import Console
from rich.table import Table

from benchmarks.actors import actors, found, get_json
from benchmarks.results_table import Measured, forget_peak, peak_mb, quick_options, resident_mb, show

STAGES = (
    "raw_seeds",
    "seed_embeddings",
    "dialogue_plans",
    "scenario_dialogues",
    "scored_dialogues",
    "boost_qa",
    "training_sets",
)

inside = 0.0  # seconds that the assets' and checks' functions took, so far


def clocked(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what it takes counts as inside."""

    @functools.wraps(work)
    def call(*given: Any, **named: Any) -> Any:
        global inside
        began = time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            inside += time.perf_counter() - began

    @functools.wraps(work)
    def generate(*given: Any, **named: Any) -> Iterator[Any]:
        results = work(*given, **named)
        following = clocked(lambda: next(results, None))
        while (result := following()) is not None:
            yield result

    return generate if inspect.isgeneratorfunction(work) else call


def clock_decorator(name: str) -> None:
    """Let one of Dagster's decorators clock all functions that it is given from now on."""
    decorator = getattr(dagster, name)

    def decorate(*given: Any, **named: Any) -> Any:
        if given and callable(given[0]):
            return decorator(clocked(given[0]), **named)
        return lambda work: decorator(*given, **named)(clocked(work))

    setattr(dagster, name, decorate)


def materialise_graph(folder: Path, url: str, seeds: int, stages: Sequence[str]) -> list[dict[str, Any]]:
    """These stages over so many seeds, in this process: what each took. Those before them are done."""
    for name in ("asset", "asset_check", "multi_asset_check"):
        clock_decorator(name)
    from assets.framework.partitions import SHARDS
    from master_dagster.deployment import load_deployment
    from master_dagster.graph import build_definitions
    from master_dagster.steps import run_step

    deployment = load_deployment(found(folder, url, seeds))
    definitions = build_definitions(deployment)
    scenarios = list(deployment.scenarios)
    measured: list[dict[str, Any]] = []
    (folder / "home").mkdir(exist_ok=True)
    with dagster.DagsterInstance.local_temp(str(folder / "home"), {"telemetry": {"enabled": False}}) as instance:

        def keys_of(stage: str) -> list[str] | None:
            shards = list(instance.get_dynamic_partitions(SHARDS))
            match stage:
                case "raw_seeds" | "seed_embeddings":
                    return ["sums"]
                case "dialogue_plans":
                    return shards
                case "scenario_dialogues" | "scored_dialogues":
                    return [f"{scenarios[0]}|{shards[0]}", f"{scenarios[-1]}|{shards[-1]}"]
                case "training_sets":
                    return ["boost_qa"]
            return None

        for name in stages:
            keys = keys_of(name)
            forget_peak()
            before, resident, busy, began = inside, resident_mb(), time.process_time(), time.perf_counter()
            run_step(definitions, instance, [name], keys)
            seconds = time.perf_counter() - began
            calls = get_json(f"{url}/stats")["calls"]
            get_json(f"{url}/reset")
            measured.append(
                {
                    "stage": name,
                    "seconds": seconds,
                    "cpu": time.process_time() - busy,
                    "ours": inside - before,
                    "dagster": seconds - (inside - before),
                    "resident": resident,
                    "peak": peak_mb(),
                    "calls": calls,
                }
            )
    return measured


def measure(seeds: int, url: str, quiet: bool, apart: bool = False) -> list[dict[str, Any]]:
    """All stages over so many seeds in a process of their own, or each in its own."""
    with tempfile.TemporaryDirectory() as folder:
        get_json(f"{url}/reset")
        measured: list[dict[str, Any]] = []
        for stages in [[stage] for stage in STAGES] if apart else [STAGES]:
            command = [sys.executable, "-m", "benchmarks.graph", "--drive", folder, url, str(seeds), *stages]
            subprocess.run(command, check=True, stdout=sys.stderr if not quiet else subprocess.DEVNULL)
            measured += json.loads((Path(folder) / "measured.json").read_text())
        return measured


def tabulate(seeds: int, stages: list[dict[str, Any]]) -> Table:
    """One size's stages, and their sum."""
    table = Table(title=f"{seeds:,} seeds", title_justify="left")
    for column in ("stage", "seconds", "CPU s", "in ours", "Dagster", "share", "resident MB", "peak MB", "calls"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    sums = {name: sum(stage[name] for stage in stages) for name in ("seconds", "cpu", "ours", "dagster", "calls")}
    whole = {"stage": "all", **sums, "resident": stages[0]["resident"], "peak": max(stage["peak"] for stage in stages)}
    for stage in [*stages, whole]:
        table.add_row(
            stage["stage"],
            *(f"{stage[name]:.1f}" for name in ("seconds", "cpu", "ours", "dagster")),
            f"{stage['dagster'] / stage['seconds']:.0%}",
            *(f"{stage[name]:,.0f}" for name in ("resident", "peak", "calls")),
            end_section=stage is stages[-1],
        )
    return table


def tabulate_peaks(sizes: Mapping[int, list[dict[str, Any]]]) -> Table:
    """Each stage's peak at each size, and what one more seed costs from the smallest to the largest."""
    table = Table(title="peak MB of each stage in a process of its own", title_justify="left")
    for column in ("stage", "resident", *(f"{seeds:,} seeds" for seeds in sizes), "KB per seed"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    fewest, most = min(sizes), max(sizes)
    for place, name in enumerate(STAGES):
        peaks = {seeds: stages[place]["peak"] for seeds, stages in sizes.items()}
        slope = (peaks[most] - peaks[fewest]) / (most - fewest) * 1024 if most > fewest else float("nan")
        figures = [sizes[most][place]["resident"], *peaks.values()]
        table.add_row(name, *(f"{figure:,.0f}" for figure in figures), f"{slope:.1f}")
    return table


def main() -> None:
    """Measure every size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000])
    parser.add_argument("--apart", action="store_true", help="each stage in a process of its own")
    quick_options(parser)
    parser.add_argument("--drive", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        folder, url, seeds, *stages = options.drive
        (Path(folder) / "measured.json").write_text(
            json.dumps(materialise_graph(Path(folder), url, int(seeds), stages))
        )
        return
    with actors() as url:
        if options.apart:
            sizes = {seeds: measure(seeds, url, options.json, apart=True) for seeds in options.seeds}
            Console(width=120, highlight=False).print(tabulate_peaks(sizes))
            return
        for seeds in [300] if options.quick else options.seeds:
            stages = measure(seeds, url, options.json)
            if options.quick:
                seconds = sum(stage["seconds"] for stage in stages)
                share = sum(stage["dagster"] for stage in stages) / seconds
                peak = max(stage["peak"] for stage in stages)
                told_rows = [
                    Measured(f"{seeds} seeds through the graph", f"{seconds:.1f} s, peak {peak:.0f} MB"),
                    Measured("Dagster's own share of it", f"{share:.0%}"),
                ]
                show(told_rows, options.json)
            else:
                Console(width=120, highlight=False).print(tabulate(seeds, stages))


if __name__ == "__main__":
    main()
