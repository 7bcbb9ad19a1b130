"""Scoring the partitions of a run through one engine: each is written as soon as it is done."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import polars as pl

from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import usage_facts
from assets.framework.partitions import partition_columns
from assets.quality.configuration import QualityRules
from assets.quality.decisions import Decisions, load_decisions
from assets.quality.fingerprint import judging_fingerprint, scored_fingerprint
from assets.quality.judge import PROMPT, Verdict
from assets.quality.reading import MissingSeed, Questions, partner_questions, read_taught
from assets.quality.schema import SCORED
from assets.quality.scored import JudgeContext, all_or_first_error, held_verdicts, score_partition
from resources.chat.calls import Usage
from resources.chat.engine import ChatEngine
from resources.chat.profile import Role
from resources.chat.service import ChatService
from resources.chat.throughput import Throughput
from resources.claims import claim_partition
from resources.lake.tables import Gate, Lake, PartitionRecord, TableError
from resources.progress import PartitionProgress, Update

PARTITIONS_AT_ONCE = 2  # the next one's dialogues fill the slots that the last of this one leave empty
LOOK_SECONDS = 1.0  # after which it is tried again whether another run is done with a partition


@dataclass(frozen=True, slots=True)
class ScoredPartition:
    """A partition of scores as the lake holds it now."""

    keys: Mapping[str, str]
    scores: pl.DataFrame
    gate: Gate
    usage: Usage | None  # None: it was there already, and nothing was asked


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a run scores with. The manual decisions are those of its beginning, whatever becomes of their file."""

    lake: Lake
    service: ChatService
    prompts: PromptBook
    rules: QualityRules
    decisions: Decisions
    rules_identity: str  # `QualityRules.identity` with these decisions

    @classmethod
    def begin(cls, lake: Lake, service: ChatService, prompts: PromptBook, rules: QualityRules) -> Self:
        """Read the manual decisions, once for the run. Raises ConfigurationError where they cannot be used."""
        decisions = load_decisions(rules.decisions)
        return cls(lake, service, prompts, rules, decisions, rules.identity_with(decisions))

    def fingerprint(self, dialogues: PartitionRecord) -> str:
        """What the scores of these dialogues should be made of."""
        return scored_fingerprint(dialogues.fingerprint, self.service.profile, self.prompts, self.rules_identity)

    def is_current(self, dialogues: PartitionRecord) -> bool:
        """Whether these dialogues have scores of that make, younger than they are, whose gate passed."""
        held = self.lake.record(SCORED, dialogues.keys)
        return (
            held is not None
            and held.gate == "passed"
            and held.written_at >= dialogues.written_at
            and held.fingerprint == self.fingerprint(dialogues)
        )

    def judging(self, dialogues: PartitionRecord) -> str:
        """What the verdicts of these dialogues should be made of."""
        return judging_fingerprint(dialogues.fingerprint, self.service.profile, self.prompts)


async def score_partitions(
    scoring: Scoring,
    partitions: Iterable[str],
    done: Callable[[str, ScoredPartition], None],
    update: Update,
    run: str | None = None,
) -> dict[str, str]:
    """Score those of the partitions that are not current; tell `done` of each, at once the current ones.

    A partition that another run of this machine is scoring waits until that one is done, and is then current.

    Args:
        scoring: lake, judge, prompts and rules.
        partitions: keys as Dagster writes them, `debate|x-0003`.
        done: called with each partition, one thread at a time or several, when it is written or found current.
        update: told how many dialogues are through, of how many.
        run: whose budget is drawn on.

    Returns:
        The partitions that could not be scored, and why.

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop; what is written stays.
    """
    faults: dict[str, str] = {}
    due: dict[str, PartitionRecord] = {}
    for partition in partitions:
        keys = partition_columns(partition)
        dialogues = scoring.lake.record(DIALOGUES, keys)
        if dialogues is None:
            faults[partition] = "it has no dialogues yet; materialise scenario_dialogues for it first"
            continue
        if scoring.is_current(dialogues):
            done(partition, ScoredPartition(keys, scoring.lake.read(SCORED, [keys]), "passed", None))
        else:
            due[partition] = dialogues
    if not due:
        return faults
    partners = partner_questions(scoring.lake, due)
    places = asyncio.Semaphore(PARTITIONS_AT_ONCE)
    async with scoring.service.engine([Role.JUDGE], run) as engine:
        seats = asyncio.Semaphore(engine.target_concurrency)
        counter = _Counter({key: record.rows for key, record in due.items()}, update, Throughput(engine.total))

        async def score(partition: str, record: PartitionRecord) -> None:
            waited = False
            while True:
                async with places:
                    if held := claim_partition(scoring.lake.store.uri(f"{SCORED.name}/{partition}")):
                        try:
                            if waited and scoring.is_current(record):
                                scores = scoring.lake.read(SCORED, [record.keys])
                                scored = ScoredPartition(record.keys, scores, "passed", None)
                            else:
                                scored = await _score(scoring, engine, seats, partition, record, partners, counter)
                            counter.end(partition, int(scored.scores["accepted"].sum()))
                            await asyncio.to_thread(done, partition, scored)
                        except (MissingSeed, TableError) as error:
                            faults[partition] = str(error)
                        finally:
                            held.release()
                        return
                waited = True
                await asyncio.sleep(LOOK_SECONDS)

        await all_or_first_error(score(partition, record) for partition, record in due.items())
    return faults


