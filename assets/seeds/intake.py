"""One reading of a source: what is sampled and not yet held becomes new shards; nothing written is ever touched."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from assets.answers.read import read_final
from assets.framework.near_duplicates import group_near_duplicates
from assets.framework.partitions import shard_name
from assets.seeds.configuration import Duplicates, SeedsConfiguration, SourceConfiguration
from assets.seeds.extraction import question_answer
from assets.seeds.reading import Fault, Row, SeedsError, read_rows
from assets.seeds.sampling import Candidate, Sample, seed_id
from assets.seeds.schema import READINGS, REJECTS, SEEDS
from assets.seeds.shards import held_shards, shard_number
from resources.identity import stable_hash
from resources.lake.tables import AlreadyWritten, Lake

FIELDS_PROBE = 1000  # rows without a single usable one after which a field that none of them has is a wrong name
REJECTS_KEPT = 100_000  # rows of the rejects table at most; further ones are only counted
PROGRESS_ROWS = 100_000
BY_CHOICE = ("multi_turn",)  # reasons that the configuration asks for: no fault of the data


@dataclass(frozen=True)
class Sifted:
    """What the rows of a source came to."""

    sample: Sample
    rows: int
    rejects: list[Fault]  # the first `REJECTS_KEPT`
    reasons: Counter[str]  # all of them


@dataclass(frozen=True)
class Intake:
    """What one reading did."""

    source: str
    reading: int
    rows: int
    held: int
    added: int
    repeated: int
    beyond_sample: int
    retracted: int
    reasons: dict[str, int]
    duplicates: int  # new seeds that another one stands for
    without_final: int  # new seeds without a final answer that could be read off
    new_shards: list[str]
    shards: list[str]  # all of the source

    @property
    def rejected(self) -> int:
        """Rows set aside."""
        return sum(self.reasons.values())


def take_in(
    lake: Lake,
    configuration: SeedsConfiguration,
    name: str,
    retracted: frozenset[str] = frozenset(),
    note: Callable[[str], None] = lambda line: None,
) -> Intake:
    """Read a source and add what is new to the lake: shards, the rejects, and a line of `seed_readings`, in this order.

    A reading that is killed leaves whole shards behind; the next one holds their seeds and adds the rest.

    Args:
        lake: where the seeds are held.
        configuration: the seeds configuration.
        name: the source.
        retracted: seed ids that are not taken in; they keep their place in the sample, so nothing moves up.
        note: called with a line on progress now and then.

    Raises:
        SeedsError: the source cannot be read, has no usable row, or too many that are not; no shard was written.
    """
    source = configuration.source(name)
    sifted = sift(read_rows(source, configuration, lake.s3), source, configuration.max_characters, note)
    unusable = _complaint(sifted, source, configuration.max_rejected_share)
    _write_rejects(lake, name, sifted, failed=unusable is not None)
    if unusable is not None:
        raise SeedsError(unusable)

    shards = held_shards(lake, name)
    held = lake.read(
        SEEDS, [{"source": name, "shard": shard} for shard in shards], ["seed_id", "representative", "reading"]
    )
    readings = lake.read(READINGS, [{"source": name}])
    reading = 1 + max([0, *held["reading"].unique().to_list(), *readings["reading"].to_list()])
    sampled = sifted.sample.kept
    known = set(held["seed_id"]).intersection(sampled)
    off = retracted.intersection(sampled).difference(known)
    new = [sampled[key] for key in sorted(sampled) if key not in known and key not in off]

    groups = _groups(lake, name, shards, new, configuration.duplicates)
    first = 1 + max((shard_number(shard) for shard in shards), default=-1)
    new_shards: list[str] = []
    duplicates = without_final = 0
    for start in range(0, len(new), configuration.shard_size):
        shard = shard_name(name, first + len(new_shards))
        rows = _seed_rows(source, new[start : start + configuration.shard_size], groups, reading, shard)
        _write_shard(lake, source.name, shard, rows)
        new_shards.append(shard)
        duplicates += rows.filter(pl.col("seed_id") != pl.col("representative")).height
        without_final += rows["reference_final"].null_count()
    counts = {
        "rows": sifted.rows,
        "repeated": sifted.sample.repeated,
        "beyond_sample": sifted.sample.beyond,
        "retracted": len(off),
        "held": len(known),
        "added": len(new),
    }
    intake = Intake(
        source=name,
        reading=reading,
        **counts,
        reasons=dict(sifted.reasons.most_common()),
        duplicates=duplicates,
        without_final=without_final,
        new_shards=new_shards,
        shards=[*shards, *new_shards],
    )
    line = {
        "source": name,
        "reading": reading,
        "read_at": datetime.now(UTC),
        "rejected": intake.rejected,
        "shard_size": configuration.shard_size,
    }
    readings = pl.concat([readings, READINGS.frame([line | counts])])
    lake.write(READINGS, {"source": name}, readings, fingerprint=stable_hash(name, reading))
    return intake


def sift(
    rows: Iterable[Row | Fault],
    source: SourceConfiguration,
    max_characters: int,
    note: Callable[[str], None] = lambda line: None,
) -> Sifted:
    """Sort rows into the sample and the rejects; memory grows with the sample, not with the rows.

    Raises:
        SeedsError: the rows do not have a field that the configuration names.
    """
    sample = Sample(source.sample, source.random_seed)
    reasons: Counter[str] = Counter()
    rejects: list[Fault] = []
    missing, there = set(source.wanted_fields), set[str]()
    count = 0
    for row in rows:
        count += 1
        if isinstance(row, Row):
            if missing:
                missing.difference_update(row.values)
                there.update(row.values)
            if count == FIELDS_PROBE and not sample.kept:
                _check_fields(source, missing, there)
            outcome = question_answer(row, source, max_characters)
        else:
            outcome = row
        if isinstance(outcome, Fault):
            reasons[outcome.reason] += 1
            if len(rejects) < REJECTS_KEPT:
                rejects.append(outcome)
        else:
            key = seed_id(source.name, outcome.question, outcome.answer)
            sample.offer(Candidate(key, outcome, row.origin_file, row.origin_row))
        if count % PROGRESS_ROWS == 0:
            note(
                f"{source.name}: {count:,} rows read, {len(sample.kept):,} in the sample, {reasons.total():,} set aside"
            )
    _check_fields(source, missing, there)
    return Sifted(sample, count, rejects, reasons)


def _check_fields(source: SourceConfiguration, missing: set[str], there: set[str]) -> None:
    if missing and there:
        raise SeedsError(
            f"source {source.name!r}: no row has a field {' or '.join(map(repr, sorted(missing)))}; "
            f"the rows have: {', '.join(sorted(there))}"
        )


def _complaint(sifted: Sifted, source: SourceConfiguration, max_rejected_share: float) -> str | None:
    """Why the reading cannot stand; None if it can."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sifted.reasons.most_common())
    first = f"; the first: {_where(sifted.rejects[0])}" if sifted.rejects else ""
    if not sifted.sample.kept:
        return (
            f"source {source.name!r}: none of its {sifted.rows:,} rows can be used ({reasons or 'it is empty'}){first}"
        )
    faulty = sifted.reasons.total() - sum(sifted.reasons[reason] for reason in BY_CHOICE)
    if faulty > max_rejected_share * sifted.rows:
        return (
            f"source {source.name!r}: {faulty:,} of {sifted.rows:,} rows cannot be used, more than max_rejected_share "
            f"{max_rejected_share:g} allows ({reasons}){first}; mend them or raise the limit; "
            f"all are in the table {REJECTS.name}"
        )
    return None


