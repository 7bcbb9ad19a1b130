"""What was paid, by day, run, stage, scenario, source, role, model and mode, from what the lake has.

The records of what engines paid (`resources.chat.spending_log`) are exact, also for answers that were discarded since.
A partition whose footer names more tokens than they do was made by an earlier version, or by a run that was killed: the
rest is added with an unknown run, role and model.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_ANSWERS
from assets.framework.partitions import partition_columns, source_of
from assets.framework.usage_metadata import paid
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.quality.schema import SCORED
from assets.spending.schema import SPENDING
from assets.spending.training import read_training_hours
from assets.training_sets.chain_of_thought import JOURNAL_SCOPE
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS
from resources.chat.spending_log import MODEL_SERVER, Spent, in_order, join_old_records, read_records, write_record
from resources.identity import stable_hash
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake, Table

READERS = 16  # footers that are read at once
JOINED_AFTER = timedelta(days=7)  # without a write
TABLES = (DIALOGUES, SCORED, JUDGE_CALIBRATION, BENCHMARK_ANSWERS, CHAIN_OF_THOUGHT_ANSWERS)
OF_DIALOGUES = (DIALOGUES.name, SCORED.name)
SUMS = ("prompt_tokens", "completion_tokens", "cost")
ACCEPTED = """
    SELECT scenario, shard, count(*) FILTER (accepted) AS accepted FROM scored_dialogues GROUP BY ALL ORDER BY ALL
