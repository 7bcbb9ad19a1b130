"""Which partitions a night takes, as a plain function of how the partitions stand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dialogues.estimate import Expense
from assets.framework.partitions import Scenario
from assets.quality.partition_status import NotCurrent, PartitionStatus
from master_dagster.automation.due import Averages, Choice, Limits, choose, together
from resources.lake.tables import PartitionRecord

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
THIRDS = dict.fromkeys(Scenario, 1 / 3)
AVERAGES = Averages(dict.fromkeys(Scenario, Expense(100, 0.1)), Expense(10, 0.01), THIRDS)
WITHOUT_END = Limits(partitions=1000)


def shard(number: int) -> str:
    return f"x-{number:04d}"


def partition(
    number: int,
    why: NotCurrent | None = "missing",
    scenario: Scenario = Scenario.DEBATE,
    *,
    day: int | None = None,
    seeds: int = 30,
    scores_only: bool = False,
) -> PartitionStatus:
    """A partition of the shard of that number, planned on that day; the later the number, unless a day is given."""
    planned = BEGINNING + timedelta(days=number if day is None else day)
    plans = PartitionRecord("dialogue_plans", {"shard": shard(number)}, planned, "0", "passed", seeds)
    told = PartitionRecord("scenario_dialogues", {}, planned, "0", "passed", seeds) if scores_only else None
    return PartitionStatus(scenario, shard(number), plans, told, None, why, scores_only)


def taken(choice: Choice) -> list[int]:
    """Numbers of the shards, in order."""
    return [int(one.partition.shard[2:]) for one in choice.taken]


def left(partitions: Sequence[PartitionStatus]) -> list[int]:
    return [int(one.shard[2:]) for one in partitions]


def runs(statuses: Sequence[PartitionStatus], most: int = 20, tries: dict[str, int] | None = None) -> list[list[int]]:
    """The night's runs, each as the numbers of its shards."""
    choice = choose(statuses, (), tries or {}, None, WITHOUT_END)
    batches = together(choice.taken, [shard(number) for number in range(100)], most)
    return [left(batch.partitions) for batch in batches]


def test_current_partitions_are_not_taken() -> None:
    assert taken(choose([partition(0, None), partition(1)], (), {}, None, WITHOUT_END)) == [1]


def test_partitions_in_flight_are_left() -> None:
    choice = choose([partition(0), partition(1)], {"debate|x-0000"}, {}, None, WITHOUT_END)
    assert (taken(choice), left(choice.left["in flight"])) == ([1], [0])


def test_the_oldest_plans_come_first() -> None:
    assert taken(choose([partition(0, day=2), partition(1, day=1)], (), {}, None, WITHOUT_END)) == [1, 0]


@pytest.mark.parametrize("tries", [{}, {"debate|x-0000": 1}])
def test_what_failed_comes_last_whether_its_gate_or_its_run_did(tries: dict[str, int]) -> None:
    first = partition(0, "missing" if tries else "failed")
    assert taken(choose([first, partition(1, "stale")], (), tries, None, WITHOUT_END)) == [1, 0]


def test_a_partition_is_given_up_after_its_tries() -> None:
    choice = choose([partition(0), partition(1)], (), {"debate|x-0000": 3, "debate|x-0001": 2}, None, WITHOUT_END)
    assert (taken(choice), left(choice.left["given up"])) == ([1], [0])


def test_no_more_than_so_many_are_taken() -> None:
    choice = choose([partition(number) for number in range(3)], (), {}, None, Limits(partitions=2))
    assert (taken(choice), left(choice.left["later"])) == ([0, 1], [2])


def test_tokens_are_those_of_the_partitions_share_of_the_shards_plans() -> None:
    choice = choose([partition(number) for number in range(5)], (), {}, AVERAGES, Limits(1000, tokens=2500))
    assert taken(choice) == [0, 1]  # 10 dialogues of 100 tokens each


def test_money_is_counted_likewise() -> None:
    choice = choose([partition(number) for number in range(5)], (), {}, AVERAGES, Limits(1000, usd=3.5))
    assert taken(choice) == [0, 1, 2]