class _Counter:
    """Dialogues that are through, by partition, and how many were accepted."""

    def __init__(self, totals: Mapping[str, int], update: Update, throughput: Throughput) -> None:
        self._totals, self._update, self._throughput = totals, update, throughput
        self._total, self._done, self._accepted, self._decided = sum(totals.values()), 0, 0, 0
        self._open: dict[str, int] = {}

    def one_more(self, partition: str) -> None:
        self._done += 1
        self._open[partition] = self._open.get(partition, 0) + 1
        self._update(self._done, self._total, self._words, self._parts)

    def end(self, partition: str, accepted: int) -> None:
        self._open.pop(partition, None)
        self._accepted += accepted
        self._decided += self._totals[partition]

    def _words(self) -> str:
        so_far = f"{self._accepted} of {self._decided} accepted so far, " if self._decided else ""
        return so_far + self._throughput.describe()

    def _parts(self) -> list[PartitionProgress]:
        return [PartitionProgress(partition, done, self._totals[partition]) for partition, done in self._open.items()]


async def _score(
    scoring: Scoring,
    engine: ChatEngine,
    seats: asyncio.Semaphore,
    partition: str,
    record: PartitionRecord,
    partners: Questions,
    counter: _Counter,
) -> ScoredPartition:
    judge_model = scoring.service.profile.roles[Role.JUDGE].model
    rules = scoring.rules
    through = partial(counter.one_more, partition)
    bench = JudgeContext(engine, scoring.prompts, rules, scoring.decisions, judge_model, seats, through)
    scope = f"{SCORED.name}/{partition}"
    rows, partitions = await asyncio.to_thread(read_taught, scoring.lake, record.keys, partners)
    known = await asyncio.to_thread(_verdicts_that_hold, scoring, record)
    scores = await score_partition(rows, partitions, bench, scope=scope, known=known)
    gate = gate_of(scores, rules)
    usage = engine.take_usage(scope)
    await asyncio.to_thread(
        scoring.lake.write,
        SCORED,
        record.keys,
        scores,
        fingerprint=scoring.fingerprint(record),
        gate=gate,
        facts={
            "profile": scoring.service.profile.name,
            "rules": rules.name,
            "judging": scoring.judging(record),
            "judge_prompt": scoring.prompts.version(PROMPT),
            "usage": usage_facts(usage),
        },
    )
    return ScoredPartition(record.keys, scores, gate, usage)


def _verdicts_that_hold(scoring: Scoring, dialogues: PartitionRecord) -> dict[str, Verdict]:
    """Verdicts of the same judge on the same dialogues: changed rules or decisions are no reason to pay again."""
    held = scoring.lake.record(SCORED, dialogues.keys)
    if held is None or held.written_at < dialogues.written_at:
        return {}
    if scoring.lake.facts(SCORED, dialogues.keys).get("judging") != scoring.judging(dialogues):
        return {}
    return held_verdicts(scoring.lake.read(SCORED, [dialogues.keys]))


def gate_of(scores: pl.DataFrame, rules: QualityRules) -> Gate:
    """Whether enough of the dialogues that the judge was asked about have a verdict."""
    coverage = judge_coverage(scores)
    if coverage is None or coverage >= rules.judge.minimum_coverage:
        return "passed"
    unjudged = scores.filter(pl.col("judge_status") == "not_judged").height
    return "passed" if unjudged <= rules.judge.tolerated else "failed"


def judge_coverage(scores: pl.DataFrame) -> float | None:
    """Share of the dialogues asked about that have a verdict (0..1); None where the judge was not asked at all."""
    asked = scores.filter(pl.col("judge_status") != "not_asked")
    return asked.filter(pl.col("judge_status") == "judged").height / asked.height if asked.height else None
