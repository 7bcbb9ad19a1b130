"""From signals and verdict to score, decision and reasons: pure functions, and one table of rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.quality.configuration import QualityRules, Weights
from assets.quality.decisions import Decision
from assets.quality.judge import Judgement
from assets.quality.rubric import REASONS as JUDGED_REASONS
from assets.quality.schema import SIGNALS
from assets.quality.signals import Signals

SET_ASIDE = "set_aside"
STRUCTURE = "structure"
CONTROL_TOKENS = "control_tokens"
NEAR_DUPLICATE = "near_duplicate"
NOT_JUDGED = "not_judged"
LOW_SCORE = "low_score"
BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class HardRule:
    """A rule that can be decided without the judge.

    One that `rejects` proves a fault; its precision is measured on labelled dialogues (`benchmarks/judgement.py`). The
    others are flags: recorded, part of the score, and named to the judge as something to look at.
    """

    code: str
    meaning: str
    signal: str  # the column of `scored_dialogues` that it looks at
    fails: Callable[[Signals, str, QualityRules], bool]  # of a dialogue's signals and domain
    rejects: bool = False
    at_least: str = ""  # the limit that the signal has to reach, by its name in `SignalLimits`
    at_most: str = ""  # the limit that the signal must not exceed


def _at_least(code: str, meaning: str, signal: str, limit: str) -> HardRule:
    """A flag on a signal that is below a limit."""
    return HardRule(
        code, meaning, signal, lambda s, d, r: getattr(s, signal) < getattr(r.limits, limit), at_least=limit
    )


def _at_most(code: str, meaning: str, signal: str, limit: str) -> HardRule:
    """A flag on a signal that is above a limit."""
    return HardRule(code, meaning, signal, lambda s, d, r: getattr(s, signal) > getattr(r.limits, limit), at_most=limit)


HARD_RULES = (
    HardRule(
        STRUCTURE,
        "the speakers, ShareGPT roles or number of turns do not match the scenario",
        "structure_ok",
        lambda s, d, r: not s.structure_ok,
        rejects=True,
    ),
    HardRule(
        "truncated",
        "an utterance was cut off by the token limit",
        "truncated",
        lambda s, d, r: s.truncated,
        rejects=True,
    ),
    HardRule("loop", "an utterance is an endless loop", "repetition", lambda s, d, r: s.repetition >= 1, rejects=True),
    HardRule("refused", "an utterance declines the task", "refused", lambda s, d, r: s.refused),
    HardRule("not_english", "an utterance is not in its source's language", "english", lambda s, d, r: not s.english),
    _at_most("repetitive", "an utterance repeats itself", "repetition", "repetition"),
    _at_least("too_short", "the students' turns have fewer than minimum_words words", "words", "minimum_words"),
    _at_most("too_long", "the students' turns have more than maximum_words words", "words", "maximum_words"),
    HardRule(
        "secrets", "there is a key or password in the text", "secrets", lambda s, d, r: s.secrets > 0, rejects=True
    ),
    HardRule(
        "betrays_reference",
        "a speaker mentions the hidden reference answer",
        "betrays_reference",
        lambda s, d, r: s.betrays_reference,
    ),
    _at_most("copied", "a speaker copies another", "copied_share", "copied_share"),
    HardRule(
        "wrong_final_answer",
        "the last result is not the reference's",
        "final_answer",
        lambda s, d, r: s.final_answer == "wrong",
        rejects=True,
    ),
    HardRule(
        "no_final_answer",
        "the reference's result is nowhere",
        "final_answer",
        lambda s, d, r: s.final_answer == "missing",
    ),
    HardRule(
        "off_reference",
        "the result cannot be compared, and the answer has too little of the reference",
        "reference_overlap",
        lambda s, d, r: s.final_answer == "unknown" and s.reference_overlap < getattr(r.limits.reference_overlap, d),
        at_least="reference_overlap",
    ),
    HardRule(
        "code_does_not_parse",
        "the task asks for code, and Python in the closing answer does not parse",
        "code_parses",
        lambda s, d, r: s.code_parses is False and d == "code",
        rejects=True,
    ),
    HardRule(
        "example_does_not_parse",
        "Python in the closing answer to another task does not parse",
        "code_parses",
        lambda s, d, r: s.code_parses is False and d != "code",
    ),
    HardRule(
        "gave_away_result",
        "a teacher stated the result first",
        "gave_away_result",
        lambda s, d, r: s.gave_away_result is True,
    ),
    HardRule(
        "false_claim",
        "the teacher called a right answer wrong or a wrong one right",
        "false_claim",
        lambda s, d, r: s.false_claim is True,
    ),
)

_FLAGS = frozenset(rule.code for rule in HARD_RULES if not rule.rejects)

REASONS = {
    SET_ASIDE: "it was set aside during generation",
    **{rule.code: rule.meaning for rule in HARD_RULES},
    **SIGNALS.reasons,
    CONTROL_TOKENS: "an utterance has tokens of a chat template that its seed does not have",
    NEAR_DUPLICATE: "almost equal to another good dialogue of the partition",
    **JUDGED_REASONS,
    NOT_JUDGED: "the judge gave no valid verdict",
    LOW_SCORE: "the quality score is below the limit",
    BY_HAND: "rejected by a manual decision",
}
"""Every rejection reason, with what it means."""

NEVER_BY_HAND = (SET_ASIDE, STRUCTURE)
"""No manual decision can accept these: such a dialogue is not a conversation that can be exported."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision about a dialogue. `reasons` are those of the rules, also where a manual decision accepts it."""

    quality_score: float  # 0..1
    accepted: bool
    reasons: tuple[str, ...]
    decided_by: str  # "rules" or "manual"
    note: str | None


