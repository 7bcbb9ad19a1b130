"""Reading a source: sampled seeds that the lake does not have become new shards. Written shards never change."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any

import polars as pl

from assets.answers.read import read_final
from assets.framework.language_detection import is_in_language, likely_language
from assets.framework.near_duplicates import group_near_duplicates
from assets.framework.partitions import shard_name
from assets.seeds.configuration import Duplicates, SeedsConfiguration, SourceConfiguration
from assets.seeds.extraction import Pair, question_answers
from assets.seeds.groups import join_conversations
from assets.seeds.listing import LISTING, known_listing
from assets.seeds.reading import read_rows
from assets.seeds.rows import MISSING, RejectedRow, SeedsError, SourceRow, beginning, field_value
from assets.seeds.sampling import Candidate, Sample, seed_id
from assets.seeds.schema import READINGS, REJECTS, SEEDS
from assets.seeds.shards import shard_number, source_shards
from resources.identity import stable_hash
from resources.lake.tables import AlreadyWritten, Lake

FIELDS_PROBE = 1000  # if no row so far could be used, a configured field that none of these rows has is an error
LANGUAGE_PROBE = 300  # seeds of a sample whose language is looked at; ids are hashes, so the first ones are random
REJECTS_KEPT = 100_000  # most rows of the table of rejects; further ones are only counted
PROGRESS_ROWS = 100_000
BY_CHOICE = (
    "multi_turn",
    "long_conversation",
)  # reasons that the configuration asks for; they do not count as unusable rows


@dataclass(frozen=True)
class SampledRows:
    """The sample of a source's rows, and the rows that were rejected."""

    sample: Sample
    rows: int  # each question and answer of a conversation counts
    rejects: list[RejectedRow]  # the first ones
    reasons: Counter[str]  # how many rows were rejected for each reason

    @property
    def unusable(self) -> int:
        """Rejected rows without those that are rejected by choice."""
        return self.reasons.total() - sum(self.reasons[reason] for reason in BY_CHOICE)


@dataclass(frozen=True)
class Intake:
    """The result of one reading of a source."""

    source: str
    reading: int
    rows: int
    held: int
    added: int
    repeated: int
    beyond_sample: int
    retracted: int
    reasons: dict[str, int]
    duplicates: int  # new seeds that another seed represents
    without_final: int  # new seeds from whose answer no final answer could be read
    new_shards: list[str]
    shards: list[str]  # all of the source

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return sum(self.reasons.values())


def take_in(
    lake: Lake,
    configuration: SeedsConfiguration,
    name: str,
    retracted: frozenset[str] = frozenset(),
    report_progress: Callable[[str], None] = lambda line: None,
    most_rows: int | None = None,
) -> Intake:
    """Read a source and add its new seeds to the lake: shards, the rejects, and a row of `seed_readings`.

    A reading that is killed leaves complete shards; the next reading finds their seeds and adds the rest.

    Args:
        lake: the lake to write to.
        configuration: the seeds configuration.
        name: the source.
        retracted: seed ids that are not added; they still count for the size of the sample.
        report_progress: called with one line about every 100,000 rows.
        most_rows: read the first rows only; None reads all.

    Raises:
        SeedsError: the source cannot be read, too many or all of its rows cannot be used, or too many are in another
            language; no shard was written.
    """
    source = configuration.source(name)
    listing = known_listing(source, configuration, lake.s3) if most_rows is None else None  # before it is read
    rows = islice(read_rows(source, configuration, lake.s3), most_rows)
    sampled = sample_rows(rows, source, configuration.max_characters, report_progress)
    problem = _problem_of(sampled, source, configuration.max_rejected_share)
    problem = problem or _language_problem(sampled.sample, source)
    _write_rejects(lake, name, sampled, failed=problem is not None)
    if problem is not None:
        raise SeedsError(problem)

    shards = source_shards(lake, name)
    keys = [{"source": name, "shard": shard} for shard in shards]
    known = lake.read(SEEDS, keys, ["seed_id", "reading"])
    readings = lake.read(READINGS, [{"source": name}])
    reading = 1 + max([0, *known["reading"].unique().to_list(), *readings["reading"].to_list()])
    kept = sampled.sample.kept
    held = set(known["seed_id"]).intersection(kept)
    left_out = retracted.intersection(kept).difference(held)
    new = [kept[key] for key in sorted(kept) if key not in held and key not in left_out]
    written = _write_shards(lake, configuration, source, shards, new, reading)
    counts = {
        "rows": sampled.rows,
        "repeated": sampled.sample.repeated,
        "beyond_sample": sampled.sample.beyond,
        "retracted": len(left_out),
        "held": len(held),
        "added": len(new),
    }
    line = counts | {"reading": reading, "rejected": sampled.reasons.total(), "shard_size": configuration.shard_size}
    _record_reading(lake, name, readings, line, listing)
    return Intake(
        source=name,
        reading=reading,
        **counts,
        reasons=dict(sampled.reasons.most_common()),
        duplicates=sum(rows.filter(pl.col("seed_id") != pl.col("representative")).height for rows in written.values()),
        without_final=sum(rows["reference_final"].null_count() for rows in written.values()),
        new_shards=list(written),
        shards=[*shards, *written],
    )


