"""From signals and verdict to a decision."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.decisions import Decision
from assets.quality.judge import NOT_ASKED, ErrorClass, Judgement, JudgeVerdict
from assets.quality.rules import HARD_RULES, REASONS, Decided, decide, failed_rules, quality_score
from assets.quality.signals import Signals

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
CORRECT = Judgement("judged", JudgeVerdict(reason="Both say 7.", error_class=ErrorClass.NONE, correct=True))
INCORRECT = Judgement("judged", JudgeVerdict(reason="No.", error_class=ErrorClass.WRONG_STEP, correct=False))
NOT_JUDGED = Judgement("not_judged", fault="invalid verdict")
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
    failed = failed_rules(signals, domain, rules, complete=complete)
    return decide(signals, failed, NOT_ASKED if failed else judgement, rules, decision)


def by_hand(verdict: Any) -> Decision:
    return Decision(dialogue_id="0" * 32, verdict=verdict, why="read it")


def test_a_right_dialogue_that_the_judge_finds_correct_is_accepted() -> None:
    assert decided() == Decided(1.0, True, (), "rules", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"structure_ok": False}, "structure"),
        ({"truncated": True}, "truncated"),
        ({"refused": True}, "refused"),
        ({"english": False}, "not_english"),
        ({"repetition": 0.6}, "repetitive"),
        ({"words": 3}, "too_short"),
        ({"words": 100_000}, "too_long"),
        ({"secrets": 1}, "secrets"),
        ({"betrays_reference": True}, "betrays_reference"),
        ({"copied_share": 0.9}, "copied"),
        ({"final_answer": "wrong"}, "wrong_final_answer"),
        ({"final_answer": "missing"}, "no_final_answer"),
        ({"final_answer": "unknown", "reference_overlap": 0.1}, "off_reference"),
        ({"code_parses": False}, "code_does_not_parse"),
        ({"gave_away_result": True}, "gave_away_result"),
        ({"false_claim": True}, "false_claim"),
    ],
)
def test_every_rule_rejects_by_its_own_code(change: dict[str, Any], reason: str) -> None:
    found = decided(replace(GOOD, **change))
    assert (found.accepted, found.reasons) == (False, (reason,))


def test_every_rule_is_tried_above() -> None:
    tried = test_every_rule_rejects_by_its_own_code.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {reason for _, reason in tried} == {rule.code for rule in HARD_RULES}


@pytest.mark.parametrize(
    "change",
    [
        {"final_answer": "unknown", "reference_overlap": 0.9},
        {"gave_away_result": None},
        {"false_claim": None},
        {"code_parses": None},
        {"reference_overlap": 0.1},
    ],
    ids=str,
)
def test_what_is_unknown_or_beside_the_point_rejects_nothing(change: dict[str, Any]) -> None:
    assert decided(replace(GOOD, **change)).accepted


def test_a_verdict_against_it_rejects() -> None:
    assert decided(judgement=INCORRECT).reasons == ("judged_wrong",)


def test_no_verdict_is_never_a_pass() -> None:
    assert decided(judgement=NOT_JUDGED).reasons == ("not_judged",)
    assert decided(judgement=NOT_ASKED).reasons == ("not_judged",)


def test_all_failing_rules_are_named() -> None:
    assert decided(replace(GOOD, truncated=True, refused=True)).reasons == ("truncated", "refused")


def test_a_set_aside_dialogue_is_rejected_for_that_alone() -> None:
    found = decided(replace(GOOD, structure_ok=False, final_answer="missing"), complete=False)
    assert found == Decided(0.0, False, ("set_aside",), "rules", None)


def test_a_low_score_rejects() -> None:
    strict = STANDARD.model_copy(update={"limits": STANDARD.limits.model_copy(update={"score": 0.95})})
    poor = replace(GOOD, final_answer="unknown", reference_overlap=0.6)
    assert decided(poor, rules=strict).reasons == ("low_score",)


def test_a_hand_accepts_against_the_rules_and_the_reasons_stay() -> None:
    found = decided(replace(GOOD, final_answer="wrong"), decision=by_hand("accept"))
    assert (found.accepted, found.reasons, found.decided_by) == (True, ("wrong_final_answer",), "manual")
    assert found.note == "read it"


def test_a_hand_rejects_against_the_rules() -> None:
    found = decided(decision=by_hand("reject"))
    assert (found.accepted, found.reasons, found.decided_by) == (False, ("by_hand",), "manual")


@pytest.mark.parametrize("broken", [{"complete": False}, {"signals": replace(GOOD, structure_ok=False)}])
def test_no_hand_accepts_what_is_no_whole_conversation(broken: dict[str, Any]) -> None:
    found = decided(decision=by_hand("accept"), **broken)
    assert (found.accepted, found.decided_by) == (False, "rules")
    assert "not a whole conversation" in (found.note or "")


def test_every_reason_is_explained() -> None:
    assert all(REASONS.values())


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


JUDGEMENTS = st.sampled_from([CORRECT, INCORRECT, NOT_JUDGED, NOT_ASKED])


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
        assert judgement is CORRECT


@given(signals())
def test_a_better_verdict_never_lowers_the_score(given_signals: Signals) -> None:
    assert quality_score(given_signals, CORRECT, STANDARD) >= quality_score(given_signals, INCORRECT, STANDARD)
