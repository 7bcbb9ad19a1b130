"""The whole calibration, with a judge behind the fake endpoint that sees some faults and misses others."""

from typing import Any

import polars as pl
import pytest

from assets.framework.partition_run import PartitionError
from assets.judge_calibration.calibration import Calibration, calibrate, find_calibration, judge_identity
from assets.judge_calibration.faults import NONE
from assets.judge_calibration.rates import rates_by
from assets.judge_calibration.summary import RULES_ALONE
from resources.chat.calls import EndpointUnusable
from tests.verdicts import verdict_for


def calibrated(judged: Any) -> Calibration:
    """The calibration, after it was made."""
    calibrate(judged.work)
    work = judged.work
    found = find_calibration(work.lake, judge_identity(judged.profile, work.prompts, judged.rules.judge))
    assert found is not None
    return found


def test_faults_that_the_judge_sees_are_caught_and_others_are_false_passes(judged: Any) -> None:
    calibration = calibrated(judged)
    caught = {kind: (rates.caught, rates.planted) for kind, rates in rates_by(calibration.items, "kind").items()}
    assert caught.pop("notes_betrayed") == (7, 7)
    assert caught.pop("speaker_continued") == (7, 7)
    assert caught.pop(NONE) == (0, 0)
    assert caught.keys() >= {"answer_swapped", "number_changed", "code_bug"}
    assert {found for found, _ in caught.values()} == {0}
    assert (calibration.rates.rejected, calibration.rates.untouched) == (0, 7)


def test_the_judge_reads_no_kind_and_no_id(judged: Any) -> None:
    calibration = calibrated(judged)
    kinds = set(calibration.items["kind"])
    for request in judged.endpoint.chats:
        assert not any(word in request.text for word in (*kinds - {NONE}, "planted", *calibration.items["item_id"]))


def test_a_current_calibration_is_not_paid_for_again_and_new_dialogues_cost_only_their_own_items(judged: Any) -> None:
    first, calls = calibrated(judged), len(judged.endpoint.chats)
    assert calibrated(judged).record == first.record
    assert len(judged.endpoint.chats) == calls
    judged.rules = judged.rules.model_copy(
        update={"calibration": judged.rules.calibration.model_copy(update={"dialogues": 3})}
    )
    smaller = calibrated(judged)
    assert smaller.items["dialogue_id"].n_unique() == 3
    assert len(judged.endpoint.chats) - calls <= smaller.items.filter(kind="answer_swapped").height


def test_items_without_a_verdict_are_in_no_rate(judged: Any) -> None:
    judged.endpoint.answer_with(lambda request: "It looks right.")
    calibration = calibrated(judged)
    assert calibration.rates.unjudged == calibration.items.height
    assert calibration.rates.false_pass is None
    assert calibration.items["finding"].str.starts_with("invalid verdict").all()


def test_false_alarms_are_untouched_dialogues_that_the_judge_rejects(judged: Any) -> None:
    judged.endpoint.answer_with(lambda request: verdict_for(request.text, reference_betrayed="yes"))
    rates = calibrated(judged).rates
    assert (rates.rejected, rates.untouched, rates.caught) == (7, 7, rates.planted)


def test_where_the_rules_decide_alone_one_sentence_says_so_and_no_model_is_asked(judged: Any) -> None:
    judged.profile = judged.profile.model_copy(update={"judging": "rules_alone"})
    assert calibrate(judged.work) == {"judge": RULES_ALONE}
    assert judged.endpoint.chats == []


def test_without_current_scores_the_message_says_what_to_do(judged: Any) -> None:
    limits = judged.rules.limits.model_copy(update={"score": 0.9})
    judged.rules = judged.rules.model_copy(update={"limits": limits})
    with pytest.raises(PartitionError, match="materialise scenario_dialogues and scored_dialogues first"):
        calibrate(judged.work)


def test_an_outage_ends_the_run_and_what_was_answered_is_not_paid_for_again(judged: Any) -> None:
    answered = [verdict_for_any] * 3
    judged.endpoint.answer_with(lambda request: answered.pop()(request) if answered else judged.endpoint.fails(401))
    with pytest.raises(EndpointUnusable):
        calibrate(judged.work)
    judged.endpoint.answer_with(verdict_for_any)
    before = len(judged.endpoint.chats)
    items = calibrated(judged).items
    assert len(judged.endpoint.chats) - before == items.height - 3


def verdict_for_any(request: Any) -> str:
    return verdict_for(request.text)


def test_rules_that_prove_a_fault_are_recorded_beside_the_judge(judged: Any) -> None:
    items = calibrated(judged).items
    assert items.filter(pl.col("kind") == NONE).filter("rejected_by_rules").is_empty()


def test_where_every_dialogue_was_rejected_the_message_says_so(judged: Any) -> None:
    judged.tiny.change_every(accepted=False, reasons=("copied",))
    with pytest.raises(PartitionError, match=r"each of the 8 scored dialogues was rejected.*show --rejected"):
        calibrate(judged.work)
