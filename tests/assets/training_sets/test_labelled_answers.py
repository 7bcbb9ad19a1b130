"""The set `kto`, on the tiny lake."""

from typing import Any

import pytest

from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.training_sets.labelled_answers import OF_ANSWERS


def finding(name: str, code: str, *, good: bool = False) -> dict[str, Any]:
    return {"finding": name, "value": "no", "good": good, "reason": "", "code": code, "agreed": True}


def labels(maker: Any) -> dict[str, list[bool]]:
    """By the name of the dialogue."""
    rows = maker.rows("kto")
    named = {one.dialogue_id: one.name for one in maker.tiny.dialogues.values()}
    found: dict[str, list[bool]] = {}
    for name, label in rows.select("dialogue_id", "label").iter_rows():
        found.setdefault(named[name], []).append(label)
    return found


def reject(maker: Any, name: str, reason: str, **values: Any) -> None:
    maker.tiny.change(name, accepted=False, reasons=(reason,), **values)


def counts(maker: Any) -> dict[str, int]:
    found: dict[str, int] = maker.make("kto").manifest["counts"]
    return found


def test_closing_answers_of_accepted_dialogues_are_good(maker: Any) -> None:
    found = labels(maker)
    assert found == {
        "apples": [True],
        "trains": [True],
        "capital": [True],
        "eggs": [True],
        "paint": [True],
        "verbs": [True],
        "loop": [True, True],  # an analogy closes with two answers
    }
    row = next(row for row in maker.rows("kto").to_dicts() if row["seed_id"] == maker.tiny.dialogues["eggs"].seed_id)
    assert row["prompt"] == [{"role": "user", "content": maker.tiny.dialogues["eggs"].question}]
    assert row["completion"][0]["role"] == "assistant"


@pytest.mark.parametrize("reason", sorted(OF_ANSWERS))
def test_an_answer_that_was_rejected_for_its_own_fault_is_bad(maker: Any, reason: str) -> None:
    reject(maker, "capital", reason, findings=(finding("steps_sound", "wrong_step"),))
    assert labels(maker)["capital"] == [False]
    assert counts(maker)["bad answers"] == 1


@pytest.mark.parametrize("reason", ["gave_away_result", "false_verdict", "low_score", "secrets"])
def test_an_answer_of_a_dialogue_that_was_rejected_for_another_reason_is_left_out(maker: Any, reason: str) -> None:
    reject(maker, "capital", reason)
    assert "capital" not in labels(maker)
    assert counts(maker)["rejected for another reason"] >= 1


def test_of_two_closing_answers_the_one_at_fault_is_bad_and_the_other_is_left_out(maker: Any) -> None:
    found = (finding("result_2", "judged_wrong"),)
    reject(maker, "loop", "judged_wrong", findings=found)
    assert labels(maker)["loop"] == [False]
    (row,) = [
        row for row in maker.rows("kto").to_dicts() if row["dialogue_id"] == maker.tiny.dialogues["loop"].dialogue_id
    ]
    assert row["prompt"][0]["content"] == maker.tiny.dialogues["apples"].question  # the similar question


def test_an_answer_that_was_accepted_in_spite_of_a_fault_is_left_out(maker: Any) -> None:
    signals = {"rejection_reasons": ["wrong_final_answer"], "decided_by": "manual"}
    maker.tiny.change("capital", finals=(None, None, None, "wrong"), signals=signals)
    assert "capital" not in labels(maker)
    assert counts(maker)["accepted although a fault was found"] == 1


@pytest.mark.parametrize("why", ["retracted", "near-duplicate of another split", "contaminated by a benchmark"])
def test_a_rejected_answer_that_no_release_could_have_is_left_out_and_counted(
    maker: Any, tmp_path: Any, why: str
) -> None:
    reject(maker, "capital", "wrong_final_answer")
    capital, release = maker.tiny.dialogues["capital"], maker.release
    assert release
    if why == "retracted":
        maker.retracted = frozenset([capital.seed_id])
    elif why == "contaminated by a benchmark":
        (tmp_path / "bench.jsonl").write_text(f'{{"question": "{capital.question}"}}\n')
        benchmark = Benchmark(name="bench", path=str(tmp_path / "bench.jsonl"), question=("question",))
        maker.release_rules = ReleaseRules(benchmarks=(benchmark,))
    else:
        maker.tiny.change("capital", question=maker.tiny.dialogues["verbs"].question)
    assert "capital" not in labels(maker)
    assert counts(maker)[why] == 1


def test_a_rejected_dialogue_that_was_scored_again_since_the_release_is_left_out(maker: Any) -> None:
    reject(maker, "capital", "wrong_final_answer")
    assert labels(maker)["capital"] == [False]
    reject(maker, "capital", "judged_wrong", findings=(finding("result", "judged_wrong"),))
    assert "capital" not in labels(maker)
    assert counts(maker)["changed since the release"] == 1


def test_a_rejected_dialogue_that_was_set_aside_since_it_was_scored_is_left_out(maker: Any) -> None:
    reject(maker, "capital", "wrong_final_answer")
    assert labels(maker)["capital"] == [False]
    reject(maker, "capital", "wrong_final_answer", status="set_aside")
    assert "capital" not in labels(maker)
    assert counts(maker)["changed since the release"] == 1
