from collections.abc import Mapping
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetSelection, DagsterInstance, materialize

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.checks import CHECKS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.sharegpt_roles import side_of, speakers
from assets.dialogues.task import dialogue_id
from assets.framework.partitions import Scenario
from resources.lake.tables import Lake

MIXED = [Scenario.DEBATE, Scenario.ERROR_CORRECTION, Scenario.DEBATE, Scenario.ANALOGY]


def dialogues(lake: Lake, shard: str = "sums-0000") -> list[dict[str, Any]]:
    """A complete dialogue for each plan of a shard."""
    rows = []
    for plan in lake.read(DIALOGUE_PLANS, [{"shard": shard}]).iter_rows(named=True):
        scenario = Scenario(plan["scenario"])
        turns = [
            {"speaker": speaker, "side": side_of(scenario, speaker), "text": "words"}
            for speaker in speakers(scenario, plan["debate_rounds"])
        ]
        rows.append(
            {
                **{name: plan[name] for name in ("shard", "source", "domain", "split", "seed_id", "partner_seed_id")},
                "scenario": scenario.value,
                "dialogue_id": dialogue_id(scenario.value, plan["seed_id"], plan["partner_seed_id"]),
                "generation": 0,
                "status": "complete",
                "turns": turns,
                "discarded": [],
                "first_answer": "unknown",
                "prompt_tokens": 0,
                "completion_tokens": 0,
            }
        )
    return rows


def write(lake: Lake, rows: list[dict[str, Any]], shard: str = "sums-0000") -> None:
    """Every scenario's partition of a shard, those without rows too."""
    for scenario in Scenario:
        ours = [row for row in rows if row["scenario"] == scenario.value]
        keys = {"scenario": scenario.value, "shard": shard}
        lake.write(DIALOGUES, keys, DIALOGUES.frame(ours), fingerprint="f")


def evaluated(lake: Lake) -> Mapping[str, AssetCheckEvaluation]:
    """Every check over the whole table, by name."""
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            CHECKS,
            instance=instance,
            resources={"lake": lake},
            selection=AssetSelection.checks(*CHECKS),
            raise_on_error=False,
        )
        return {found.check_name: found for found in result.get_asset_check_evaluations()}


def failing(lake: Lake) -> set[str]:
    return {name for name, found in evaluated(lake).items() if not found.passed}


@pytest.fixture
def rows(planned: Any) -> list[dict[str, Any]]:
    """The dialogues of a planned shard, one a plan."""
    planned.plan("sums-0000", MIXED)
    return dialogues(planned.lake)


def test_what_was_taught_as_planned_passes_every_check(lake: Lake, rows: list[dict[str, Any]]) -> None:
    write(lake, rows)
    assert failing(lake) == set()


def test_an_empty_table_passes_every_check(lake: Lake) -> None:
    assert failing(lake) == set()


def test_a_dialogue_that_is_there_twice_is_found(planned: Any, lake: Lake, rows: list[dict[str, Any]]) -> None:
    planned.plan("sums-0001", MIXED)
    others = dialogues(lake, "sums-0001")
    others[0]["dialogue_id"] = rows[0]["dialogue_id"]
    write(lake, rows)
    write(lake, others, "sums-0001")
    assert failing(lake) == {"dialogue_ids_unique"}


def test_a_plan_without_a_dialogue_is_found(lake: Lake, rows: list[dict[str, Any]]) -> None:
    write(lake, rows[1:])
    assert failing(lake) == {"every_plan_taught", "counts_reconcile"}


def test_a_partition_that_lost_every_row_is_found(lake: Lake, rows: list[dict[str, Any]]) -> None:
    write(lake, [row for row in rows if row["scenario"] != "debate"])
    assert failing(lake) == {"counts_reconcile"}


def test_a_dialogue_without_a_plan_is_found(lake: Lake, rows: list[dict[str, Any]]) -> None:
    rows[0]["seed_id"] = "f" * 32
    write(lake, rows)
    assert failing(lake) == {"every_plan_taught"}


