"""The checks of the scores, each on rows that fail it and rows that pass."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetCheckSeverity, DagsterInstance, asset, materialize

from assets.dialogues.schema import DIALOGUES
from assets.quality.checks import CHECKS, QUERIES, SCORE_CHECKS
from assets.quality.configuration import QualityRules
from assets.quality.schema import SCORED
from resources.identity import stable_hash
from resources.lake.tables import Lake

KEYS = {"scenario": "error_correction", "shard": "sums-0000"}


def score(name: str = "one", **changes: Any) -> dict[str, Any]:
    """An accepted dialogue's row of scores."""
    return {
        "dialogue_id": stable_hash(name),
        **KEYS,
        "source": "sums",
        "domain": "math",
        "split": "train",
        "seed_id": stable_hash("seed", name),
        "status": "complete",
        "structure_ok": True,
        "final_answer": "right",
        "first_answer": "wrong",
        "reference_overlap": 1.0,
        "betrays_reference": False,
        "copied_share": 0.0,
        "english": True,
        "repetition": 0.0,
        "words": 100,
        "truncated": False,
        "refused": False,
        "secrets": 0,
        "judge_status": "judged",
        "judge_correct": True,
        "judge_error_class": "none",
        "judge_reason": "Both say 7.",
        "judge_model": "a judge",
        "quality_score": 0.9,
        "accepted": True,
        "rejection_reasons": [],
        "decided_by": "rules",
        **changes,
    }


def dialogue(name: str = "one", **changes: Any) -> dict[str, Any]:
    """The dialogue of such a row."""
    return {
        **{key: value for key, value in score(name).items() if key in DIALOGUES.columns},
        "generation": 0,
        "turns": [],
        "discarded": [],
        "prompt_tokens": 0,
        "completion_tokens": 0,
        **changes,
    }


Rows = list[dict[str, Any]]
REJECTED = {"accepted": False, "rejection_reasons": ["judged_wrong"]}
JUDGED_WRONG = {"judge_correct": False, "judge_error_class": "wrong_step", **REJECTED}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))


def write(lake: Lake, scores: Rows, dialogues: Rows | None = None) -> None:
    """Write scores and dialogues, past the schema of the scores: a check must see what it looks for."""
    told = [dialogue()] if dialogues is None else dialogues
    lake.write(DIALOGUES, KEYS, DIALOGUES.frame(told), fingerprint="d")
    lake.write(SCORED, KEYS, SCORED.frame([score()]), fingerprint="s")
    pl.from_dicts(scores, schema=SCORED.columns).write_parquet(lake.store.uri(lake.path(SCORED, KEYS)))


@pytest.fixture
def failing(lake: Lake) -> Any:
    """Writes rows and gives the names of the SQL checks that they fail."""

    def run(scores: Rows, dialogues: Rows | None = None) -> set[str]:
        write(lake, scores, dialogues)
        with lake.connect([SCORED, DIALOGUES], only={"this_run": lake.records(SCORED)}) as connection:
            return {
                check.name
                for check in SCORE_CHECKS
                if connection.execute((QUERIES / check.sql).read_text(), dict(check.parameters) or None).fetchall()
            }

    return run


def verdicts(lake: Lake, rules: QualityRules) -> dict[str, bool]:
    """All checks run by Dagster after the asset; by name, whether they passed."""
    made = asset(name="scored_dialogues")(lambda: None)
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [made, *CHECKS],
            instance=instance,
            resources={"lake": lake, "quality_rules": rules},
            raise_on_error=False,
        )
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_good_rows_pass_every_check(lake: Lake, rules: QualityRules) -> None:
    write(lake, [score()])
    found = verdicts(lake, rules)
    assert set(found.values()) == {True}
    assert len(found) == len(list(QUERIES.glob("*.sql"))) + 1


def test_lost_rows_and_a_lame_judge_are_found(lake: Lake, rules: QualityRules) -> None:
    unjudged = score(judge_status="not_judged", judge_correct=None, judge_error_class=None, **REJECTED)
    write(lake, [unjudged], [dialogue(), dialogue("two")])
    found = verdicts(lake, rules)
    assert {name for name, passed in found.items() if not passed} == {
        "one_score_a_dialogue",
        "counts_reconcile",
        "judge_coverage",
    }


@pytest.mark.parametrize(
    ("scores", "dialogues", "check"),
    [
        ([score()], [dialogue(), dialogue("two")], "one_score_a_dialogue"),
        ([score(), score("two")], [dialogue()], "one_score_a_dialogue"),
        ([score(), score()], [dialogue()], "one_score_a_dialogue"),
        ([score(split="test")], None, "as_told"),
        ([score(quality_score=1.5)], None, "scores_in_range"),
        ([score(copied_share=float("nan"))], None, "scores_in_range"),
        ([score(accepted=False)], None, "rejected_with_reason"),
        ([score(rejection_reasons=["copied"])], None, "rejected_with_reason"),
        ([score(judge_error_class="wrong_step")], None, "verdicts_in_form"),
        ([score(judge_reason=" ")], None, "verdicts_in_form"),
        ([score(judge_status="not_asked", **REJECTED)], None, "verdicts_in_form"),
    ],
)
def test_a_fault_is_found(failing: Any, scores: Any, dialogues: Any, check: str) -> None:
    assert check in failing(scores, dialogues)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "set_aside"},
        {"structure_ok": False},
        {"final_answer": "wrong"},
        {"final_answer": "missing"},
        {"judge_correct": False, "judge_error_class": "wrong_step"},
        {"judge_status": "not_asked", "judge_correct": None, "judge_error_class": None},
        {"truncated": True},
        {"refused": True},
        {"english": False},
        {"betrays_reference": True},
        {"secrets": 1},
        {"near_duplicate_of": "x"},
        {"code_parses": False},
        {"false_claim": True},
        {"gave_away_result": True},
    ],
    ids=lambda fault: ",".join(fault),
)
def test_nothing_faulty_is_accepted_by_the_rules(failing: Any, fault: dict[str, Any]) -> None:
    assert "accepted_without_fault" in failing([score(**fault)])


def test_a_hand_may_accept_against_the_rules(failing: Any) -> None:
    assert "accepted_without_fault" not in failing([score(final_answer="wrong", decided_by="manual")])


def test_no_hand_may_accept_what_is_not_whole(failing: Any) -> None:
    assert "accepted_without_fault" in failing([score(status="set_aside", decided_by="manual")])


def many(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [score(str(number), **changes) for number in range(count)]


SPOILT = [score(f"bad {number}", **JUDGED_WRONG) for number in range(5)]


@pytest.mark.parametrize(
    ("scores", "check"),
    [
        ([*many(95), *SPOILT], "procedural_errors"),
        (many(20), "judge_discriminates"),
        (many(30, **JUDGED_WRONG), "accepted_by_scenario"),
    ],
)
def test_a_drift_is_a_warning(failing: Any, scores: Any, check: str) -> None:
    assert check in failing(scores)
    assert [one.severity for one in SCORE_CHECKS if one.name == check] == [AssetCheckSeverity.WARN]


def test_few_rows_are_no_drift(failing: Any) -> None:
    found = failing(many(10, **JUDGED_WRONG))
    assert found.isdisjoint({"procedural_errors", "judge_discriminates", "accepted_by_scenario"})