"""
Row = dict[str, Any]


def read_rows(lake: Lake) -> pl.DataFrame:
    """The rows of `SPENDING`, from the records of what was paid, the attempts of training jobs, the footers of `TABLES`
    and three columns of scores."""
    return _rows_of(lake, in_order(read_records(lake.store) | read_training_hours(lake)))


def _rows_of(lake: Lake, recorded: Sequence[Spent]) -> pl.DataFrame:
    rows = [*map(_recorded_row, recorded), *_unrecorded_rows(lake, recorded), *_accepted_rows(lake, recorded)]
    sums = [name for name, dtype in SPENDING.columns.items() if dtype.is_numeric()]
    groups = [name for name in SPENDING.columns if name not in sums]
    frame = SPENDING.frame([_EMPTY | row for row in rows])
    return frame.group_by(groups).agg(pl.col(sums).sum()).sort(groups).select(list(SPENDING.columns))


def write_spending(lake: Lake) -> pl.DataFrame:
    """Write the days that are new or changed; the rows of all days.

    The hours of training jobs are recorded too, and old records are joined.

    Raises:
        StoreError: the lake cannot be read or written.
    """
    join_old_records(lake.store, datetime.now(UTC) - JOINED_AFTER)
    rows = _rows_of(lake, in_order(record_training_hours(lake)))
    written = {record.keys["day"]: record.fingerprint for record in lake.records(SPENDING)}
    days = {str(day): frame for (day,), frame in rows.group_by(["day"], maintain_order=True)}
    for day in sorted(days.keys() | written.keys()):
        frame = days.get(day, SPENDING.empty())
        fingerprint = stable_hash(SPENDING.name, frame.to_dicts())
        if written.get(day) != fingerprint:
            lake.write(SPENDING, {"day": day}, frame, fingerprint=fingerprint)
    return rows


def record_training_hours(lake: Lake) -> dict[str, list[Spent]]:
    """Record the hours of training jobs that are new, because the folder of a job that failed is deleted some day.

    Returns:
        Every record of what was paid.

    Raises:
        StoreError: the lake cannot be read or written.
    """
    records, trained = read_records(lake.store), read_training_hours(lake)
    for name in trained:
        if records.get(name) != trained[name]:
            write_record(lake.store, name, trained[name])
    return records | trained


_EMPTY: Row = {name: 0 if dtype.is_integer() else "" for name, dtype in SPENDING.columns.items()} | {
    "mode": "live",
    "hours": 0.0,
    "cost": 0.0,
}


def _recorded_row(spent: Spent) -> Row:
    names = asdict(spent)
    return {name: names[name] for name in SPENDING.columns if name in names} | {
        "day": spent.day.isoformat(),
        "mode": "batch" if spent.batch else "live",
        **_about(spent.scope),
    }


def _about(scope: str) -> Row:
    """Stage, scenario and source of the calls of a scope."""
    if scope == JOURNAL_SCOPE:
        return {"stage": CHAIN_OF_THOUGHT_ANSWERS.name}
    stage, _, key = scope.partition("/")
    if stage not in OF_DIALOGUES:
        return {"stage": stage}
    columns = partition_columns(key)
    return {"stage": stage, "scenario": columns["scenario"], "source": source_of(columns["shard"])}


@dataclass(slots=True)
class _Footers:
    """What the footers of one or more partitions say that their answers took, whoever paid."""

    day: str = ""  # when the newest was written
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    cost: float = 0.0


def _unrecorded_rows(lake: Lake, recorded: Iterable[Spent]) -> Iterable[Row]:
    known: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(SUMS, 0.0))
    for spent in recorded:
        sums = known[_group(spent.scope)]
        for name in SUMS:
            sums[name] += getattr(spent, name)
    for group, found in _footers(lake).items():
        tokens = {name: max(0, round(getattr(found, name) - known[group][name])) for name in SUMS[:2]}
        if missing := sum(tokens.values()):
            share = min(1.0, missing / (found.prompt_tokens + found.completion_tokens))
            yield {"day": found.day, **_about(group), **tokens, "cost": found.cost * share}


def _group(scope: str) -> str:
    """The scope of a partition: every benchmark of a checkpoint has a scope of its own."""
    return "/".join(scope.split("/")[:2])


def _footers(lake: Lake) -> dict[str, _Footers]:
    def read(one: tuple[Table, PartitionRecord]) -> tuple[PartitionRecord, Mapping[str, Any]]:
        table, record = one
        try:
            return record, lake.facts(table, record.keys).get("usage", {})
        except FileNotFoundError:  # deleted since it was listed
            return record, {}

    with ThreadPoolExecutor(READERS) as readers:
        usages = list(readers.map(read, [(table, record) for table in TABLES for record in lake.records(table)]))
    found: dict[str, _Footers] = defaultdict(_Footers)
    for record, usage in usages:
        by_benchmark = [scope for scope in usage.values() if isinstance(scope, Mapping)]
        scope = f"{record.table}/{'|'.join(record.keys.values())}"
        sums = found[JOURNAL_SCOPE if record.table == CHAIN_OF_THOUGHT_ANSWERS.name else scope]
        sums.day = max(sums.day, f"{record.written_at:%Y-%m-%d}")
        for one in by_benchmark or [usage]:
            for name in SUMS:
                setattr(sums, name, getattr(sums, name) + paid(one, name))
    return found


def _accepted_rows(lake: Lake, recorded: Iterable[Spent]) -> Iterable[Row]:
    """The accepted dialogues, by the day of their scores and the run that paid last for their partition."""
    runs = {spent.scope: spent.run for spent in recorded if _about(spent.scope)["stage"] in OF_DIALOGUES}
    days = {record.name: f"{record.written_at:%Y-%m-%d}" for record in lake.records(SCORED)}
    with lake.connect([SCORED]) as connection:
        counts = connection.execute(ACCEPTED).fetchall()
    for scenario, shard, accepted in counts:
        key = f"{scenario}|{shard}"
        run = runs.get(f"{SCORED.name}/{key}") or runs.get(f"{DIALOGUES.name}/{key}", "")
        about = {"stage": SCORED.name, "scenario": scenario, "source": source_of(shard)}
        if accepted and key in days:
            yield {"day": days[key], "run": run, **about, "accepted": accepted}


def total_cost(rows: pl.DataFrame) -> float:
    """US dollars of some rows; the same for the same rows in another order."""
    return math.fsum(rows["cost"])


def dataset_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of dialogues and their verdicts, each with its part of the servers' cost: what the dataset took.

    Of a server's cost, a row has the share of its tokens in all tokens of that model.
    """
    tokens = pl.col("prompt_tokens") + pl.col("completion_tokens")
    of_servers = pl.col("cost").filter(pl.col("role") == MODEL_SERVER).sum().over("model")
    share = pl.when(tokens > 0).then(tokens / tokens.sum().over("model")).otherwise(0.0)
    return rows.with_columns(cost=pl.col("cost") + of_servers * share).filter(pl.col("stage").is_in(OF_DIALOGUES))
