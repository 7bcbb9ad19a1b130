from typing import Any

import pytest

from assets.dialogues.inputs import is_current
from assets.dialogues.task import dialogue_id
from assets.framework.partition_run import PartitionError
from resources.lake.records import Gate
from tests.assets.dialogues.scripted import PROFILE
from tests.shipped_scenarios import SCENARIOS

MIXED = ["debate", "error_correction", "debate", "analogy"]
KEY = "debate|sums-0000"


def test_a_partition_has_the_plans_of_its_scenario_in_order(planned: Any) -> None:
    seed_ids = planned.plan("sums-0000", MIXED)
    tasks = planned.read(KEY).tasks
    assert [task.question.seed_id for task in tasks] == [seed_ids[0], seed_ids[2]]
    assert [task.repetitions for task in tasks] == [1, 1]


def test_a_partner_may_be_in_another_shard_of_the_source(planned: Any) -> None:
    (elsewhere,) = planned.plan("sums-0001", ["debate"])
    planned.plan("sums-0000", MIXED, partner_of_first=elsewhere)
    (task,) = planned.read("analogy|sums-0000").tasks
    assert task.similar.seed_id == elsewhere


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("debate|sums-0009", "sums-0009 has no dialogue plans; materialise dialogue_plans for it first"),
        ("analogy|sums-0000", r"the seed f{32} is planned but not in raw_seeds"),
    ],
)
def test_inputs_that_are_missing_are_named(planned: Any, key: str, message: str) -> None:
    planned.plan("sums-0000", MIXED, partner_of_first="f" * 32)
    with pytest.raises(PartitionError, match=message):
        planned.read(key)


@pytest.mark.parametrize(("gate", "current"), [("passed", True), ("failed", False)])
def test_a_written_partition_is_current_if_its_gate_passed(planned: Any, gate: Gate, current: bool) -> None:
    planned.plan("sums-0000", MIXED)
    planned.write_dialogues(KEY, gate=gate)
    assert is_current(planned.lake, KEY, SCENARIOS, PROFILE) is current


@pytest.mark.parametrize(
    ("statuses", "regenerated", "more_plans", "kept"),
    [
        (["complete", "complete"], [], [], [0, 1]),
        (["complete", "complete"], [0], [], [1]),
        (["set_aside", "complete"], [], [], [1]),
        (["complete", "complete"], [], ["debate"], []),
    ],
    ids=["unchanged", "regenerated", "set aside", "other plans"],
)
def test_rows_of_the_same_plans_are_kept_but_for_those_to_be_generated_again(
    planned: Any, statuses: list[str], regenerated: list[int], more_plans: list[str], kept: list[int]
) -> None:
    planned.plan("sums-0000", MIXED)
    planned.write_dialogues(KEY, statuses)
    names = [task.dialogue_id for task in planned.read(KEY).tasks]
    for place in regenerated:
        planned.request_regeneration(KEY, names[place])
    if more_plans:
        planned.plan("sums-0000", [*MIXED, *more_plans])
    inputs = planned.read(KEY)
    assert list(inputs.kept) == [names[place] for place in kept]
    assert [task.generation for task in inputs.tasks[:2]] == [int(place in regenerated) for place in (0, 1)]


def test_tasks_with_a_retracted_seed_or_partner_are_marked(planned: Any) -> None:
    (elsewhere,) = planned.plan("sums-0001", ["debate"])
    seed_ids = planned.plan("sums-0000", MIXED, partner_of_first=elsewhere)
    retracted = {seed_ids[2], elsewhere}
    assert [task.retracted for task in planned.read(KEY, retracted).tasks] == [False, True]
    assert [task.retracted for task in planned.read("analogy|sums-0000", retracted).tasks] == [True]


def test_a_dialogues_name_depends_on_scenario_and_seeds_alone() -> None:
    names = {dialogue_id("debate", "a", None), dialogue_id("analogy", "a", None), dialogue_id("analogy", "a", "b")}
    assert len(names) == 3
    assert dialogue_id("debate", "a", None) == dialogue_id("debate", "a", None)
