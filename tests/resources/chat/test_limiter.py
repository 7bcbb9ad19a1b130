"""The limiter keeps to its caps and finds the endpoint's own limits."""

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.limiter import LATENCY, SLOTS, Accepts, bucket, cap, noise, simulate
from resources.chat.call_queue import CallQueue
from resources.chat.limiter import Limiter, RateLimitOutcome
from resources.chat.token_bucket import TokenBucket, token_bucket

SERVED, THROTTLED = RateLimitOutcome.SERVED, RateLimitOutcome.THROTTLED
Steps = list[tuple[float, int, list[RateLimitOutcome]]]
STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=2),  # seconds that pass
        st.integers(min_value=0, max_value=5),  # calls that try to start
        st.lists(st.sampled_from(RateLimitOutcome), max_size=5),  # calls that end
    ),
    max_size=60,
)


def run(limiter: Limiter, steps: Steps) -> list[float]:
    """The times at which calls started."""
    now, starts = 50.0, []
    for passed, tries, endings in steps:
        now += passed
        for _ in range(tries):
            if limiter.delay(now, 10) <= 0:
                limiter.start(now, 10)
                starts.append(now)
            assert limiter.in_flight <= limiter.cap
        for outcome in endings[: limiter.in_flight]:
            limiter.finish(now, outcome, latency=0.2)
    return starts


@given(st.integers(min_value=1, max_value=20), STEPS)
def test_calls_in_flight_never_exceed_the_cap(most: int, steps: Steps) -> None:
    limiter = Limiter(most)
    run(limiter, steps)
    assert 1 <= limiter.slots <= most


@given(st.integers(min_value=1, max_value=300), STEPS)
def test_calls_started_in_any_minute_never_exceed_the_cap(per_minute: int, steps: Steps) -> None:
    starts = run(Limiter(10**6, requests_per_minute=per_minute), steps)
    assert all(sum(at <= start < at + 59.999 for start in starts) <= per_minute for at in starts)


@given(st.floats(min_value=1, max_value=10**6), st.lists(st.tuples(st.floats(0, 30), st.floats(0.01, 1)), max_size=40))
def test_tokens_taken_in_any_minute_never_exceed_the_cap(per_minute: float, wishes: list[tuple[float, float]]) -> None:
    tokens = TokenBucket(*token_bucket(int(per_minute) * 30))
    now, taken = 0.0, []
    for passed, share in wishes:
        now += passed
        amount = share * tokens.burst
        if tokens.delay(now, amount) <= 0:
            tokens.take(now, amount)
            taken.append((now, amount))
    most = int(per_minute) * 30 * (1 + 1e-6)
    assert all(sum(amount for other, amount in taken if at <= other < at + 60) <= most for at, _ in taken)


def test_a_call_larger_than_the_burst_starts_and_leaves_a_debt() -> None:
    tokens = TokenBucket(*token_bucket(600))
    assert tokens.delay(0, 10_000) == 0
    tokens.take(0, 10_000)
    assert tokens.delay(0, 1) > 60


def test_an_estimate_of_tokens_is_corrected_after_the_call() -> None:
    limiter = Limiter(10, tokens_per_minute=3000)
    limiter.start(0, 100)
    assert limiter.delay(1, 100) > 0
    limiter.finish(1, SERVED, latency=0.1, tokens_over=-100)
    assert limiter.delay(1, 100) == 0


@pytest.mark.parametrize(
    ("accepts", "calls", "floor", "slowdown", "throttled_share"),
    [
        (cap(60), 3000, 3000 * LATENCY / 60, 1.15, 0.05),
        (cap(30), 900, 900 * LATENCY / 30, 1.15, 0.05),
        (cap(60), 900, 900 * LATENCY / 60, 1.15, 0.05),
        (cap(90), 900, 900 * LATENCY / 90, 1.15, 0.05),
        (bucket(300), 3000, 3000 / 300, 1.15, 0.05),
        (noise(0.05), 3000, 3000 * LATENCY / SLOTS, 1.2, 0.1),
    ],
    ids=["cap of 60", "cap of 30, short", "cap of 60, short", "cap of 90, short", "300 calls/s", "5 % at random"],
)
def test_an_endpoints_own_limit_is_used_with_few_throttled_calls(
    accepts: Accepts, calls: int, floor: float, slowdown: float, throttled_share: float
) -> None:
    seconds, throttled = simulate(accepts, calls, random.Random(1))
    assert seconds < slowdown * floor
    assert throttled < throttled_share * calls