def sample_rows(
    rows: Iterable[SourceRow | RejectedRow],
    source: SourceConfiguration,
    max_characters: int,
    report_progress: Callable[[str], None] = lambda line: None,
    *,
    most_rejects: int = REJECTS_KEPT,
    progress_rows: int = PROGRESS_ROWS,
) -> SampledRows:
    """Draw the sample of a source's rows and collect the rejected ones; memory grows with the sample only.

    Args:
        rows: as read.
        source: the source's configuration.
        max_characters: longest question, answer or system prompt that is used.
        report_progress: called with one line after every `progress_rows` rows.
        most_rejects: how many rejected rows to keep; further ones are only counted.
        progress_rows: rows between two lines of progress.

    Raises:
        SeedsError: the rows do not have a field that the configuration names.
    """
    sample = Sample(source.sample, source.random_seed)
    reasons: Counter[str] = Counter()
    rejects: list[RejectedRow] = []
    missing, existing = set(source.wanted_fields), set[str]()
    counted = 0
    for count, row in enumerate(rows, start=1):
        if isinstance(row, SourceRow):
            if missing:
                missing = {name for name in missing if field_value(row.values, name) is MISSING}
                existing.update(row.values)
            if count == FIELDS_PROBE and not sample.kept:
                _check_fields(source, missing, existing)
            found = list(question_answers(row, source, max_characters))
        else:
            found = [row]
        counted += len(found)
        rejected = [one for one in found if isinstance(one, RejectedRow)]
        reasons.update(one.reason for one in rejected)
        rejects += rejected[: most_rejects - len(rejects)]
        for candidate in _candidates([one for one in found if isinstance(one, Pair)], row, source.name):
            sample.offer(candidate)
        if count % progress_rows == 0:
            report_progress(
                f"{source.name}: {count:,} rows read, {len(sample.kept):,} in the sample, {reasons.total():,} rejected"
            )
    _check_fields(source, missing, existing)
    return SampledRows(sample, counted, rejects, reasons)


def _candidates(pairs: Sequence[Pair], row: SourceRow | RejectedRow, source: str) -> Iterator[Candidate]:
    keys = tuple(seed_id(source, pair.question, pair.answer) for pair in pairs)
    for key, pair in zip(keys, pairs, strict=True):
        yield Candidate(key, pair, row.origin_file, row.origin_row, keys if len(keys) > 1 else ())


def _check_fields(source: SourceConfiguration, missing: set[str], existing: set[str]) -> None:
    if missing and existing:
        where = "fields" if source.fields else "conversations"
        raise SeedsError(
            f"source {source.name!r}: no row has a field {' or '.join(map(repr, sorted(missing)))}; "
            f"the rows have: {beginning(', '.join(sorted(existing)), 400)}; correct the name under `{where}`"
        )


def _problem_of(sampled: SampledRows, source: SourceConfiguration, max_rejected_share: float) -> str | None:
    """Why the reading fails; None if it does not."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sampled.reasons.most_common())
    first = f"; the first: {_where(sampled.rejects[0])}" if sampled.rejects else ""
    if not sampled.sample.kept:
        return (
            f"source {source.name!r}: none of its {sampled.rows:,} rows can be used ({reasons or 'it is empty'}){first}"
        )
    if sampled.unusable > max_rejected_share * sampled.rows:
        return (
            f"source {source.name!r}: {sampled.unusable:,} of {sampled.rows:,} rows cannot be used, more than "
            f"max_rejected_share {max_rejected_share:g} allows ({reasons}){first}; correct them or raise the limit; "
            f"all are in the table {REJECTS.name}"
        )
    return None


def _language_problem(sample: Sample, source: SourceConfiguration) -> str | None:
    """Why the reading fails because of the seeds' language; None if it does not."""
    probed = [sample.kept[key].pair for key in sorted(sample.kept)[:LANGUAGE_PROBE]]
    texts = [f"{pair.question}\n{pair.answer}" for pair in probed]
    others = [text for text in texts if not is_in_language(text, source.language)]
    if len(others) <= source.max_other_language_share * len(texts):
        return None
    likely = max(Counter(filter(None, map(likely_language, others))).items(), key=itemgetter(1), default=("German", 0))
    hint = f", and most of those seem to be in {likely[0]}" if likely[1] else ""
    return (
        f"source {source.name!r}: {len(others):,} of {len(texts):,} seeds that were looked at are not in "
        f"{source.language}{hint}; write their language into the source, such as "
        f"`language: {likely[0]}`, or `max_other_language_share: 1` if the source mixes languages"
    )


