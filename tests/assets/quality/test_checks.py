"""Rows of scores and dialogues, and the names of the checks that they fail."""

from typing import Any

import pytest
from dagster import AssetCheckSeverity, DagsterInstance, asset, materialize

from assets.dialogues.schema import DIALOGUES
from assets.framework.check_files import sql_checks
from assets.quality.checks import CHECKS, FOLDER
from assets.quality.configuration import QualityRules
from assets.quality.schema import SCORED
from resources.identity import stable_hash
from resources.lake.tables import Lake
from tests.check_cases import Rows, failing

ALL_CHECKS = sql_checks(FOLDER)

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
        "flags": [],
        "judge_status": "judged",
        "judge_correct": True,
        "judge_error_class": "none",
        "judge_reason": "Both say 7.",
        "judge_findings": [],
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


REJECTED = {"accepted": False, "rejection_reasons": ["wrong_step"]}
JUDGED_WRONG = {"judge_correct": False, "judge_error_class": "wrong_step", **REJECTED}
UNJUDGED = {"judge_status": "not_judged", "judge_correct": None, "judge_error_class": None, **REJECTED}


def many(count: int, name: str = "", **changes: Any) -> Rows:
    return [score(f"{name}{number}", **changes) for number in range(count)]


RULES_ALONE = {"judge_status": "rules_alone", "judge_correct": None, "judge_error_class": None, "judge_model": None}
FAULTS: list[dict[str, Any]] = [
    {"status": "set_aside"},
    {"structure_ok": False},
    {"final_answer": "wrong"},
    {"judge_correct": False, "judge_error_class": "wrong_step"},
    {"judge_status": "not_asked", "judge_correct": None, "judge_error_class": None},
    {"truncated": True},
    {"repetition": 1.0},
    {"secrets": 1},
    {"near_duplicate_of": "x"},
    {"code_parses": False, "domain": "code"},
    {"flags": ["refused"], **RULES_ALONE},
]
CASES: list[tuple[Rows, set[str]]] = [
    ([score()], set()),
    ([], set()),
    *(([score(**fault)], {"accepted_without_fault"}) for fault in FAULTS),
    ([score(final_answer="wrong", decided_by="manual")], set()),
    ([score(flags=["refused"], final_answer="missing", code_parses=False)], set()),
    ([score(**RULES_ALONE)], set()),
    ([score(status="set_aside", decided_by="manual")], {"accepted_without_fault"}),
    ([score(quality_score=1.5)], {"scores_in_range"}),
    ([score(copied_share=float("nan"))], {"scores_in_range"}),
    ([score(accepted=False)], {"rejected_with_reason"}),
    ([score(rejection_reasons=["copied"])], {"rejected_with_reason"}),
    ([score(judge_error_class="wrong_step")], {"verdicts_valid"}),
    ([score(judge_reason=" ")], {"verdicts_valid"}),
    ([score(judge_status="not_asked", **REJECTED)], {"verdicts_valid"}),
    ([score(**UNJUDGED)], {"judge_coverage"}),
    ([*many(95), *many(5, "bad ", **JUDGED_WRONG)], {"procedural_errors"}),
    (many(20), {"judge_discriminates"}),
    ([*many(5), *many(25, "bad ", **JUDGED_WRONG)], {"accepted_by_scenario"}),
    (many(10, **JUDGED_WRONG), set()),  # few rows show no trend
]
LOST: list[tuple[Rows, Rows, set[str]]] = [
    ([score()], [dialogue(), dialogue("two")], {"one_score_per_dialogue", "counts_reconcile"}),
    ([score(), score("two")], [dialogue()], {"one_score_per_dialogue", "counts_reconcile"}),
    ([score(), score()], [dialogue()], {"one_score_per_dialogue", "counts_reconcile"}),
    ([score("two")], [dialogue()], {"one_score_per_dialogue"}),
    ([score(split="test")], [dialogue()], {"as_in_dialogue"}),
    ([score(domain="code")], [dialogue()], {"as_in_dialogue"}),
]


def failed(rules: QualityRules, scores: Rows, dialogues: Rows, **options: Any) -> set[str]:
    rows = {"scored_dialogues": scores, "scenario_dialogues": dialogues}
    return failing(ALL_CHECKS, [SCORED, DIALOGUES], rows, resources={"quality_rules": rules}, **options)


@pytest.mark.parametrize(("scores", "names"), CASES)
def test_scores_fail_these_checks(rules: QualityRules, scores: Rows, names: set[str]) -> None:
    dialogues = [{name: value for name, value in row.items() if name in DIALOGUES.columns} for row in scores]
    assert failed(rules, scores, dialogues) == names


@pytest.mark.parametrize(("scores", "dialogues", "names"), LOST)
def test_scores_beside_these_dialogues_fail_these_checks(
    rules: QualityRules, scores: Rows, dialogues: Rows, names: set[str]
) -> None:
    assert failed(rules, scores, dialogues) == names


def test_a_partition_that_lost_every_row_fails(rules: QualityRules) -> None:
    assert failed(rules, [], [dialogue()], empty=[KEYS]) == {"counts_reconcile"}


def test_every_check_has_a_failing_case_and_trends_are_warnings() -> None:
    names = set[str]().union(*(names for *_, names in [*CASES, *LOST]))
    assert names == {check.name for check in ALL_CHECKS}
    trends = {check.name for check in ALL_CHECKS if check.severity is AssetCheckSeverity.WARN}
    assert trends == {"procedural_errors", "judge_discriminates", "accepted_by_scenario"}


def test_dagster_runs_every_check_with_the_rules_of_the_run(lake: Lake, rules: QualityRules) -> None:
    lake.write(DIALOGUES, KEYS, DIALOGUES.frame([dialogue()]), fingerprint="d")
    lake.write(SCORED, KEYS, SCORED.frame([score(**UNJUDGED)]), fingerprint="s")
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [asset(name="scored_dialogues")(lambda: None), *CHECKS],
            instance=instance,
            resources={"lake": lake, "quality_rules": rules},
            raise_on_error=False,
        )
    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found == {check.name: check.name != "judge_coverage" for check in ALL_CHECKS}


@pytest.fixture
def lake(tmp_path: Any) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))
