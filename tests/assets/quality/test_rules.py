"""From signals and verdict to a decision."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.decisions import Decision
from assets.quality.judge import NOT_ASKED, RULES_ALONE, Judgement
from assets.quality.rules import HARD_RULES, REASONS, Decided, decide, failed_rules, is_flag, quality_score
from assets.quality.signals import Signals
from tests.verdicts import judge_verdict

GOOD = Signals(
    structure_ok=True,
    final_answer="right",
    first_answer="wrong",
    reference_overlap=1.0,
    code_parses=None,
    gave_away_result=False,
    false_claim=False,
    betrays_reference=False,
    copied_share=0.0,
    english=True,
    repetition=0.0,
    words=100,
    truncated=False,
    refused=False,
    secrets=0,
)
CORRECT = Judgement("judged", judge_verdict())
INCORRECT = Judgement("judged", judge_verdict(steps_sound="no", gave_result="yes"))
NOT_JUDGED = Judgement("not_judged", fault="invalid verdict")
BROKEN = replace(GOOD, structure_ok=False)
WRONG = replace(GOOD, final_answer="wrong")
POOR = replace(GOOD, final_answer="unknown", reference_overlap=0.6)
STANDARD = load_quality_rules("standard")


def decided(
    signals: Signals = GOOD,
    judgement: Judgement = CORRECT,
    *,
    domain: str = "math",
    complete: bool = True,
    rules: QualityRules = STANDARD,
    decision: Decision | None = None,
) -> Decided:
    codes = failed_rules(signals, domain, rules, complete=complete)
    failed = codes if judgement is RULES_ALONE else tuple(code for code in codes if not is_flag(code))
    return decide(signals, failed, NOT_ASKED if failed and judgement is not RULES_ALONE else judgement, rules, decision)


STRICT = STANDARD.model_copy(update={"limits": STANDARD.limits.model_copy(update={"score": 0.95})})
ACCEPT, REJECT = (Decision(dialogue_id="0" * 32, verdict=verdict, why="read it") for verdict in ("accept", "reject"))
PROOFS: list[tuple[dict[str, Any], str]] = [
    ({"structure_ok": False}, "structure"),
    ({"truncated": True}, "truncated"),
    ({"repetition": 1.0}, "loop"),
    ({"secrets": 1}, "secrets"),
    ({"final_answer": "wrong"}, "wrong_final_answer"),
    ({"code_parses": False, "domain": "code"}, "code_does_not_parse"),
]
FLAGS: list[tuple[dict[str, Any], str]] = [
    ({"refused": True}, "refused"),
    ({"english": False}, "not_english"),
    ({"repetition": 0.6}, "repetitive"),
    ({"words": 3}, "too_short"),
    ({"words": 100_000}, "too_long"),
    ({"betrays_reference": True}, "betrays_reference"),
    ({"copied_share": 0.9}, "copied"),
    ({"final_answer": "missing"}, "no_final_answer"),
    ({"final_answer": "unknown", "reference_overlap": 0.1}, "off_reference"),
    ({"code_parses": False, "domain": "math"}, "example_does_not_parse"),
    ({"gave_away_result": True}, "gave_away_result"),
    ({"false_claim": True}, "false_claim"),
]
NOTHING: list[dict[str, Any]] = [
    {},
    {"final_answer": "unknown", "reference_overlap": 0.9},
    {"gave_away_result": None},
    {"false_claim": None},
    {"code_parses": None},
    {"reference_overlap": 0.1},
]


def decided_on(change: dict[str, Any], judgement: Judgement) -> Decided:
    """The decision about a good dialogue with this change."""
    values = dict(change)
    domain = values.pop("domain", "math")
    return decided(replace(GOOD, **values), judgement, domain=domain)


@pytest.mark.parametrize("judgement", [CORRECT, RULES_ALONE], ids=["judge", "rules alone"])
@pytest.mark.parametrize(("change", "reason"), PROOFS, ids=str)
def test_a_proof_rejects_whoever_decides(change: dict[str, Any], reason: str, judgement: Judgement) -> None:
    found = decided_on(change, judgement)
    assert (found.accepted, reason in found.reasons, found.decided_by) == (False, True, "rules")


@pytest.mark.parametrize(("change", "reason"), FLAGS, ids=str)
def test_a_flag_rejects_only_where_the_rules_decide_alone(change: dict[str, Any], reason: str) -> None:
    assert decided_on(change, CORRECT).accepted
    assert decided_on(change, RULES_ALONE).reasons == (reason,)


@pytest.mark.parametrize("change", NOTHING, ids=str)
def test_what_is_unknown_or_fine_is_no_reason(change: dict[str, Any]) -> None:
    assert decided_on(change, CORRECT).accepted
    assert decided_on(change, RULES_ALONE).accepted


def test_all_flags_but_length_together_do_not_outweigh_the_judge() -> None:
    doubtful = replace(GOOD, final_answer="missing", reference_overlap=0.0, gave_away_result=True, refused=True)
    assert decided(doubtful).accepted


def test_every_rule_is_tried_and_every_reason_explained() -> None:
    assert {reason for _, reason in PROOFS} == {rule.code for rule in HARD_RULES if rule.rejects}
    assert {reason for _, reason in FLAGS} == {rule.code for rule in HARD_RULES if not rule.rejects}
    assert all(REASONS.values())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Decided(1.0, True, (), "rules", None)),
        ({"complete": False, "signals": BROKEN}, Decided(0.0, False, ("set_aside",), "rules", None)),
        ({"judgement": INCORRECT}, (False, ("wrong_step", "gave_result"), "rules")),
        ({"judgement": NOT_JUDGED}, (False, ("not_judged",), "rules")),
        ({"judgement": NOT_ASKED}, (False, ("not_judged",), "rules")),
        ({"signals": POOR, "rules": STRICT}, (False, ("low_score",), "rules")),
        # a manual decision overrides the rules, and their reasons stay
        ({"signals": WRONG, "decision": ACCEPT}, (True, ("wrong_final_answer",), "manual")),
        ({"decision": REJECT}, (False, ("by_hand",), "manual")),
        # but it accepts no broken conversation
        ({"complete": False, "decision": ACCEPT}, (False, ("set_aside",), "rules")),
        ({"signals": BROKEN, "decision": ACCEPT}, (False, ("structure",), "rules")),
    ],
)
def test_verdict_score_and_manual_decision_decide(
    changes: dict[str, Any], expected: Decided | tuple[bool, tuple[str, ...], str]
) -> None:
    found = decided(**changes)
    assert expected in (found, (found.accepted, found.reasons, found.decided_by))


def test_the_note_says_why_a_manual_decision_did_or_did_not_decide() -> None:
    assert decided(WRONG, decision=ACCEPT).note == "read it"
    assert "not a whole conversation" in (decided(BROKEN, decision=ACCEPT).note or "")


def signals() -> st.SearchStrategy[Signals]:
    share, maybe = st.floats(0, 1), st.sampled_from([True, False, None])
    return st.builds(
        Signals,
        structure_ok=st.booleans(),
        final_answer=st.sampled_from(["right", "wrong", "missing", "unknown"]),
        first_answer=st.sampled_from(["right", "wrong", "unknown"]),
        reference_overlap=share,
        code_parses=maybe,
        gave_away_result=maybe,
        false_claim=maybe,
        betrays_reference=st.booleans(),
        copied_share=share,
        english=st.booleans(),
        repetition=share,
        words=st.integers(0, 10**6),
        truncated=st.booleans(),
        refused=st.booleans(),
        secrets=st.integers(0, 9),
    )


JUDGEMENTS = st.sampled_from([CORRECT, INCORRECT, NOT_JUDGED, NOT_ASKED, RULES_ALONE])


@given(signals(), JUDGEMENTS)
def test_a_score_is_between_0_and_1(given_signals: Signals, judgement: Judgement) -> None:
    assert 0 <= quality_score(given_signals, judgement, STANDARD) <= 1


@given(signals(), JUDGEMENTS, st.sampled_from(["math", "code", "general"]), st.booleans())
def test_the_rules_accept_exactly_what_has_no_reason_against_it(
    given_signals: Signals, judgement: Judgement, domain: str, complete: bool
) -> None:
    found = decided(given_signals, judgement, domain=domain, complete=complete)
    assert found.accepted == (not found.reasons)
    if found.accepted:
        assert complete
        assert judgement in (CORRECT, RULES_ALONE)


@given(signals())
def test_a_better_verdict_never_lowers_the_score(given_signals: Signals) -> None:
    assert quality_score(given_signals, CORRECT, STANDARD) >= quality_score(given_signals, INCORRECT, STANDARD)
