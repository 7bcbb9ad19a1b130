"""Scoring the dialogues of one partition: signals and failed rules before the judge, the row of scores after it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from assets.framework.near_duplicates import group_near_duplicates
from assets.quality.configuration import QualityRules
from assets.quality.decisions import Decisions
from assets.quality.inputs import DialogueInput
from assets.quality.judge import ErrorClass, Judgement, JudgeVerdict
from assets.quality.rules import NEAR_DUPLICATE, decide, failed_rules
from assets.quality.schema import SIGNALS
from assets.quality.signals import Signals, read_signals

# Columns that a row of scores takes over from the row of its dialogue.
_TAKEN_OVER = ("dialogue_id", "scenario", "shard", "source", "domain", "split", "seed_id", "status")


@dataclass(frozen=True, slots=True)
class Screened:
    """A dialogue, its signals, and the rules that it fails before the judge is asked."""

    dialogue: DialogueInput
    signals: Signals
    failed: tuple[str, ...]
    near_duplicate_of: str | None = None
    plugin_values: Mapping[str, Any] = field(default_factory=dict)  # the signals of plug-ins, by name


def screen_dialogues(dialogues: Sequence[DialogueInput], rules: QualityRules) -> list[Screened]:
    """Signals and failed rules of each dialogue of a partition; near duplicates among those that fail no rule."""
    screened = []
    for dialogue, values in zip(dialogues, SIGNALS.measure(dialogues), strict=True):
        signals = read_signals(dialogue)
        failed = failed_rules(signals, dialogue.domain, rules, complete=dialogue.complete, plugin_values=values)
        screened.append(Screened(dialogue, signals, failed, plugin_values=values))
    texts = (
        (one.dialogue.dialogue_id, "\n".join(turn.text for turn in one.dialogue.turns))
        for one in screened
        if not one.failed
    )
    groups = group_near_duplicates([], texts, rules.limits.near_duplicate)
    duplicate_of = {dialogue: kept for dialogue, kept in groups.items() if dialogue != kept}
    return [
        replace(one, failed=(NEAR_DUPLICATE,), near_duplicate_of=duplicate_of[one.dialogue.dialogue_id])
        if one.dialogue.dialogue_id in duplicate_of
        else one
        for one in screened
    ]


def score_row(
    row: Mapping[str, Any],
    screened: Screened,
    judgement: Judgement,
    judge_model: str,
    rules: QualityRules,
    decisions: Decisions,
) -> dict[str, Any]:
    """One row of `scored_dialogues`.

    Args:
        row: of `scenario_dialogues`.
        screened: the same dialogue.
        judgement: what the judge says of it.
        judge_model: who judged.
        rules, decisions: what decides.
    """
    decided = decide(screened.signals, screened.failed, judgement, rules, decisions.get(screened.dialogue.dialogue_id))
    verdict = judgement.verdict
    return {
        **{name: row[name] for name in _TAKEN_OVER},
        **asdict(screened.signals),
        **screened.plugin_values,
        "near_duplicate_of": screened.near_duplicate_of,
        "judge_status": judgement.status,
        "judge_correct": verdict.correct if verdict else None,
        "judge_error_class": verdict.error_class.value if verdict else None,
        "judge_reason": verdict.reason if verdict else judgement.fault,
        "judge_model": None if judgement.status == "not_asked" else judge_model,
        "quality_score": decided.quality_score,
        "accepted": decided.accepted,
        "rejection_reasons": list(decided.reasons),
        "decided_by": decided.decided_by,
        "decision_note": decided.note,
    }


def written_verdicts(scores: pl.DataFrame) -> dict[str, JudgeVerdict]:
    """The verdicts of a written partition, by dialogue_id."""
    judged = scores.filter(pl.col("judge_status") == "judged")
    return {
        row["dialogue_id"]: JudgeVerdict(
            reason=row["judge_reason"],
            error_class=ErrorClass(row["judge_error_class"]),
            correct=row["judge_correct"],
        )
        for row in judged.iter_rows(named=True)
    }