@pytest.mark.parametrize("column", ["split", "partner_seed_id"])
def test_what_differs_from_its_plan_is_found(column: str, lake: Lake, rows: list[dict[str, Any]]) -> None:
    rows[0][column] = {"split": "test", "partner_seed_id": "f" * 32}[column]
    write(lake, rows)
    assert failing(lake) == {"as_planned"}


def swapped(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [turns[1], turns[0], *turns[2:]]


def cut(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return turns[:-1]


def silent(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*turns[:-1], turns[-1] | {"text": " "}]


def one_sided(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [turn | {"side": "gpt"} for turn in turns]


@pytest.mark.parametrize("spoil", [swapped, cut, silent, one_sided])
def test_turns_that_are_not_the_scenarios_are_found(spoil: Any, lake: Lake, rows: list[dict[str, Any]]) -> None:
    rows[0]["turns"] = spoil(rows[0]["turns"])
    write(lake, rows)
    assert failing(lake) == {"turns_in_order"}


def test_a_dialogue_that_was_set_aside_may_break_off(lake: Lake, rows: list[dict[str, Any]]) -> None:
    rows[0] |= {"turns": cut(rows[0]["turns"]), "status": "set_aside", "status_reason": "refusal: turn 4"}
    write(lake, rows)
    assert failing(lake) == set()


@pytest.mark.parametrize(("status", "reason"), [("set_aside", None), ("complete", "refusal: turn 4")])
def test_a_reason_that_is_missing_or_too_many_is_found(
    status: str, reason: str | None, lake: Lake, rows: list[dict[str, Any]]
) -> None:
    rows[0] |= {"status": status, "status_reason": reason}
    write(lake, rows)
    assert failing(lake) == {"set_aside_has_reason"}


def test_too_many_set_aside_are_a_warning(planned: Any, lake: Lake) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE] * 20)
    rows = dialogues(lake)
    for row in rows[:7]:
        row |= {"status": "set_aside", "status_reason": "refusal: turn 2"}
    write(lake, rows)
    assert warnings(lake) == {"set_aside_share"}


def test_seeds_that_were_taken_down_are_no_warning(planned: Any, lake: Lake) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE] * 20)
    rows = dialogues(lake)
    for row in rows[:7]:
        row |= {"status": "set_aside", "status_reason": "retracted: a seed was taken down"}
    write(lake, rows)
    assert warnings(lake) == set()


def test_a_scenario_that_is_scarce_is_a_warning(planned: Any, lake: Lake) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE] * 60 + [Scenario.ANALOGY] * 50 + [Scenario.ERROR_CORRECTION] * 5)
    write(lake, dialogues(lake))
    assert warnings(lake) == {"scenario_balance"}


@pytest.mark.parametrize("answers", [["right"] * 30, ["wrong"] * 30])
def test_a_weak_student_who_never_differs_is_a_warning(answers: list[str], planned: Any, lake: Lake) -> None:
    planned.plan("sums-0000", [Scenario.ERROR_CORRECTION] * 30)
    rows = dialogues(lake)
    for row, answer in zip(rows, answers, strict=True):
        row["first_answer"] = answer
    write(lake, rows)
    assert warnings(lake) == {"weak_student_errs"}


def test_a_weak_student_who_errs_now_and_then_is_none(planned: Any, lake: Lake) -> None:
    planned.plan("sums-0000", [Scenario.ERROR_CORRECTION] * 30)
    rows = dialogues(lake)
    for place, row in enumerate(rows):
        row["first_answer"] = "right" if place % 2 else "wrong"
    write(lake, rows)
    assert warnings(lake) == set()


def warnings(lake: Lake) -> set[str]:
    """Checks that fail, all of them as warnings."""
    found = {name: one for name, one in evaluated(lake).items() if not one.passed}
    assert {one.severity.value for one in found.values()} <= {"WARN"}
    return set(found)
