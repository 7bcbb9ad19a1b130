"""All asset checks over a big synthetic lake: time and peak memory of each asset's.

    python -m benchmarks.checks                                     100,000 dialogues
    python -m benchmarks.checks --dialogues 1000000 --no-release    the release alone would take minutes to make
    python -m benchmarks.checks --quick                             20,000, as `make bench` runs it

The lake is written column by column, not taught: one source, shards of 9,000 seeds, partitions of 3,000 short dialogues,
vectors of 64 numbers. A release and the training sets `boost_qa` and `ori` are made of it the usual way. Then every
asset's checks run as when they are started by hand, over whole tables, one asset's after the other in one process; it
holds 280 MB when the code location is loaded. Making the lake counts for nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from dagster import AssetKey, AssetSelection, DagsterInstance, Definitions, define_asset_job
from rich.console import Console
from rich.table import Table as RichTable

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.sharegpt_roles import side_of, speakers
from assets.framework.partitions import SHARDS, Scenario
from assets.quality.partition_status import expected_fingerprints
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from assets.seeds.sampling import seed_id
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS
from benchmarks.made_up import VOCABULARY
from benchmarks.measured import Measured, forget_peak, peak_mb, quick_options, show
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from master_dagster.deployment import Deployment, Settings, load_deployment
from resources.lake.tables import Lake, Table

SHARD = 9_000
SOURCE = "made_up"
DIMENSIONS = 64
LIMIT_MB = 2000
CHECKED = ("raw_seeds", "seed_embeddings", "dialogue_plans", "scenario_dialogues", "scored_dialogues")
RELEASED = ("boost_qa", "training_sets")


# ---- the lake


def deployment_at(folder: Path) -> Deployment:
    """The usual rules over a lake in `folder`, one source."""
    seeds = folder / "seeds.yaml"
    fields = "{question: question, answer: answer}"
    seeds.write_text(
        f"shard_size: {SHARD}\nsources:\n  - {{name: {SOURCE}, files: [none.jsonl], fields: {fields}, domain: general, "
        "licence: CC0-1.0}\n"
    )
    return load_deployment(Settings(_env_file=None, lake_root=str(folder / "lake"), seeds=str(seeds)))


def write_lake(deployment: Deployment, dialogues: int) -> None:
    """Every table of a lake with so many dialogues, shard by shard."""
    lake = deployment.lake()
    expected = expected_fingerprints(deployment.profile, deployment.prompts, deployment.quality_rules)
    words = np.random.default_rng(0)
    pool = [" ".join(words.choice(VOCABULARY, 24)) for _ in range(4000)]
    for number, first in enumerate(range(0, dialogues, SHARD)):
        shard = f"{SOURCE}-{number:04d}"
        rows = told(pool, first, min(SHARD, dialogues - first), dialogues).with_columns(shard=pl.lit(shard))
        keys = {"source": SOURCE, "shard": shard}
        write(lake, SEEDS, keys, rows, "seeds")
        write(lake, EMBEDDINGS, keys, rows.with_columns(vector=vectors(rows.height, number)), "vectors")
        plans = f"{number:032d}"
        write(lake, DIALOGUE_PLANS, {"shard": shard}, rows, plans)
        for scenario in Scenario:
            ours = rows.filter(scenario=scenario.value).with_columns(turns=turns(scenario))
            partition = {"scenario": scenario.value, "shard": shard}
            taught, scored = expected(plans, "", scenario)
            write(lake, DIALOGUES, partition, ours, taught)
            write(lake, SCORED, partition, ours, scored)
    reading = {
        **dict.fromkeys(("rejected", "repeated", "beyond_sample", "retracted", "held"), 0),
        **{"source": SOURCE, "reading": 1, "read_at": datetime.now(UTC), "rows": dialogues, "added": dialogues},
        "shard_size": SHARD,
    }
    lake.write(READINGS, {"source": SOURCE}, READINGS.frame([reading]), fingerprint="readings")
    lake.write(REJECTS, {"source": SOURCE}, REJECTS.empty(), fingerprint="rejects")


def write(lake: Lake, table: Table, keys: dict[str, str], rows: pl.DataFrame, fingerprint: str) -> None:
    """The table's columns of these rows; those that they lack are null."""
    columns = [
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in table.columns.items()
    ]
    lake.write(table, keys, rows.select(columns), fingerprint=fingerprint)