def failed_rules(
    signals: Signals,
    domain: str,
    rules: QualityRules,
    *,
    complete: bool,
    plugin_values: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Codes of all rules that a dialogue fails before the judge is asked; a set-aside one fails by that alone.

    `plugin_values` are its signals of plug-ins, by name.
    """
    if not complete:
        return (SET_ASIDE,)
    failed = [rule.code for rule in HARD_RULES if rule.fails(signals, domain, rules)]
    return (*failed, *SIGNALS.failed(plugin_values or {}))


def is_flag(code: str) -> bool:
    """Whether a failed rule is a flag, which rejects nothing by itself where a judge decides."""
    return code in _FLAGS


def decide(
    signals: Signals,
    failed: tuple[str, ...],
    judgement: Judgement,
    rules: QualityRules,
    decision: Decision | None = None,
) -> Decided:
    """Score and decision of one dialogue.

    A dialogue is accepted if it fails no rule that rejects, the judge was asked and found no fault, and its score
    reaches the limit; a manual decision overrides all that but `NEVER_BY_HAND`.

    Args:
        signals: of the dialogue.
        failed: the codes that reject it.
        judgement: of the judge.
        rules: limits and weights.
        decision: the manual one.
    """
    score = 0.0 if SET_ASIDE in failed else quality_score(signals, judgement, rules)
    reasons = [*failed]
    if judgement.verdict is not None:
        reasons += judgement.verdict.codes
    if judgement.status == NOT_JUDGED or (judgement.status == "not_asked" and not failed):
        reasons.append(NOT_JUDGED)
    if not reasons and score < rules.limits.score:
        reasons.append(LOW_SCORE)
    if decision is None:
        return Decided(score, not reasons, tuple(reasons), "rules", None)
    if decision.verdict == "reject":
        return Decided(score, False, (*reasons, BY_HAND), "manual", decision.why)
    if any(code in NEVER_BY_HAND for code in reasons):
        note = f"a manual decision accepts it ({decision.why}), but it is not a whole conversation"
        return Decided(score, False, tuple(reasons), "rules", note)
    return Decided(score, True, tuple(reasons), "manual", decision.why)


def quality_score(signals: Signals, judgement: Judgement, rules: QualityRules) -> float:
    """Weighted mean of the components that apply, from 0 to 1. See `Weights` for what each is."""
    components = _components(signals, judgement, rules)
    weights = {name: getattr(rules.weights, name) for name, value in components.items() if value is not None}
    total = sum(weights.values())
    weighted = sum(weights[name] * value for name, value in components.items() if value is not None)
    return min(1.0, max(0.0, weighted / total)) if total > 0 else 0.0


def _components(signals: Signals, judgement: Judgement, rules: QualityRules) -> dict[str, float | None]:
    components: dict[str, float | None] = {
        "final_answer": {"right": 1.0, "unknown": 0.5}.get(signals.final_answer, 0.0),
        "judge": None if judgement.verdict is None else float(judgement.verdict.correct),
        "reference_overlap": signals.reference_overlap,
        "kept_result": None if signals.gave_away_result is None else float(not signals.gave_away_result),
        "true_claim": None if signals.false_claim is None else float(not signals.false_claim),
        "code_parses": None if signals.code_parses is None else float(signals.code_parses),
        "own_words": 1 - signals.copied_share,
        "variety": 1 - signals.repetition,
        "length": min(1.0, signals.words / rules.limits.full_words),
    }
    assert components.keys() == Weights.model_fields.keys()  # noqa: S101 - a weight without component is our fault
    return components
