"""The sample for people, and how far the judge agrees with them."""

import polars as pl
import pytest

from assets.quality.configuration import ReviewRules
from assets.quality.decisions import Decision
from assets.review.agreement import Agreement, read_agreement
from assets.review.sample import Review, ReviewError, make_review
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake


def review_of(tiny: TinyLake, dialogues: int = 60) -> tuple[Review, pl.DataFrame]:
    review = make_review(tiny.lake, tiny.expected, SCENARIOS, ReviewRules(dialogues=dialogues))
    return review, pl.read_csv(tiny.lake.store.uri(f"{review.folder}/sample.csv"))


def test_a_sample_has_every_stratum_a_larger_one_contains_it_and_it_is_made_once(tiny_lake: TinyLake) -> None:
    first, few = review_of(tiny_lake, 3)
    assert sorted(few["scenario"]) == ["analogy", "debate", "error_correction"]
    assert set(few["dialogue_id"]) < set(review_of(tiny_lake, 5)[1]["dialogue_id"])
    assert review_of(tiny_lake, 3)[0].folder == first.folder


def test_no_cell_with_text_of_a_model_is_a_formula_of_a_spreadsheet(tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(question="=1+1", answer="=2", words=("=1+1", "+1", "-1", "@x"))
    _, rows = review_of(tiny_lake)
    assert all(not str(cell).startswith(("=", "+", "-", "@")) for row in rows.iter_rows() for cell in row if cell)


def test_without_a_judged_dialogue_the_message_says_what_to_do(tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(status="set_aside")
    with pytest.raises(ReviewError, match="materialise scenario_dialogues and scored_dialogues first"):
        review_of(tiny_lake)


def test_kappa_and_rates_are_of_people_against_the_judge() -> None:
    # 35 of 50 agree, 25 would by chance
    found = Agreement(both_accept=20, both_reject=15, false_passes=5, false_alarms=10)
    assert found.kappa is not None
    assert found.false_pass is not None
    assert found.false_alarm is not None
    assert found.kappa.value == pytest.approx(0.4)
    assert 0.1 < found.kappa.low < 0.2 < 0.6 < found.kappa.high < 0.7
    assert [found.false_pass.value, found.false_alarm.value] == pytest.approx([1 / 4, 1 / 3])


@pytest.mark.parametrize("counts", [(9, 0, 0, 0), (0, 4, 0, 0)])
def test_kappa_is_not_defined_where_there_is_one_verdict_alone(counts: tuple[int, int, int, int]) -> None:
    assert Agreement(*counts).kappa is None


def test_manual_decisions_are_compared_with_the_judge(tiny_lake: TinyLake) -> None:
    verdicts = {"apples": "accept", "trains": "reject", "moon": "reject", "eggs": "accept"}
    decisions = {
        (name := tiny_lake.dialogues[one].dialogue_id): Decision(dialogue_id=name, verdict=verdict, why="seen")
        for one, verdict in verdicts.items()
    }
    assert read_agreement(tiny_lake.lake, tiny_lake.expected, decisions).counts == (2, 1, 1, 0)
    with pytest.raises(ReviewError, match="name the exported file as `decisions`"):
        read_agreement(tiny_lake.lake, tiny_lake.expected, {})
