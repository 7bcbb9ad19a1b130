"""Scoring one partition: signals, then the judge for those worth asking, then the decision."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import polars as pl

from assets.dialogues.prompts import PromptBook
from assets.quality.configuration import QualityRules
from assets.quality.decisions import Decisions
from assets.quality.dialogue_input import DialogueInput
from assets.quality.judge import NOT_ASKED, ErrorClass, Judgement, Verdict, judge
from assets.quality.near_duplicates import near_duplicates
from assets.quality.schema import SCORED
from assets.quality.scoring import NEAR_DUPLICATE, Decided, decide, failed_rules
from assets.quality.signals import Signals, read_signals
from resources.chat.calls import Chat

Result = TypeVar("Result")

# Of a dialogue's row, what stands in its scores too.
_IDENTITY = ("dialogue_id", "scenario", "shard", "source", "domain", "split", "seed_id", "status")


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What every dialogue of a run is judged with."""

    chat: Chat
    prompts: PromptBook
    rules: QualityRules
    decisions: Decisions
    judge_model: str
    seats: asyncio.Semaphore  # dialogues before the judge at once
    through: Callable[[], None] = lambda: None  # called for each dialogue that needs no more judging


@dataclass(frozen=True, slots=True)
class Examined:
    """A dialogue, what was read off it, and which rules it fails."""

    taught: DialogueInput
    signals: Signals
    failed: tuple[str, ...]
    near_duplicate_of: str | None = None


async def score_partition(
    rows: Sequence[Mapping[str, Any]],
    tasks: Sequence[DialogueInput],
    bench: JudgeContext,
    *,
    scope: str,
    known: Mapping[str, Verdict],
) -> pl.DataFrame:
    """The partition's scores, one row a dialogue, in order.

    Args:
        rows: the dialogues, as `scenario_dialogues` holds them.
        tasks: the same, beside their seeds.
        bench: judge, prompts, rules and decisions.
        scope: on whose journal and usage the judge's calls go.
        known: verdicts by dialogue_id that still hold; those dialogues are not asked about again.

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    examined = await asyncio.to_thread(examine, tasks, bench.rules)
    judgements = await all_or_first_error(_judgement(one, bench, scope, known) for one in examined)
    scored = [_row(row, one, judgement, bench) for row, one, judgement in zip(rows, examined, judgements, strict=True)]
    return SCORED.frame(scored)


def examine(tasks: Sequence[DialogueInput], rules: QualityRules) -> list[Examined]:
    """Signals and failed rules of each task; among those that fail none, almost equal ones are found."""
    examined = []
    for taught in tasks:
        signals = read_signals(taught)
        examined.append(
            Examined(taught, signals, failed_rules(signals, taught.domain, rules, complete=taught.complete))
        )
    good = {
        one.taught.dialogue_id: "\n".join(turn.text for turn in one.taught.turns) for one in examined if not one.failed
    }
    twins = near_duplicates(good, rules.limits.near_duplicate)
    return [
        Examined(one.taught, one.signals, (NEAR_DUPLICATE,), twins[one.taught.dialogue_id])
        if one.taught.dialogue_id in twins
        else one
        for one in examined
    ]


async def all_or_first_error(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all coroutines, run together. The first error cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _judgement(one: Examined, bench: JudgeContext, scope: str, known: Mapping[str, Verdict]) -> Judgement:
    judgement = NOT_ASKED
    if one.taught.dialogue_id in known:
        judgement = Judgement("judged", known[one.taught.dialogue_id])
    elif one.taught.complete and (not one.failed or bench.rules.judge.ask_all):
        async with bench.seats:
            judgement = await judge(
                bench.chat, bench.prompts, one.taught, regenerations=bench.rules.judge.regenerations, scope=scope
            )
    bench.through()
    return judgement


def _row(row: Mapping[str, Any], one: Examined, judgement: Judgement, bench: JudgeContext) -> dict[str, Any]:
    decided = decide(one.signals, one.failed, judgement, bench.rules, bench.decisions.get(one.taught.dialogue_id))
    return {
        **{name: row[name] for name in _IDENTITY},
        **asdict(one.signals),
        "near_duplicate_of": one.near_duplicate_of,
        **_judged(judgement, bench.judge_model),
        **_decided(decided),
    }


def _judged(judgement: Judgement, model: str) -> dict[str, Any]:
    verdict = judgement.verdict
    return {
        "judge_status": judgement.status,
        "judge_correct": verdict.correct if verdict else None,
        "judge_error_class": verdict.error_class.value if verdict else None,
        "judge_reason": verdict.reason if verdict else judgement.fault,
        "judge_model": None if judgement.status == "not_asked" else model,
    }


def _decided(decided: Decided) -> dict[str, Any]:
    return {
        "quality_score": decided.quality_score,
        "accepted": decided.accepted,
        "rejection_reasons": list(decided.reasons),
        "decided_by": decided.decided_by,
        "decision_note": decided.note,
    }


def held_verdicts(scores: pl.DataFrame) -> dict[str, Verdict]:
    """The verdicts that a written partition holds, by dialogue_id."""
    judged = scores.filter(pl.col("judge_status") == "judged")
    return {
        row["dialogue_id"]: Verdict(
            reason=row["judge_reason"],
            error_class=ErrorClass(row["judge_error_class"]),
            correct=row["judge_correct"],
        )
        for row in judged.iter_rows(named=True)
    }