def told(pool: list[str], first: int, count: int, total: int) -> pl.DataFrame:
    """Seeds `first` … with all that is ever told of them; the partner of an analogy is another seed of its split."""
    numbers = range(first, first + count)

    def question(number: int) -> str:
        return f"{pool[number % len(pool)]} {number} {pool[(7 * number + number // len(pool)) % len(pool)]}?"

    def named(number: int) -> str:
        return seed_id(SOURCE, question(number), f"{pool[(number + 1) % len(pool)]} {number}.")

    scenarios = [scenario.value for scenario in Scenario]
    rows = pl.DataFrame(
        {
            "number": numbers,
            "question": [question(number) for number in numbers],
            "answer": [f"{pool[(number + 1) % len(pool)]} {number}." for number in numbers],
            "seed_id": [named(number) for number in numbers],
            "dialogue_id": [md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in numbers],
            "scenario": [scenarios[number % 3] for number in numbers],
            "partner_seed_id": [
                named((number + 60) % total) if scenarios[number % 3] == "analogy" else None for number in numbers
            ],
        },
        schema_overrides={"partner_seed_id": pl.String},
    )
    twentieth = pl.col("number") % 20
    rejected = pl.col("number") % 7 == 0
    return rows.with_columns(
        source=pl.lit(SOURCE),
        reading=1,
        domain=pl.lit("general"),
        representative="seed_id",
        licence=pl.lit("CC0-1.0"),
        origin_file=pl.lit("none.jsonl"),
        origin_row="number",
        embedder=pl.lit("none"),
        split=pl.when(twentieth < 18)
        .then(pl.lit("train"))
        .when(twentieth == 18)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("test")),
        drawn_scenario="scenario",
        debate_rounds=pl.when(scenario="debate").then(pl.col("number") // 3 % 2 + 1),
        partner_similarity=pl.when(scenario="analogy").then(0.8),
        generation=0,
        status=pl.lit("complete"),
        discarded=pl.lit([], pl.List(pl.Null)),
        first_answer=pl.when(pl.col("number") % 2 == 0).then(pl.lit("wrong")).otherwise(pl.lit("right")),
        prompt_tokens=300,
        completion_tokens=100,
        structure_ok=True,
        final_answer=pl.lit("unknown"),
        reference_overlap=0.9,
        betrays_reference=False,
        copied_share=0.0,
        english=True,
        repetition=0.0,
        words=100,
        truncated=False,
        refused=False,
        secrets=0,
        judge_status=pl.lit("judged"),
        judge_correct=~rejected,
        judge_error_class=pl.when(rejected).then(pl.lit("wrong_step")).otherwise(pl.lit("none")),
        judge_reason=pl.lit("It was looked at."),
        judge_model=pl.lit("made-up"),
        quality_score=0.9,
        accepted=~rejected,
        rejection_reasons=pl.when(rejected).then(pl.lit(["judged_wrong"])).otherwise(pl.lit([], pl.List(pl.String))),
        decided_by=pl.lit("rules"),
    )


def turns(scenario: Scenario) -> pl.Expr:
    """What is said, in the scenario's order; in a debate as many rounds as are planned."""

    def said(rounds: int) -> pl.Expr:
        who = speakers(scenario, rounds)
        return pl.concat_list(
            pl.struct(
                speaker=pl.lit(speaker),
                side=pl.lit(side_of(scenario, speaker)),
                text=pl.format("{} {}", pl.col("answer" if place else "question"), pl.lit(place)),
                trains=pl.lit(side_of(scenario, speaker) == "gpt"),
                model=pl.lit("made-up"),
                temperature=pl.lit(0.2),
                finish_reason=pl.lit("stop"),
                prompt_tokens=pl.lit(100),
                completion_tokens=pl.lit(40),
                prompt_version=pl.lit("0123456789abcdef"),
            )
            for place, speaker in enumerate(who)
        )

    named = [field.name for field in DIALOGUES.columns["turns"].inner.fields]  # type: ignore[attr-defined]
    both = pl.when(pl.col("debate_rounds") == 2).then(said(2)).otherwise(said(1))
    given = both if scenario is Scenario.DEBATE else said(1)
    columns = ("speaker", "side", "text", "trains", "model", "temperature", "finish_reason", "prompt_tokens")
    there = {*columns, "completion_tokens", "prompt_version"}
    element = pl.element()
    return given.list.eval(
        pl.struct([element.struct.field(name) if name in there else pl.lit(None).alias(name) for name in named])
    )


def vectors(count: int, number: int) -> pl.Series:
    """Random unit vectors."""
    drawn = np.random.default_rng(number).standard_normal((count, DIMENSIONS), dtype=np.float32)
    return pl.Series(drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).arr.to_list()


