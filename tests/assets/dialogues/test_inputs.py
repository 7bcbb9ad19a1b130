from collections.abc import Sequence
from typing import Any

import pytest

from assets.dialogues.inputs import PartitionInputs, is_current, read_inputs
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.task import dialogue_id
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import Scenario
from resources.chat.profile import Profile
from resources.lake.tables import Lake

MIXED = [Scenario.DEBATE, Scenario.ERROR_CORRECTION, Scenario.DEBATE, Scenario.ANALOGY]
KEY = "debate|sums-0000"


@pytest.fixture
def read(lake: Lake, prompts: PromptBook, profile: Profile) -> Any:
    """Reads a inputs: `read(key, retracted)`."""
    return lambda key, retracted=(): read_inputs(lake, key, prompts, profile, retracted)


def write(lake: Lake, inputs: PartitionInputs, statuses: Sequence[str] = (), gate: Any = "passed") -> None:
    """Write a partition as if it had been taught, each dialogue with a status (complete by default)."""
    rows: list[dict[str, Any]] = [
        {
            "dialogue_id": task.dialogue_id,
            "scenario": task.scenario.value,
            "shard": task.shard,
            "source": task.source,
            "domain": task.domain,
            "split": task.split,
            "seed_id": task.question.seed_id,
            "generation": task.generation,
            "status": statuses[place] if statuses else "complete",
            "turns": [],
            "discarded": [],
            "first_answer": "unknown",
            "prompt_tokens": 0,
            "completion_tokens": 0,
        }
        for place, task in enumerate(inputs.tasks)
    ]
    lake.write(
        DIALOGUES,
        inputs.keys,
        DIALOGUES.frame(rows),
        fingerprint=inputs.fingerprint,
        gate=gate,
        facts={"made_by": inputs.made_by},
    )


def test_a_partition_holds_the_plans_of_its_scenario_in_order(planned: Any, read: Any) -> None:
    seed_ids = planned.plan("sums-0000", MIXED)
    tasks = read(KEY).tasks
    assert [task.question.seed_id for task in tasks] == [seed_ids[0], seed_ids[2]]
    assert [task.debate_rounds for task in tasks] == [1, 1]


def test_a_partner_may_lie_in_another_shard_of_the_source(planned: Any, read: Any) -> None:
    (elsewhere,) = planned.plan("sums-0001", [Scenario.DEBATE])
    planned.plan("sums-0000", MIXED, partner_of_first=elsewhere)
    (task,) = read("analogy|sums-0000").tasks
    assert task.similar.seed_id == elsewhere


def test_a_shard_without_plans_says_what_to_do(read: Any) -> None:
    with pytest.raises(
        PartitionError, match="sums-0009 has no dialogue plans; materialise dialogue_plans for it first"
    ):
        read("debate|sums-0009")


def test_a_planned_seed_that_is_gone_is_named(planned: Any, read: Any) -> None:
    planned.plan("sums-0000", MIXED, partner_of_first="f" * 32)
    with pytest.raises(PartitionError, match=r"the seed f{32} is planned but not in raw_seeds"):
        read("analogy|sums-0000")


def test_what_is_written_and_unchanged_is_current(
    planned: Any, read: Any, lake: Lake, prompts: PromptBook, profile: Profile
) -> None:
    planned.plan("sums-0000", MIXED)
    write(lake, read(KEY))
    assert is_current(lake, KEY, prompts, profile)


def test_a_partition_whose_gate_failed_is_not_current(
    planned: Any, read: Any, lake: Lake, prompts: PromptBook, profile: Profile
) -> None:
    planned.plan("sums-0000", MIXED)
    write(lake, read(KEY), gate="failed")
    assert not is_current(lake, KEY, prompts, profile)


def test_only_what_was_asked_for_anew_is_taught_again(planned: Any, read: Any, lake: Lake) -> None:
    planned.plan("sums-0000", MIXED)
    before = read(KEY)
    write(lake, before)
    first, second = (task.dialogue_id for task in before.tasks)
    planned.ask_again(Scenario.DEBATE, "sums-0000", first)
    inputs = read(KEY)
    assert [task.generation for task in inputs.tasks] == [1, 0]
    assert list(inputs.kept) == [second]


def test_what_was_set_aside_is_tried_again(planned: Any, read: Any, lake: Lake) -> None:
    planned.plan("sums-0000", MIXED)
    write(lake, read(KEY), statuses=["set_aside", "complete"], gate="failed")
    inputs = read(KEY)
    assert list(inputs.kept) == [inputs.tasks[1].dialogue_id]


def test_nothing_is_held_when_the_plans_changed(planned: Any, read: Any, lake: Lake) -> None:
    planned.plan("sums-0000", MIXED)
    write(lake, read(KEY))
    planned.plan("sums-0000", [*MIXED, Scenario.DEBATE])
    assert read(KEY).kept == {}


def test_tasks_of_retracted_seeds_are_marked(planned: Any, read: Any) -> None:
    seed_ids = planned.plan("sums-0000", MIXED)
    assert [task.retracted for task in read(KEY, {seed_ids[2]}).tasks] == [False, True]


def test_an_analogy_with_a_retracted_partner_is_marked(planned: Any, read: Any) -> None:
    (elsewhere,) = planned.plan("sums-0001", [Scenario.DEBATE])
    planned.plan("sums-0000", MIXED, partner_of_first=elsewhere)
    assert [task.retracted for task in read("analogy|sums-0000", {elsewhere}).tasks] == [True]


def test_a_dialogues_name_depends_on_scenario_and_seeds_alone() -> None:
    names = {dialogue_id("debate", "a", None), dialogue_id("analogy", "a", None), dialogue_id("analogy", "a", "b")}
    assert len(names) == 3
    assert dialogue_id("debate", "a", None) == dialogue_id("debate", "a", None)