def _where(row: RejectedRow) -> str:
    return f"{row.origin_file}, row {row.origin_row}: {row.reason}: {row.detail[:200]}"


def _write_rejects(lake: Lake, name: str, sampled: SampledRows, *, failed: bool) -> None:
    rows = [{"source": name} | asdict(row) for row in sampled.rejects]
    lake.write(
        REJECTS,
        {"source": name},
        REJECTS.frame(rows),
        fingerprint=stable_hash([(row["origin_file"], row["origin_row"], row["reason"]) for row in rows]),
        gate="failed" if failed else "passed",
        facts={"rows": sampled.rows, "reasons": dict(sampled.reasons)},
    )


def _record_reading(lake: Lake, name: str, readings: pl.DataFrame, line: dict[str, Any], listing: str | None) -> None:
    """Add a line to `seed_readings`."""
    rows = pl.concat([readings, READINGS.frame([line | {"source": name, "read_at": datetime.now(UTC)}])])
    fingerprint = stable_hash(name, line["reading"])
    lake.write(READINGS, {"source": name}, rows, fingerprint=fingerprint, facts={LISTING: listing})


def _write_shards(
    lake: Lake,
    configuration: SeedsConfiguration,
    source: SourceConfiguration,
    shards: list[str],
    new: list[Candidate],
    reading: int,
) -> dict[str, pl.DataFrame]:
    """Write new seeds to new shards. Returns the rows of each, by the shard's name."""
    representatives = _representatives(lake, source, shards, new, configuration.duplicates)
    first = 1 + max((shard_number(shard) for shard in shards), default=-1)
    written: dict[str, pl.DataFrame] = {}
    for start in range(0, len(new), configuration.shard_size):
        shard = shard_name(source.name, first + len(written))
        part = new[start : start + configuration.shard_size]
        written[shard] = _seed_rows(source, part, representatives, reading, shard)
        _write_shard(lake, source, shard, written[shard])
    return written


def _representatives(
    lake: Lake, source: SourceConfiguration, shards: list[str], new: list[Candidate], rules: Duplicates
) -> dict[str, str]:
    """The representative of each new seed's group: near-duplicates, and the seeds of its conversation."""
    conversations = {seed.seed_id: seed.conversation for seed in new if seed.conversation}
    wanted = {name for names in conversations.values() for name in names}
    of_conversations: dict[str, str] = {}

    def known() -> Iterator[tuple[str, str]]:
        for shard in shards:
            keys = {"source": source.name, "shard": shard}
            seeds = lake.read(SEEDS, [keys], ["seed_id", "representative", "question"])
            of_conversations.update(
                seeds.filter(pl.col("seed_id").is_in(wanted)).select("seed_id", "representative").iter_rows()
            )
            # The questions of a conversation are one group, and most of them are no near-duplicates of its first seed.
            own = seeds if source.multi_turn == "all" else seeds.filter(pl.col("seed_id") == pl.col("representative"))
            yield from own.select("representative", "question").iter_rows()

    if not new:
        return {}
    questions = ((seed.seed_id, seed.pair.question) for seed in new)
    near = group_near_duplicates(known(), questions, **rules.model_dump())
    return join_conversations(near, conversations, of_conversations) if conversations else near


def _seed_rows(
    source: SourceConfiguration, new: list[Candidate], representatives: Mapping[str, str], reading: int, shard: str
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
                "tests": seed.pair.tests,
                "representative": representatives[seed.seed_id],
                "licence": source.licence,
                "origin_file": seed.origin_file,
                "origin_row": seed.origin_row,
            }
            for seed in new
        ]
    )


def _write_shard(lake: Lake, source: SourceConfiguration, shard: str, rows: pl.DataFrame) -> None:
    try:
        lake.write(
            SEEDS,
            {"source": source.name, "shard": shard},
            rows,
            fingerprint=stable_hash(rows["seed_id"].to_list()),
            facts={"language": source.language},
            once=True,
        )
    except AlreadyWritten as error:
        raise SeedsError(
            f"source {source.name!r}: another run wrote shard {shard} meanwhile; run this one again to add the rest"
        ) from error
