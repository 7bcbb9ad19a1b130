"""Which lessons a night takes, as a plain function of how the lessons stand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dialogues.estimate import Expense
from assets.partitions import Scenario
from assets.quality.standing import NotCurrent, Standing
from master_dagster.due import Averages, Choice, Limits, choose, together
from resources.lake import PartitionRecord

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
THIRDS = dict.fromkeys(Scenario, 1 / 3)
AVERAGES = Averages(dict.fromkeys(Scenario, Expense(100, 0.1)), Expense(10, 0.01), THIRDS)
WITHOUT_END = Limits(partitions=1000)


def shard(number: int) -> str:
    return f"x-{number:04d}"


def lesson(
    number: int,
    why: NotCurrent | None = "missing",
    scenario: Scenario = Scenario.DEBATE,
    *,
    day: int | None = None,
    seeds: int = 30,
    scores_only: bool = False,
) -> Standing:
    """A lesson of the shard of that number, planned on that day; the later the number, unless a day is given."""
    planned = BEGINNING + timedelta(days=number if day is None else day)
    plans = PartitionRecord("lesson_plans", {"shard": shard(number)}, planned, "0", "passed", seeds)
    told = PartitionRecord("scenario_dialogues", {}, planned, "0", "passed", seeds) if scores_only else None
    return Standing(scenario, shard(number), plans, told, None, why, scores_only)


def taken(choice: Choice) -> list[int]:
    """Numbers of the shards, in order."""
    return [int(one.lesson.shard[2:]) for one in choice.taken]


def left(lessons: Sequence[Standing]) -> list[int]:
    return [int(one.shard[2:]) for one in lessons]


def runs(standings: Sequence[Standing], most: int = 20, tries: dict[str, int] | None = None) -> list[list[int]]:
    """The night's runs, each as the numbers of its shards."""
    choice = choose(standings, (), tries or {}, None, WITHOUT_END)
    batches = together(choice.taken, [shard(number) for number in range(100)], most)
    return [left(batch.lessons) for batch in batches]


def test_current_lessons_are_not_taken() -> None:
    assert taken(choose([lesson(0, None), lesson(1)], (), {}, None, WITHOUT_END)) == [1]


def test_lessons_in_flight_are_left() -> None:
    choice = choose([lesson(0), lesson(1)], {"debate|x-0000"}, {}, None, WITHOUT_END)
    assert (taken(choice), left(choice.left["in flight"])) == ([1], [0])


def test_the_oldest_plans_come_first() -> None:
    assert taken(choose([lesson(0, day=2), lesson(1, day=1)], (), {}, None, WITHOUT_END)) == [1, 0]


@pytest.mark.parametrize("tries", [{}, {"debate|x-0000": 1}])
def test_what_failed_comes_last_whether_its_gate_or_its_run_did(tries: dict[str, int]) -> None:
    first = lesson(0, "missing" if tries else "failed")
    assert taken(choose([first, lesson(1, "stale")], (), tries, None, WITHOUT_END)) == [1, 0]


def test_a_lesson_is_given_up_after_its_tries() -> None:
    choice = choose([lesson(0), lesson(1)], (), {"debate|x-0000": 3, "debate|x-0001": 2}, None, WITHOUT_END)
    assert (taken(choice), left(choice.left["given up"])) == ([1], [0])


def test_no_more_than_so_many_are_taken() -> None:
    choice = choose([lesson(number) for number in range(3)], (), {}, None, Limits(partitions=2))
    assert (taken(choice), left(choice.left["later"])) == ([0, 1], [2])


def test_tokens_are_those_of_the_lessons_share_of_the_shards_plans() -> None:
    choice = choose([lesson(number) for number in range(5)], (), {}, AVERAGES, Limits(1000, tokens=2500))
    assert taken(choice) == [0, 1]  # 10 dialogues of 100 tokens each


def test_money_is_counted_likewise() -> None:
    choice = choose([lesson(number) for number in range(5)], (), {}, AVERAGES, Limits(1000, usd=3.5))
    assert taken(choice) == [0, 1, 2]


def test_where_only_scores_are_due_only_verdicts_are_counted() -> None:
    choice = choose(
        [lesson(n, "stale", scores_only=True) for n in range(5)], (), {}, AVERAGES, Limits(1000, tokens=900)
    )
    assert taken(choice) == [0, 1, 2]  # 30 verdicts of 10 tokens each