def _where(fault: Fault) -> str:
    return f"{fault.origin_file}, row {fault.origin_row}: {fault.reason}: {fault.detail[:200]}"


def _write_rejects(lake: Lake, name: str, sifted: Sifted, *, failed: bool) -> None:
    rows = [
        {
            "source": name,
            "origin_file": fault.origin_file,
            "origin_row": fault.origin_row,
            "reason": fault.reason,
            "detail": fault.detail,
        }
        for fault in sifted.rejects
    ]
    lake.write(
        REJECTS,
        {"source": name},
        REJECTS.frame(rows),
        fingerprint=stable_hash([(row["origin_file"], row["origin_row"], row["reason"]) for row in rows]),
        gate="failed" if failed else "passed",
        facts={"rows": sifted.rows, "reasons": dict(sifted.reasons)},
    )


def _groups(lake: Lake, source: str, shards: list[str], new: list[Candidate], rules: Duplicates) -> dict[str, str]:
    """Who stands for each new seed, see `group_near_duplicates`."""

    def status() -> Iterator[tuple[str, str]]:
        for shard in shards:
            held = lake.read(SEEDS, [{"source": source, "shard": shard}], ["seed_id", "representative", "question"])
            stand = held.filter(pl.col("seed_id") == pl.col("representative"))
            yield from stand.select("seed_id", "question").iter_rows()

    if not new:
        return {}
    questions = ((seed.seed_id, seed.pair.question) for seed in new)
    return group_near_duplicates(status(), questions, **rules.model_dump())


def _seed_rows(
    source: SourceConfiguration, new: list[Candidate], groups: Mapping[str, str], reading: int, shard: str
) -> pl.DataFrame:
    """New seeds as rows of `raw_seeds`."""
    return SEEDS.frame(
        [
            {
                "seed_id": seed.seed_id,
                "source": source.name,
                "shard": shard,
                "reading": reading,
                "domain": source.domain,
                "system": seed.pair.system,
                "question": seed.pair.question,
                "answer": seed.pair.answer,
                "reference_final": read_final(seed.pair.answer, source.domain),
                "representative": groups[seed.seed_id],
                "licence": source.licence,
                "origin_file": seed.origin_file,
                "origin_row": seed.origin_row,
            }
            for seed in new
        ]
    )


def _write_shard(lake: Lake, source: str, shard: str, rows: pl.DataFrame) -> None:
    try:
        lake.write(
            SEEDS,
            {"source": source, "shard": shard},
            rows,
            fingerprint=stable_hash(rows["seed_id"].to_list()),
            once=True,
        )
    except AlreadyWritten as error:
        raise SeedsError(
            f"source {source!r}: another run has written shard {shard} meanwhile; run this one again, "
            "it will go on behind it"
        ) from error
