"""Scoring the dialogues of one partition: signals and failed rules before the judge, the row of scores after it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from assets.dialogues.screening import leaked_tokens
from assets.framework.near_duplicates import group_near_duplicates
from assets.framework.prompts import PromptBook
from assets.quality.configuration import JudgeRules, QualityRules
from assets.quality.decisions import Decisions
from assets.quality.inputs import DialogueInput
from assets.quality.judge import NOT_ASKED, RULES_ALONE, Judgement, JudgeVerdict, judge
from assets.quality.rubric import Judged
from assets.quality.rules import CONTROL_TOKENS, NEAR_DUPLICATE, REASONS, decide, failed_rules, is_flag
from assets.quality.schema import SIGNALS
from assets.quality.signals import Signals, read_signals
from resources.chat.calls import Chat

# Columns that a row of scores takes over from the row of its dialogue.
_TAKEN_OVER = ("dialogue_id", "scenario", "shard", "source", "domain", "split", "seed_id", "status")


@dataclass(frozen=True, slots=True)
class Screened:
    """A dialogue, its signals, and the rules that it fails before the judge is asked."""

    dialogue: DialogueInput
    signals: Signals
    failed: tuple[str, ...]  # the rules that reject it
    flags: tuple[str, ...] = ()  # the rules that only find something to look at
    near_duplicate_of: str | None = None
    plugin_values: Mapping[str, Any] = field(default_factory=dict)  # the signals of plug-ins, by name


def screen_dialogues(
    dialogues: Sequence[DialogueInput], rules: QualityRules, *, rules_alone: bool = False
) -> list[Screened]:
    """Signals and failed rules of each dialogue of a partition; near duplicates among those that none rejects.

    Args:
        dialogues: of one partition.
        rules: the limits.
        rules_alone: no judge decides, so that every failed rule rejects.
    """
    screened = []
    for dialogue, values in zip(dialogues, SIGNALS.measure(dialogues), strict=True):
        signals = read_signals(dialogue)
        codes = failed_rules(signals, dialogue.domain, rules, complete=dialogue.complete, plugin_values=values)
        if dialogue.complete and has_leaked_tokens(dialogue):
            codes = (*codes, CONTROL_TOKENS)
        flags = tuple(filter(is_flag, codes))
        failed = codes if rules_alone else tuple(code for code in codes if code not in flags)
        screened.append(Screened(dialogue, signals, failed, flags, plugin_values=values))
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


def has_leaked_tokens(dialogue: DialogueInput) -> bool:
    """Whether a model's turn has tokens of a chat template that are not in the seed: its generation went wrong."""
    task = "\n".join(f"{question.in_full}\n{question.reference}" for question in dialogue.questions)
    return any(leaked_tokens(dialogue.own_words(turn), task) for turn in dialogue.spoken)


@dataclass(frozen=True, slots=True)
class Judging:
    """How dialogues are judged. `rules_alone`: no judge decides."""

    chat: Chat
    prompts: PromptBook
    judges: JudgeRules
    rules_alone: bool

    async def judge(self, screened: Screened, scope: str, slots: asyncio.Semaphore) -> Judgement:
        """What the judge says of a dialogue. It reads only those that may be accepted, each in one of the slots."""
        if self.rules_alone:
            return RULES_ALONE
        if not screened.dialogue.complete or (screened.failed and not self.judges.ask_all):
            return NOT_ASKED
        async with slots:
            return await judge(
                self.chat,
                self.prompts,
                screened.dialogue,
                regenerations=self.judges.regenerations,
                scope=scope,
                flags=[REASONS[code] for code in screened.flags],
                jury=self.judges.jury,
                rule=self.judges.rule,
            )


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
    decision = decisions.get(screened.dialogue.dialogue_id)
    decided = decide(screened.signals, screened.failed, judgement, rules, decision)
    verdict = judgement.verdict
    return {
        **{name: row[name] for name in _TAKEN_OVER},
        **asdict(screened.signals),
        **screened.plugin_values,
        "flags": list(screened.flags),
        "near_duplicate_of": screened.near_duplicate_of,
        "judge_status": judgement.status,
        "judge_correct": verdict.correct if verdict else None,
        "judge_error_class": verdict.error_class if verdict else None,
        "judge_reason": verdict.reason if verdict else judgement.fault,
        "judge_findings": [asdict(finding) for finding in verdict.findings] if verdict else [],
        "judge_model": judge_model if judgement.status in ("judged", "not_judged") else None,
        "quality_score": decided.quality_score,
        "accepted": decided.accepted,
        "rejection_reasons": list(decided.reasons),
        "decided_by": decided.decided_by,
        "decision_note": decided.note,
    }


def written_verdicts(scores: pl.DataFrame, screened: Sequence[Screened]) -> dict[str, JudgeVerdict]:
    """The verdicts of a written partition, by dialogue_id: those that were given with the present flags."""
    flags = {one.dialogue.dialogue_id: list(one.flags) for one in screened}
    judged = scores.filter(pl.col("judge_status") == "judged")
    return {
        row["dialogue_id"]: JudgeVerdict(tuple(Judged(**finding) for finding in row["judge_findings"]))
        for row in judged.iter_rows(named=True)
        if row["flags"] == flags[row["dialogue_id"]]
    }