def test_a_small_lesson_does_not_overtake_an_older_one_that_waits_for_the_budget() -> None:
    standings = [lesson(0), lesson(1, seeds=45), lesson(2, seeds=3)]
    choice = choose(standings, (), {}, AVERAGES, Limits(1000, tokens=2000))
    assert (taken(choice), left(choice.left["later"])) == ([0], [1, 2])


def test_a_lesson_that_no_night_can_pay_for_keeps_no_others_waiting() -> None:
    choice = choose([lesson(0, seeds=3000), lesson(1)], (), {}, AVERAGES, Limits(1000, tokens=2000))
    assert (taken(choice), left(choice.left["too dear"])) == ([1], [0])


def test_contiguous_lessons_are_one_run() -> None:
    assert runs([lesson(number) for number in (0, 1, 2, 5, 6)]) == [[0, 1, 2], [5, 6]]


def test_a_run_is_no_longer_than_it_may_be() -> None:
    assert runs([lesson(number) for number in range(5)], most=2) == [[0, 1], [2, 3], [4]]


def test_lessons_of_two_scenarios_are_two_runs() -> None:
    assert runs([lesson(0), lesson(1, scenario=Scenario.ANALOGY)]) == [[0], [1]]


def test_a_lesson_that_failed_is_a_run_of_its_own() -> None:
    assert runs([lesson(number) for number in range(3)], tries={"debate|x-0001": 1}) == [[0], [2], [1]]


def test_the_run_with_the_oldest_lesson_comes_first() -> None:
    assert runs([lesson(0, day=5), lesson(1, day=6), lesson(8, day=0), lesson(9, day=9)]) == [[8, 9], [0, 1]]


def test_the_summary_says_what_was_left_and_what_to_do_about_it() -> None:
    standings = [lesson(0), lesson(1, "stale"), lesson(2, "failed"), lesson(3)]
    choice = choose(standings, {"debate|x-0003"}, {"debate|x-0000": 3}, None, Limits(partitions=1))
    assert choice.summary.splitlines() == [
        "4 lessons due (1 failed, 2 missing, 1 stale): 1 launched, 1 in flight already, "
        "1 left for the next tick (at most 1 lessons a night), 1 given up after 3 failed nights",
        "Left for the next tick: debate|x-0002.",
        "Given up: debate|x-0000. Their last runs say why. Mend that, then start each by hand: .venv/bin/dg "
        "launch --assets scenario_dialogues,scored_dialogues "
        "--partition 'debate|x-0000'",
    ]


standings_of_any_kind = st.lists(
    st.builds(
        lesson,
        st.integers(0, 99),
        st.sampled_from(["missing", "failed", "stale", None]),
        st.sampled_from(list(Scenario)),
        day=st.integers(0, 9),
    ),
    unique_by=lambda standing: standing.key,
)


@given(standings_of_any_kind, st.integers(1, 20), st.integers(0, 20_000), st.sets(st.integers(0, 99)))
def test_every_due_lesson_is_taken_or_left_once_and_the_limits_hold(
    standings: list[Standing], partitions: int, tokens: int, running: set[int]
) -> None:
    limits = Limits(partitions, tokens=tokens)
    choice = choose(standings, {f"debate|{shard(number)}" for number in running}, {}, AVERAGES, limits)
    told = [one.lesson.key for one in choice.taken] + [one.key for some in choice.left.values() for one in some]
    assert sorted(told) == sorted(one.key for one in standings if one.why)
    assert len(choice.taken) <= partitions
    assert sum(one.expense.tokens for one in choice.taken) <= tokens


@given(standings_of_any_kind, st.integers(1, 20))
def test_runs_hold_what_was_taken_and_nothing_else(standings: list[Standing], most: int) -> None:
    choice = choose(standings, (), {}, None, WITHOUT_END)
    batches = together(choice.taken, [shard(number) for number in range(100)], most)
    assert sorted(key for batch in batches for key in batch.keys) == sorted(one.lesson.key for one in choice.taken)
    for batch in batches:
        numbers = left(batch.lessons)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) <= most