def test_the_level_comes_back_soon_after_a_passing_shortage() -> None:
    limiter = Limiter(100)
    simulate(lambda now, in_flight: in_flight < (10 if 2 < now < 6 else 100), 4000, random.Random(1), limiter=limiter)
    assert limiter.slots == 100


def test_an_endpoint_that_serves_nothing_gets_ever_fewer_calls() -> None:
    _, throttled = simulate(lambda now, in_flight: now > 20, 10, random.Random(1), limiter=Limiter(10))
    assert throttled < 30


def test_throttling_with_nothing_served_pauses_for_as_long_as_it_asks() -> None:
    limiter = Limiter(1)
    limiter.start(100)
    limiter.finish(100, THROTTLED, retry_after=7)
    assert limiter.delay(101) == pytest.approx(6)


def test_no_pause_is_longer_than_a_minute() -> None:
    limiter = Limiter(10)
    limiter.pause(0, 90)
    assert limiter.delay(0) == 60


# ---- a share of the caps


def starts_of_a_minute(limiter: Limiter, begin: float) -> int:
    started, now = 0, begin
    while now < begin + 59.9:
        if limiter.delay(now) <= 0:
            limiter.start(now)
            limiter.finish(now, SERVED, latency=0.001)
            started += 1
        now += 0.05
    return started


@given(st.integers(1, 4), st.integers(60, 600))
def test_processes_that_share_the_calls_per_minute_keep_to_them_together(processes: int, per_minute: int) -> None:
    limiters = [Limiter(10, requests_per_minute=per_minute) for _ in range(processes)]
    for limiter in limiters:
        limiter.share(0, 10, 1 / processes)
    together = sum(starts_of_a_minute(limiter, 1) for limiter in limiters)
    assert 0.85 * per_minute - processes <= together <= per_minute


def test_a_process_without_a_share_waits_and_then_begins_without_a_burst() -> None:
    limiter = Limiter(10, requests_per_minute=600, tokens_per_minute=60_000)
    limiter.share(0, 0, 0.0)
    assert limiter.delay(1) == math.inf
    limiter.share(2, 5, 0.5)
    assert limiter.delay(2) > 0
    assert limiter.delay(3) == 0
    assert limiter.slots == 5


def test_a_larger_share_is_used_at_once() -> None:
    limiter = Limiter(10)
    limiter.share(0, 4, 1.0)
    assert limiter.slots == 4
    limiter.share(1, 10, 1.0)
    assert limiter.slots == 10


# ---- the queue


def test_the_queue_serves_in_order_and_skips_cancelled_calls() -> None:
    async def scenario() -> list[int]:
        queue = CallQueue(Limiter(1), asyncio.get_running_loop().time)
        served: list[int] = []

        async def call(number: int) -> None:
            await queue.acquire(1)
            served.append(number)

        waiting = [asyncio.create_task(call(number)) for number in range(4)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        for _ in range(3):
            queue.release(SERVED)
            await asyncio.sleep(0)
        assert len(queue) == 0
        return served

    assert asyncio.run(scenario()) == [0, 2, 3]


def test_a_slot_given_to_a_cancelled_call_goes_to_the_next() -> None:
    async def scenario() -> int:
        queue = CallQueue(Limiter(1), asyncio.get_running_loop().time)
        await queue.acquire(1)
        second = asyncio.create_task(queue.acquire(1))
        third = asyncio.create_task(queue.acquire(1))
        await asyncio.sleep(0)
        queue.release(SERVED)  # the slot is the second's from here on
        second.cancel()
        await third
        return queue.limiter.in_flight

    assert asyncio.run(scenario()) == 1
