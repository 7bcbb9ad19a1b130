"""Rows of dialogues and plans, and the names of the checks that they fail."""

from collections.abc import Callable
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, AssetSelection, DagsterInstance, materialize

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.checks import CHECKS, FOLDER, PYTHON_CHECKS
from assets.dialogues.schema import DIALOGUES
from assets.framework.check_files import sql_checks
from assets.framework.scenarios.scenario import role_of
from resources.lake.tables import Lake
from tests.check_cases import Rows, failing
from tests.shipped_scenarios import SCENARIOS

ALL_CHECKS = [*sql_checks(FOLDER), *PYTHON_CHECKS]
RESOURCES = {"scenarios": SCENARIOS}
Row = dict[str, Any]
ANALOGY, DEBATE, ERROR_CORRECTION = "analogy", "debate", "error_correction"


def plans(**counts: int) -> list[Row]:
    """Plans of the shard `sums-0000`: so many of each scenario."""
    scenarios = [scenario for scenario, count in counts.items() for _ in range(count)]
    return [
        {
            "seed_id": f"seed {number}",
            "shard": "sums-0000",
            "source": "sums",
            "domain": "math",
            "split": "train",
            "scenario": scenario,
            "repetitions": 1 + number % 2 if scenario == DEBATE else None,
            "partner_seed_id": f"partner of {number}" if scenario == ANALOGY else None,
        }
        for number, scenario in enumerate(scenarios)
    ]


def dialogue(plan: Row, **changes: Any) -> Row:
    """A complete dialogue of a plan."""
    scenario = SCENARIOS[plan["scenario"]]
    turns = [
        {"speaker": turn.speaker, "role": role_of(turn), "side": scenario.side(turn.speaker), "text": "words"}
        for turn in scenario.turns(plan["repetitions"])
    ]
    copied = ("shard", "source", "domain", "split", "seed_id", "partner_seed_id", "scenario")
    given = {"dialogue_id": f"dialogue of {plan['seed_id']}", "status": "complete", "first_answer": "unknown"}
    return {name: plan[name] for name in copied} | given | {"turns": turns} | changes


PLANS = plans(error_correction=1, debate=2, analogy=1)
GOOD = [dialogue(plan) for plan in PLANS]


def first(**changes: Any) -> Rows:
    """The good dialogues, the first one changed."""
    return [GOOD[0] | changes, *GOOD[1:]]


def turns(change: Callable[[list[Row]], list[Row]]) -> Rows:
    return first(turns=change(GOOD[0]["turns"]))


TWENTY_DEBATES = plans(debate=20)


def set_aside(reason: str, count: int, planned: list[Row] = TWENTY_DEBATES) -> list[Row]:
    """Dialogues of which the first few were set aside."""
    return [
        dialogue(plan, **({"status": "set_aside", "status_reason": reason} if number < count else {}))
        for number, plan in enumerate(planned)
    ]


