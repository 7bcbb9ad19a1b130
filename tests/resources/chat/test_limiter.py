"""The limiter keeps to its caps and finds the endpoint's own."""

import asyncio
import math
import random
from collections.abc import Callable
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.limiter import Bucket, Gate, Limiter, Outcome

STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=2),  # seconds that pass
        st.integers(min_value=0, max_value=5),  # calls that try to start
        st.lists(st.sampled_from(Outcome), max_size=5),  # calls that end
    ),
    max_size=60,
)


def run(limiter: Limiter, steps: list[tuple[float, int, list[Outcome]]]) -> list[float]:
    """Play the steps; the times at which calls started."""
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
def test_no_more_calls_are_in_flight_than_the_hard_cap(cap: int, steps: list[tuple[float, int, list[Outcome]]]) -> None:
    limiter = Limiter(cap)
    run(limiter, steps)
    assert 1 <= limiter.slots <= cap


@given(st.integers(min_value=1, max_value=300), STEPS)
def test_no_more_calls_start_in_a_minute_than_the_cap(
    per_minute: int, steps: list[tuple[float, int, list[Outcome]]]
) -> None:
    starts = run(Limiter(10**6, requests_per_minute=per_minute), steps)
    assert all(sum(at <= start < at + 59.999 for start in starts) <= per_minute for at in starts)


@given(st.floats(min_value=1, max_value=10**6), st.lists(st.tuples(st.floats(0, 30), st.floats(0.01, 1)), max_size=40))
def test_no_more_tokens_are_taken_in_a_minute_than_the_cap(
    per_minute: float, wishes: list[tuple[float, float]]
) -> None:
    bucket = Bucket.for_tokens(int(per_minute) * 30)
    now, taken = 0.0, []
    for passed, share in wishes:
        now += passed
        amount = share * bucket.burst
        if bucket.delay(now, amount) <= 0:
            bucket.take(now, amount)
            taken.append((now, amount))
    cap = int(per_minute) * 30 * (1 + 1e-6)
    assert all(sum(amount for other, amount in taken if at <= other < at + 60) <= cap for at, _ in taken)


def test_a_call_larger_than_the_burst_goes_through_and_leaves_a_debt() -> None:
    bucket = Bucket.for_tokens(600)
    assert bucket.delay(0, 10_000) == 0
    bucket.take(0, 10_000)
    assert bucket.delay(0, 1) > 60


def test_an_estimate_is_corrected_after_the_call() -> None:
    limiter = Limiter(10, tokens_per_minute=3000)
    limiter.start(0, 100)
    assert limiter.delay(1, 100) > 0
    limiter.finish(1, Outcome.SERVED, latency=0.1, tokens_over=-100)
    assert limiter.delay(1, 100) == 0


class Server:
    """Plays `dialogues` callers against a rule for accepting calls, in simulated time."""

    def __init__(self, accepts: Callable[[float, int], bool], latency: float = 0.2) -> None:
        self.accepts, self.latency = accepts, latency
        self.refused = 0

    def seconds(self, limiter: Limiter, calls: int, dialogues: int = 120) -> float:
        now, ready, to_start, in_flight, served = 100.0, dialogues, calls, 0, 0
        events: list[tuple[float, int, str]] = []
        draw = random.Random(1)
        order = 0

        def later(seconds: float, kind: str) -> None:
            nonlocal order
            order += 1
            heappush(events, (now + seconds, order, kind))

        while served < calls:
            while ready and to_start:
                delay = limiter.delay(now)
                if delay > 0:
                    if math.isfinite(delay):
                        later(delay, "look again")
                    break
                limiter.start(now)
                ready, to_start = ready - 1, to_start - 1
                if self.accepts(now - 100, in_flight):
                    in_flight += 1
                    later(self.latency * draw.uniform(0.95, 1.05), "served")
                else:
                    later(0.001, "refused")
            now, _, kind = heappop(events)
            if kind == "served":
                in_flight, served, ready = in_flight - 1, served + 1, ready + 1
                limiter.finish(now, Outcome.SERVED, latency=self.latency)
            elif kind == "refused":
                self.refused, to_start = self.refused + 1, to_start + 1
                limiter.finish(now, Outcome.REFUSED, latency=0.001)
                later(draw.uniform(0.2, 0.3), "rested")
            elif kind == "rested":
                ready += 1
        return now - 100


def test_a_hard_cap_behind_the_endpoint_is_found() -> None:
    server = Server(lambda now, in_flight: in_flight < 60)
    assert server.seconds(Limiter(100), calls=3000) < 1.15 * 3000 * 0.2 / 60
    assert server.refused < 0.05 * 3000


