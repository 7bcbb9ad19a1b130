"""Which partitions a night launches, as plain functions of the status of the partitions."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quality.estimate import Expense
from assets.quality.partition_status import NotCurrent, PartitionStatus
from master_dagster.automation.due import Averages, NightlyLimits, Skipped, choose_partitions, plan_runs
from resources.lake.records import PartitionRecord
from tests.shipped_scenarios import NAMES

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
AVERAGES = Averages(dict.fromkeys(NAMES, Expense(100, 0.1)), Expense(10, 0.01), dict.fromkeys(NAMES, 1 / 3))
UNLIMITED = NightlyLimits(partitions=1000)
SHARDS = [f"x-{number:04d}" for number in range(100)]


def partition(
    number: int,
    why: NotCurrent | None = "missing",
    scenario: str = "debate",
    *,
    day: int | None = None,
    seeds: int = 30,
    scores_only: bool = False,
) -> PartitionStatus:
    """A partition of the shard with that number, planned on that day; by default a higher number is planned later."""
    planned = FIRST_DAY + timedelta(days=number if day is None else day)
    plans = PartitionRecord("dialogue_plans", {"shard": SHARDS[number]}, planned, "0", "passed", seeds)
    dialogues = PartitionRecord("scenario_dialogues", {}, planned, "0", "passed", seeds) if scores_only else None
    return PartitionStatus(scenario, SHARDS[number], plans, dialogues, None, why, scores_only)


def debates(*numbers: int) -> list[PartitionStatus]:
    return [partition(number) for number in numbers]


def shard_numbers(partitions: Iterable[PartitionStatus]) -> list[int]:
    return [SHARDS.index(one.shard) for one in partitions]


@pytest.mark.parametrize(
    ("statuses", "failures", "limits", "chosen", "skipped"),
    [
        pytest.param([partition(0, None), partition(1)], {}, UNLIMITED, [1], {}, id="current"),
        pytest.param(debates(0, 1, 9), {}, UNLIMITED, [0, 1], {"in progress": [9]}, id="in progress"),
        pytest.param([partition(0, day=2), partition(1, day=1)], {}, UNLIMITED, [1, 0], {}, id="oldest plans first"),
        pytest.param([partition(0, "failed"), partition(1, "stale")], {}, UNLIMITED, [1, 0], {}, id="failed gate last"),
        pytest.param(debates(0, 1), {0: 1}, UNLIMITED, [1, 0], {}, id="failed run last"),
        pytest.param(debates(0, 1), {0: 3, 1: 2}, UNLIMITED, [1], {"failed too often": [0]}, id="failed too often"),
        pytest.param(debates(0, 1, 2), {}, NightlyLimits(2), [0, 1], {"later": [2]}, id="at most two"),
        # 10 dialogues of 100 tokens each: the scenario's share of the shard's 30 plans
        pytest.param(debates(0, 1, 2), {}, NightlyLimits(99, tokens=2500), [0, 1], {"later": [2]}, id="tokens"),
        pytest.param(debates(0, 1, 2, 3), {}, NightlyLimits(99, usd=3.5), [0, 1, 2], {"later": [3]}, id="money"),
        pytest.param(  # 30 verdicts of 10 tokens each
            [partition(number, "stale", scores_only=True) for number in range(4)],
            {},
            NightlyLimits(99, tokens=900),
            [0, 1, 2],
            {"later": [3]},
            id="only scores are due",
        ),
        pytest.param(
            [partition(0), partition(1, seeds=45), partition(2, seeds=3)],
            {},
            NightlyLimits(99, tokens=2000),
            [0],
            {"later": [1, 2]},
            id="a small partition does not overtake an older one",
        ),
        pytest.param(
            [partition(0, seeds=3000), partition(1)],
            {},
            NightlyLimits(99, tokens=2000),
            [1],
            {"over budget": [0]},
            id="over budget",
        ),
    ],
)
def test_a_night_launches_and_skips(
    statuses: Sequence[PartitionStatus],
    failures: dict[int, int],
    limits: NightlyLimits,
    chosen: list[int],
    skipped: dict[Skipped, list[int]],
) -> None:
    failed_nights = {f"debate|{SHARDS[number]}": nights for number, nights in failures.items()}
    choice = choose_partitions(statuses, {"debate|x-0009"}, failed_nights, AVERAGES, limits)
    assert shard_numbers(one.partition for one in choice.chosen) == chosen
    assert {reason: shard_numbers(some) for reason, some in choice.skipped.items() if some} == skipped


@pytest.mark.parametrize(
    ("statuses", "most", "failures", "runs"),
    [
        pytest.param(debates(0, 1, 2, 5, 6), 20, {}, [[0, 1, 2], [5, 6]], id="consecutive shards"),
        pytest.param(debates(0, 1, 2, 3, 4), 2, {}, [[0, 1], [2, 3], [4]], id="at most two partitions"),
        pytest.param([partition(0), partition(1, scenario="analogy")], 20, {}, [[0], [1]], id="two scenarios"),
        pytest.param(debates(0, 1, 2), 20, {"debate|x-0001": 1}, [[0], [2], [1]], id="one failed before"),
        pytest.param(
            [partition(0, day=5), partition(1, day=6), partition(8, day=0), partition(9, day=9)],
            20,
            {},
            [[8, 9], [0, 1]],
            id="the run with the oldest partition first",
        ),
    ],
)
def test_the_runs_of_a_night(
    statuses: Sequence[PartitionStatus], most: int, failures: dict[str, int], runs: list[list[int]]
) -> None:
    choice = choose_partitions(statuses, (), failures, None, UNLIMITED)
    assert [shard_numbers(run.partitions) for run in plan_runs(choice.chosen, SHARDS, most)] == runs


def test_the_summary_says_what_was_skipped_and_what_to_do() -> None:
    statuses = [partition(0), partition(1, "stale"), partition(2, "failed"), partition(3), partition(4, seeds=900)]
    limits = NightlyLimits(1, tokens=20_000)
    choice = choose_partitions(statuses, {"debate|x-0003"}, {"debate|x-0000": 3}, AVERAGES, limits)
    launch = ".venv/bin/dg launch --assets scenario_dialogues,scored_dialogues --partition"
    assert choice.summary.splitlines() == [
        "5 partitions due (1 failed, 3 missing, 1 stale): 1 launched (about 1,000 tokens, $1.00), 1 in progress, "
        "1 later (at most 1 partitions, 20,000 tokens per night), 1 failed too often (in 3 nights), 1 over budget",
        "debate|x-0003: a run or an open batch makes it",
        "debate|x-0002: no room within the limits; left for the next night",
        "debate|x-0000: failed on too many nights; fix what its last run reports, then launch it by hand: "
        f"{launch} 'debate|x-0000'",
        "debate|x-0004: over budget; raise MASTER_NIGHTLY_TOKENS or MASTER_NIGHTLY_USD, or launch it by hand: "
        f"{launch} 'debate|x-0004'",
    ]


any_statuses = st.lists(
    st.builds(
        partition,
        st.integers(0, 99),
        st.sampled_from(["missing", "failed", "stale", None]),
        st.sampled_from(NAMES),
        day=st.integers(0, 9),
    ),
    unique_by=lambda status: status.key,
)


@given(any_statuses, st.integers(1, 20), st.integers(0, 20_000), st.sets(st.integers(0, 99)), st.integers(1, 20))
def test_every_due_partition_is_launched_or_skipped_once_within_the_limits(
    statuses: list[PartitionStatus], partitions: int, tokens: int, running: set[int], most: int
) -> None:
    limits = NightlyLimits(partitions, tokens=tokens)
    choice = choose_partitions(statuses, {f"debate|{SHARDS[number]}" for number in running}, {}, AVERAGES, limits)
    chosen = [one.partition.key for one in choice.chosen]
    skipped = [one.key for some in choice.skipped.values() for one in some]
    assert sorted(chosen + skipped) == sorted(one.key for one in statuses if one.why)
    assert len(chosen) <= partitions
    assert sum(one.expense.tokens for one in choice.chosen) <= tokens
    runs = plan_runs(choice.chosen, SHARDS, most)
    assert sorted(key for run in runs for key in run.keys) == sorted(chosen)
    for run in runs:
        numbers = shard_numbers(run.partitions)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) <= most