UNEVEN = plans(error_correction=20, debate=60, analogy=50)
ANSWERED = plans(error_correction=30)
RETRACTED = "retracted: a seed was removed"
CASES: list[tuple[list[Row], Rows, set[str]]] = [
    (PLANS, GOOD, set()),
    ([], [], set()),
    (PLANS, first(dialogue_id=GOOD[1]["dialogue_id"]), {"dialogue_ids_unique"}),
    (PLANS, [*GOOD[:2], *GOOD[3:]], {"one_dialogue_per_plan", "counts_reconcile"}),  # one of two debates is missing
    (PLANS, [*GOOD, GOOD[0]], {"dialogue_ids_unique", "one_dialogue_per_plan", "counts_reconcile"}),
    (PLANS, first(seed_id="nobody"), {"one_dialogue_per_plan"}),
    (PLANS, first(split="test"), {"as_planned"}),
    (PLANS, first(source="words"), {"as_planned"}),
    (PLANS, first(domain="code"), {"as_planned"}),
    (PLANS, first(partner_seed_id="nobody"), {"as_planned"}),
    (PLANS, turns(lambda said: [said[1], said[0], *said[2:]]), {"turns_in_order"}),
    (PLANS, turns(lambda said: said[:-1]), {"turns_in_order"}),
    (PLANS, turns(lambda said: [*said[:-1], said[-1] | {"text": " "}]), {"turns_in_order"}),
    (PLANS, turns(lambda said: [turn | {"side": "gpt"} for turn in said]), {"turns_in_order"}),
    (PLANS, turns(lambda said: [*said[:-1], said[-1] | {"role": "weak_student"}]), {"turns_in_order"}),
    (PLANS, [*GOOD[:2], GOOD[2] | {"turns": GOOD[1]["turns"]}, GOOD[3]], {"turns_in_order"}),  # rounds not as planned
    (PLANS, first(turns=GOOD[0]["turns"][:3], status="set_aside", status_reason="refusal: turn 4"), set()),
    (PLANS, first(status="set_aside"), {"set_aside_has_reason"}),
    (PLANS, first(status_reason="refusal: turn 4"), {"set_aside_has_reason"}),
    (TWENTY_DEBATES, set_aside("refusal: turn 2", 7), {"set_aside_share"}),
    (TWENTY_DEBATES, set_aside("refusal: turn 2", 6), set()),
    (TWENTY_DEBATES, set_aside(RETRACTED, 7), set()),
    (UNEVEN, set_aside("refusal: turn 4", 12, UNEVEN), {"scenario_balance", "set_aside_share"}),
    (UNEVEN, [dialogue(plan) for plan in UNEVEN], set()),  # as planned
    (UNEVEN, [dialogue(plan) for plan in UNEVEN if plan["scenario"] != ERROR_CORRECTION], set()),  # not written yet
    (ANSWERED, [dialogue(plan, first_answer="right") for plan in ANSWERED], {"weak_student_errs"}),
    (ANSWERED, [dialogue(plan, first_answer="wrong") for plan in ANSWERED], {"weak_student_errs"}),
    (ANSWERED, [dialogue(plan, first_answer=("right", "wrong")[n % 2]) for n, plan in enumerate(ANSWERED)], set()),
]


@pytest.mark.parametrize(("planned", "rows", "names"), CASES)
def test_dialogues_fail_these_checks(planned: Rows, rows: Rows, names: set[str]) -> None:
    tables = {"dialogue_plans": planned, "scenario_dialogues": rows}
    assert failing(ALL_CHECKS, [DIALOGUES, DIALOGUE_PLANS], tables, resources=RESOURCES) == names


def test_a_partition_that_lost_every_row_fails() -> None:
    rows = {"dialogue_plans": PLANS, "scenario_dialogues": [row for row in GOOD if row["scenario"] != DEBATE]}
    empty = [{"scenario": DEBATE, "shard": "sums-0000"}, {"scenario": DEBATE, "shard": "nothing planned"}]
    assert failing(ALL_CHECKS, [DIALOGUES, DIALOGUE_PLANS], rows, empty=empty, resources=RESOURCES) == {
        "counts_reconcile"
    }


def test_every_check_has_a_failing_case() -> None:
    assert set[str]().union(*(names for _, _, names in CASES)) == {check.name for check in ALL_CHECKS}


@pytest.mark.parametrize("selected", [None, "counts_reconcile"])
def test_dagster_runs_the_selected_checks(planned: Any, lake: Lake, selected: str | None) -> None:
    planned.plan("sums-0000", ["debate"])
    lake.write(DIALOGUES, {"scenario": DEBATE, "shard": "sums-0000"}, DIALOGUES.empty(), fingerprint="f")
    one = AssetSelection.checks(AssetCheckKey(AssetKey(DIALOGUES.name), selected)) if selected else None
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            CHECKS,
            instance=instance,
            resources={"lake": lake, **RESOURCES},
            selection=one or AssetSelection.checks(*CHECKS),
            raise_on_error=False,
        )
    found = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert found == {name: name != "counts_reconcile" for name in ([selected] if selected else found)}
    assert selected or len(found) == len(ALL_CHECKS)