# ---- the checks


@contextmanager
def told_instance(folder: Path) -> Iterator[DagsterInstance]:
    """An instance of its own."""
    folder.mkdir(exist_ok=True)
    with DagsterInstance.local_temp(str(folder), {"telemetry": {"enabled": False}}) as instance:
        yield instance


def make_release(folder: Path) -> None:
    """A release of the lake and two training sets."""
    deployment = deployment_at(folder)
    with told_instance(folder / "release") as instance:
        definitions = build_definitions(deployment)
        checked_elsewhere = Definitions(assets=definitions.assets, resources=definitions.resources)
        for asset, keys in (("boost_qa", None), ("training_sets", ["boost_qa", "ori"])):
            run_step(checked_elsewhere, instance, [asset], keys)


def run_checks(folder: Path, assets: list[str]) -> list[dict[str, Any]]:
    """The checks of each asset over the whole lake: seconds, peak memory, how many, and which failed."""
    deployment = deployment_at(folder)
    definitions = build_definitions(deployment)
    jobs = [define_asset_job(f"{name}_only", AssetSelection.checks_for_assets(AssetKey(name))) for name in assets]
    definitions = Definitions.merge(definitions, Definitions(jobs=jobs))
    measured = []
    with told_instance(folder / "checks") as instance:
        mirror_shards(deployment.lake(), instance)
        assert instance.get_dynamic_partitions(SHARDS)
        for name in assets:
            forget_peak()
            busy, began = time.process_time(), time.perf_counter()
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            result = definitions.resolve_job_def(f"{name}_only").execute_in_process(
                instance=instance, run_config=quiet, raise_on_error=True
            )
            seconds, cpu, peak = time.perf_counter() - began, time.process_time() - busy, peak_mb()
            evaluations = result.get_asset_check_evaluations()
            measured.append(
                {
                    "asset": name,
                    "seconds": seconds,
                    "cpu": cpu,
                    "peak": peak,
                    "checks": len(evaluations),
                    "failed": [evaluation.check_name for evaluation in evaluations if not evaluation.passed],
                }
            )
    return measured


def part(name: str, folder: str, dialogues: int) -> None:
    """One part of the measurement, in this process."""
    home = Path(folder)
    if name == "write":
        write_lake(deployment_at(home), dialogues)
    elif name == "release":
        make_release(home)
    else:
        found = run_checks(home, name.split(","))
        (home / "found.json").write_text(json.dumps(found))


def measure(dialogues: int, with_release: bool, quiet: bool) -> list[dict[str, Any]]:
    """All parts one after the other, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        parts = ["write", "release", ",".join(CHECKED + RELEASED)] if with_release else ["write", ",".join(CHECKED)]
        for name in parts:
            began = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.checks", "--part", name, folder]
            subprocess.run(
                [*command, "--dialogues", str(dialogues)],
                check=True,
                stdout=subprocess.DEVNULL if quiet else sys.stderr,
            )
            if name in ("write", "release"):
                print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
        found: list[dict[str, Any]] = json.loads((Path(folder) / "found.json").read_text())
        return found


def tabulate(dialogues: int, found: list[dict[str, Any]]) -> RichTable:
    """What each asset's checks took."""
    table = RichTable(title=f"{dialogues:,} dialogues", title_justify="left")
    for column in ("checks of", "how many", "seconds", "CPU s", "peak MB", "failed"):
        table.add_column(column, justify="left" if column in ("checks of", "failed") else "right")
    for one in found:
        table.add_row(
            one["asset"],
            str(one["checks"]),
            *(f"{one[name]:.1f}" for name in ("seconds", "cpu")),
            f"{one['peak']:,.0f}",
            ", ".join(one["failed"]),
        )
    return table


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=100_000)
    parser.add_argument("--no-release", action="store_true", help="no release, and no checks of it")
    quick_options(parser)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        name, folder = options.part
        part(name, folder, options.dialogues)
        return
    dialogues = (20_000 if options.quick else options.dialogues) // 60 * 60
    found = measure(dialogues, not (options.no_release or options.quick), options.json)
    if options.quick:
        seconds, peak = sum(one["seconds"] for one in found), max(one["peak"] for one in found)
        what = f"All checks up to the scores over {dialogues:,} dialogues"
        rows = [Measured(what, f"{seconds:.1f} s, peak {peak:,.0f} MB", "below 2 GB", peak < LIMIT_MB)]
        show(rows, options.json)
    else:
        Console(width=120, highlight=False).print(tabulate(dialogues, found))


if __name__ == "__main__":
    main()