def test_where_only_scores_are_due_only_verdicts_are_counted() -> None:
    choice = choose(
        [partition(n, "stale", scores_only=True) for n in range(5)], (), {}, AVERAGES, Limits(1000, tokens=900)
    )
    assert taken(choice) == [0, 1, 2]  # 30 verdicts of 10 tokens each


def test_a_small_partition_does_not_overtake_an_older_one_that_waits_for_the_budget() -> None:
    statuses = [partition(0), partition(1, seeds=45), partition(2, seeds=3)]
    choice = choose(statuses, (), {}, AVERAGES, Limits(1000, tokens=2000))
    assert (taken(choice), left(choice.left["later"])) == ([0], [1, 2])


def test_a_partition_that_no_night_can_pay_for_keeps_no_others_waiting() -> None:
    choice = choose([partition(0, seeds=3000), partition(1)], (), {}, AVERAGES, Limits(1000, tokens=2000))
    assert (taken(choice), left(choice.left["too dear"])) == ([1], [0])


def test_contiguous_partitions_are_one_run() -> None:
    assert runs([partition(number) for number in (0, 1, 2, 5, 6)]) == [[0, 1, 2], [5, 6]]


def test_a_run_is_no_longer_than_it_may_be() -> None:
    assert runs([partition(number) for number in range(5)], most=2) == [[0, 1], [2, 3], [4]]


def test_partitions_of_two_scenarios_are_two_runs() -> None:
    assert runs([partition(0), partition(1, scenario=Scenario.ANALOGY)]) == [[0], [1]]


def test_a_partition_that_failed_is_a_run_of_its_own() -> None:
    assert runs([partition(number) for number in range(3)], tries={"debate|x-0001": 1}) == [[0], [2], [1]]


def test_the_run_with_the_oldest_partition_comes_first() -> None:
    assert runs([partition(0, day=5), partition(1, day=6), partition(8, day=0), partition(9, day=9)]) == [
        [8, 9],
        [0, 1],
    ]


def test_the_summary_says_what_was_left_and_what_to_do_about_it() -> None:
    statuses = [partition(0), partition(1, "stale"), partition(2, "failed"), partition(3)]
    choice = choose(statuses, {"debate|x-0003"}, {"debate|x-0000": 3}, None, Limits(partitions=1))
    assert choice.summary.splitlines() == [
        "4 partitions due (1 failed, 2 missing, 1 stale): 1 launched, 1 in flight already, "
        "1 left for the next tick (at most 1 partitions a night), 1 given up after 3 failed nights",
        "Left for the next tick: debate|x-0002.",
        "Given up: debate|x-0000. Their last runs say why. Mend that, then start each by hand: .venv/bin/dg "
        "launch --assets scenario_dialogues,scored_dialogues "
        "--partition 'debate|x-0000'",
    ]


standings_of_any_kind = st.lists(
    st.builds(
        partition,
        st.integers(0, 99),
        st.sampled_from(["missing", "failed", "stale", None]),
        st.sampled_from(list(Scenario)),
        day=st.integers(0, 9),
    ),
    unique_by=lambda status: status.key,
)


@given(standings_of_any_kind, st.integers(1, 20), st.integers(0, 20_000), st.sets(st.integers(0, 99)))
def test_every_due_partition_is_taken_or_left_once_and_the_limits_hold(
    statuses: list[PartitionStatus], partitions: int, tokens: int, running: set[int]
) -> None:
    limits = Limits(partitions, tokens=tokens)
    choice = choose(statuses, {f"debate|{shard(number)}" for number in running}, {}, AVERAGES, limits)
    told = [one.partition.key for one in choice.taken] + [one.key for some in choice.left.values() for one in some]
    assert sorted(told) == sorted(one.key for one in statuses if one.why)
    assert len(choice.taken) <= partitions
    assert sum(one.expense.tokens for one in choice.taken) <= tokens


@given(standings_of_any_kind, st.integers(1, 20))
def test_runs_hold_what_was_taken_and_nothing_else(statuses: list[PartitionStatus], most: int) -> None:
    choice = choose(statuses, (), {}, None, WITHOUT_END)
    batches = together(choice.taken, [shard(number) for number in range(100)], most)
    assert sorted(key for batch in batches for key in batch.keys) == sorted(one.partition.key for one in choice.taken)
    for batch in batches:
        numbers = left(batch.partitions)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) <= most