def test_a_token_bucket_behind_the_endpoint_is_kept_to() -> None:
    bucket = Bucket(rate=300, burst=20, level=20)

    def accepts(now: float, in_flight: int) -> bool:
        if bucket.delay(now, 1) > 0:
            return False
        bucket.take(now, 1)
        return True

    server = Server(accepts)
    assert server.seconds(Limiter(100), calls=3000) < 1.15 * 3000 / 300
    assert server.refused < 0.05 * 3000


@pytest.mark.parametrize("allowed", [30, 60, 90])
def test_few_calls_are_refused_while_a_cap_is_found(allowed: int) -> None:
    server = Server(lambda now, in_flight: in_flight < allowed)
    assert server.seconds(Limiter(100), calls=900) < 1.15 * 900 * 0.2 / allowed
    assert server.refused < 0.05 * 900


def test_refusals_that_no_lower_level_cures_are_tolerated() -> None:
    draw = random.Random(3)
    server = Server(lambda now, in_flight: draw.random() > 0.05)
    assert server.seconds(Limiter(100), calls=3000) < 1.2 * 3000 * 0.2 / 100


def test_the_level_comes_back_soon_after_a_passing_shortage() -> None:
    limiter = Limiter(100)
    Server(lambda now, in_flight: in_flight < (10 if 2 < now < 6 else 100)).seconds(limiter, calls=4000)
    assert limiter.slots == 100


def starts_of_a_minute(limiter: Limiter, begin: float) -> int:
    started, now = 0, begin
    while now < begin + 59.9:
        if limiter.delay(now) <= 0:
            limiter.start(now)
            limiter.finish(now, Outcome.SERVED, latency=0.001)
            started += 1
        now += 0.05
    return started


@given(st.integers(1, 4), st.integers(60, 600))
def test_processes_that_share_the_calls_a_minute_keep_to_them_together(processes: int, per_minute: int) -> None:
    limiters = [Limiter(10, requests_per_minute=per_minute) for _ in range(processes)]
    for limiter in limiters:
        limiter.share(0, 10, 1 / processes)
    together = sum(starts_of_a_minute(limiter, 1) for limiter in limiters)
    assert 0.85 * per_minute - processes <= together <= per_minute


def test_a_process_without_a_share_waits_and_begins_without_a_burst() -> None:
    limiter = Limiter(10, requests_per_minute=600)
    limiter.share(0, 0, 0.0)
    assert limiter.delay(1) == math.inf
    limiter.share(2, 5, 0.5)
    assert limiter.delay(2) > 0
    assert limiter.delay(3) == 0
    assert limiter.slots == 5


def test_a_larger_share_is_used_at_once_and_a_smaller_one_kept_to() -> None:
    limiter = Limiter(10)
    limiter.share(0, 4, 1.0)
    assert limiter.slots == 4
    limiter.share(1, 10, 1.0)
    assert limiter.slots == 10


def test_an_endpoint_that_serves_nothing_is_left_alone_ever_longer() -> None:
    server = Server(lambda now, in_flight: now > 20)
    server.seconds(Limiter(10), calls=10)
    assert server.refused < 30


def test_a_refusal_with_nothing_served_pauses_for_as_long_as_it_asks() -> None:
    limiter = Limiter(1)
    limiter.start(100)
    limiter.finish(100, Outcome.REFUSED, retry_after=7)
    assert limiter.delay(101) == pytest.approx(6)


def test_an_exhausted_allowance_in_the_headers_is_waited_out() -> None:
    limiter = Limiter(10)
    limiter.heed(0, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"})
    assert limiter.delay(0) == 60
    limiter = Limiter(10)
    limiter.heed(
        0,
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "60s",
        },
    )
    assert limiter.delay(0) == pytest.approx(1)


@pytest.mark.parametrize(
    "headers", [{}, {"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "soon"}]
)
def test_headers_that_say_nothing_change_nothing(headers: dict[str, str]) -> None:
    limiter = Limiter(10)
    limiter.heed(0, headers)
    assert limiter.delay(0) == 0


def test_the_gate_serves_in_order_and_survives_cancellation() -> None:
    async def scenario() -> list[int]:
        gate = Gate(Limiter(1), asyncio.get_running_loop().time)
        entered: list[int] = []

        async def enter(number: int) -> None:
            await gate.enter(1)
            entered.append(number)

        waiting = [asyncio.create_task(enter(number)) for number in range(4)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        for _ in range(3):
            gate.leave(Outcome.SERVED)
            await asyncio.sleep(0)
        assert gate.waiting == 0
        return entered

    assert asyncio.run(scenario()) == [0, 2, 3]


def test_a_slot_given_to_a_cancelled_call_goes_to_the_next() -> None:
    async def scenario() -> int:
        gate = Gate(Limiter(1), asyncio.get_running_loop().time)
        await gate.enter(1)
        second = asyncio.create_task(gate.enter(1))
        third = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0)
        gate.leave(Outcome.SERVED)  # the slot is the second's from here on
        second.cancel()
        await third
        return gate.limiter.in_flight

    assert asyncio.run(scenario()) == 1
