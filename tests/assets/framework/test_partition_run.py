"""One run over many partitions, without Dagster and without a lake."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from assets.framework.partition_run import (
    SHOWN_KEYS,
    Outcomes,
    PartitionError,
    RunProgress,
    Written,
    gather_results,
    run_partitions,
)
from resources.chat.calls import BudgetSpent
from resources.lake.store import StoreError, StoreUnreachable
from resources.lake.tables import TableError


@dataclass
class CountingWork:
    """Partitions of so many units each; `faults` says which step of which partition raises what."""

    units: dict[str, int]
    slots: int = 4
    current: set[str] = field(default_factory=set)
    faults: dict[tuple[str, str], Exception] = field(default_factory=dict)  # by step and key
    gate_failures: dict[str, str] = field(default_factory=dict)
    company: int = 1  # no unit ends before so many were under way at once
    while_writing: Callable[[str], None] = lambda key: None
    steps: list[tuple[str, str]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def _step(self, step: str, key: str) -> None:
        self.steps.append((step, key))
        if fault := self.faults.get((step, key)):
            raise fault

    def did(self, step: str) -> list[str]:
        return [key for name, key in self.steps if name == step]

    def is_current(self, key: str) -> bool:
        self._step("is_current", key)
        return key in self.current

    def describe(self, key: str) -> Mapping[str, Any]:
        return {"made": "earlier"}

    def read(self, key: str) -> int:
        self._step("read", key)
        return self.units[key]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        self._step("open", "")
        yield asyncio.Semaphore(self.slots)
        self._step("close", "")

    async def run(self, key: str, inputs: int, slots: asyncio.Semaphore) -> int:
        async def unit() -> int:
            async with slots:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                if self.under_way >= self.company:
                    self.enough.set()
                await asyncio.wait_for(self.enough.wait(), 10)
                await asyncio.sleep(0)
                self.under_way -= 1
            self._step("unit", key)
            return 1

        return sum(await gather_results(unit() for _ in range(inputs)))

    def write(self, key: str, inputs: int, made: int) -> Written:
        self.while_writing(key)
        self._step("write", key)
        return Written({"made": made}, self.gate_failures.get(key, ""))


@dataclass
class Claims:
    """Claims in memory: `others` are claimed by another run."""

    others: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)

    def __call__(self, address: str) -> Any:
        assert address.startswith("lake/table/")
        key = address.removeprefix("lake/table/")
        if key in self.others:
            return None
        self.claimed.add(key)
        return Claim(self, key)


@dataclass
class Claim:
    claims: Claims
    key: str

    def release(self) -> None:
        self.claims.claimed.discard(self.key)


async def run(work: CountingWork, outcomes: Outcomes, claims: Claims | None = None, **options: Any) -> Outcomes:
    claims = claims or Claims()
    try:
        await run_partitions(work, outcomes, address="lake/table", claim_partition=claims, look_seconds=0, **options)
    finally:
        assert claims.claimed == set()
    return outcomes


def outcomes_of(work: CountingWork, **options: Any) -> Outcomes:
    return asyncio.run(run(work, Outcomes(list(work.units)), **options))


def test_every_partition_is_made_and_written() -> None:
    work = CountingWork({"a": 3, "b": 0, "c": 5})
    outcomes = outcomes_of(work)
    assert outcomes.written == {"a": {"made": 3}, "b": {"made": 0}, "c": {"made": 5}}
    assert (outcomes.failures, outcomes.gate_failures) == ({}, {})


def test_a_current_partition_is_described_and_nothing_is_opened_for_it() -> None:
    work = CountingWork({"a": 3}, current={"a"})
    assert outcomes_of(work).written == {"a": {"made": "earlier"}}
    assert work.steps == [("is_current", "a")]


@pytest.mark.parametrize("units", [{"a": 20}, dict.fromkeys("abcdef", 2), {"a": 1, "b": 0, "c": 30}])
def test_all_slots_are_used_across_partitions_and_no_more(units: dict[str, int]) -> None:
    work = CountingWork(units, slots=6, company=6)
    outcomes_of(work)
    assert work.most == 6


def test_the_next_partition_is_read_only_when_a_slot_is_free() -> None:
    work = CountingWork({"a": 8, "b": 8, "c": 8}, slots=2)
    outcomes_of(work)
    before_the_last_is_read = work.steps[: work.steps.index(("read", "c"))]
    assert before_the_last_is_read.count(("unit", "a")) == 8


def test_one_slot_makes_one_partition_after_the_other() -> None:
    work = CountingWork({"a": 1, "b": 1}, slots=1)
    outcomes_of(work)
    assert work.most == 1


@pytest.mark.parametrize("step", ["is_current", "read", "unit", "write"])
@pytest.mark.parametrize("error", [PartitionError("no plans"), TableError("no plans"), KeyError("no plans")])
def test_an_error_of_one_partition_is_noted_and_the_others_are_made(step: str, error: Exception) -> None:
    work = CountingWork({"a": 2, "b": 2}, faults={(step, "a"): error})
    outcomes = outcomes_of(work, fails_partition=(KeyError,))
    assert list(outcomes.written) == ["b"]
    assert outcomes.failures == {"a": str(error)}


@pytest.mark.parametrize("step", ["is_current", "read", "unit", "write"])
@pytest.mark.parametrize(
    "error", [BudgetSpent("100 tokens are spent"), OSError("disk full"), StoreUnreachable("no lake")]
)
def test_any_other_error_ends_the_run_and_what_is_written_stays(step: str, error: Exception) -> None:
    work = CountingWork({"a": 1, "b": 2, "c": 2}, slots=1, faults={(step, "b"): error})
    outcomes = Outcomes(list(work.units))
    with pytest.raises(type(error)) as caught:
        asyncio.run(run(work, outcomes, fails_partition=(StoreError,)))
    assert caught.value is error
    assert "b" not in outcomes.written
    assert outcomes.failures == {}
    if step in ("unit", "write"):  # reading runs ahead: then the first may still be under way
        assert "a" in outcomes.written


def test_a_partition_whose_gate_failed_is_written_and_noted() -> None:
    outcomes = outcomes_of(CountingWork({"a": 1, "b": 1}, gate_failures={"a": "too few"}))
    assert (list(outcomes.written), outcomes.gate_failures) == (["a", "b"], {"a": "too few"})


@pytest.mark.parametrize("theirs_succeeds", [True, False])
def test_a_partition_of_another_run_is_looked_at_again_when_that_run_is_done(theirs_succeeds: bool) -> None:
    claims = Claims(others={"a"})
    work = CountingWork({"a": 2, "b": 2})

    def the_other_run_ends(key: str) -> None:
        claims.others.clear()
        if theirs_succeeds:
            work.current.add("a")

    work.while_writing = the_other_run_ends
    outcomes = outcomes_of(work, claims=claims)
    assert sorted(outcomes.written) == ["a", "b"]
    assert outcomes.written["a"] == ({"made": "earlier"} if theirs_succeeds else {"made": 2})


def test_a_partition_that_is_finished_is_written_though_the_run_is_cancelled() -> None:
    writing, may_write = threading.Event(), threading.Event()

    def write_slowly(key: str) -> None:
        writing.set()
        may_write.wait(10)

    work = CountingWork({"a": 1, "b": 50}, slots=1, while_writing=write_slowly)
    outcomes = Outcomes(list(work.units))

    async def cancel_while_writing() -> None:
        task = asyncio.create_task(run(work, outcomes))
        await asyncio.to_thread(writing.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        may_write.set()
        await task

    with suppress(asyncio.CancelledError):
        asyncio.run(cancel_while_writing())
    assert outcomes.written["a"] == {"made": 1}  # the other one may end before it is cancelled


def test_progress_shows_the_run_and_the_partitions_under_way() -> None:
    shown: list[tuple[Any, ...]] = []

    def update(done: int, total: int, detail: Any = "", parts: Any = tuple, share: Any = None) -> None:
        shown.append((done, total, detail(), [(part.name, part.done, part.total, part.detail) for part in parts()]))

    progress = RunProgress(update, lambda: "3 calls/s")
    with progress.partition("a", 2) as one_more:
        one_more()
        with progress.partition("b", 1) as one_more_of_b:
            one_more_of_b("1 set aside")
    with progress.partition("c", 1) as one_more:
        one_more()
    assert shown == [
        (0, 2, "3 calls/s", [("a", 0, 2, "")]),
        (1, 2, "3 calls/s", [("a", 1, 2, "")]),
        (1, 3, "3 calls/s", [("a", 1, 2, ""), ("b", 0, 1, "")]),
        (2, 3, "3 calls/s", [("a", 1, 2, ""), ("b", 1, 1, "1 set aside")]),
        (2, 4, "3 calls/s", [("c", 0, 1, "")]),
        (3, 4, "3 calls/s", [("c", 1, 1, "")]),
    ]


def test_the_summary_names_what_is_left_up_to_a_length() -> None:
    outcomes = Outcomes([f"k{number}" for number in range(SHOWN_KEYS + 3)], {"k0": {}}, failures={"k1": "no plan"})
    assert outcomes.summary() == "1 of 11 partitions are written; left: k2, k3, k4, k5, k6, k7, k8, k9 and 1 more"
