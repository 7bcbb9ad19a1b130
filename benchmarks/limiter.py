"""The chat engine's limiter against endpoints with limits of their own, in simulated time: the same on any machine.

    python -m benchmarks.limiter

A hundred slots and 120 dialogues; calls of 200 ms (± 5 %) and of log-normal length (sigma 0.7), refusals back after
2 ms and after 50 ms. Each cell: time as a multiple of what the endpoint's limit allows (for log-normal calls the mean
is 1.28 × the median, and the last calls are long: no floor), and the share of calls refused; the mean of five draws.
"""

import math
import random
import sys
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from resources.chat.limiter import Limiter, RateLimitOutcome
from resources.chat.token_bucket import TokenBucket

SLOTS = 100
DIALOGUES = 120
LATENCY = 0.2  # seconds
DRAWS = 5

Accepts = Callable[[float, int], bool]  # at this moment, with so many in flight


def cap(most: int) -> Accepts:
    """An endpoint that takes so many calls at a time."""
    return lambda now, in_flight: in_flight < most


def bucket(rate: float, burst: float = 20) -> Accepts:
    """An endpoint that takes so many calls per second, after a burst."""
    tokens = TokenBucket(rate, burst)

    def accepts(now: float, in_flight: int) -> bool:
        if tokens.delay(now, 1) > 0:
            return False
        tokens.take(now, 1)
        return True

    return accepts


def noise(share: float) -> Accepts:
    """An endpoint that refuses this share of calls, whatever the load."""
    draw = random.Random(3)
    return lambda now, in_flight: draw.random() > share


def simulate(
    accepts: Accepts,
    calls: int,
    draw: random.Random,
    spread: float = 0.0,
    refusal: float = 0.002,
    limiter: Limiter | None = None,
) -> tuple[float, int]:
    """Seconds until so many calls are served, and how many were refused before that.

    Args:
        accepts: the endpoint.
        calls: how many are to be served.
        draw: where chance comes from.
        spread: sigma of the log-normal length of a call; with 0 its length is uniform, within 5 %.
        refusal: median seconds after which a refusal is back.
        limiter: by default one with a cap of `SLOTS`.
    """
    limiter = limiter or Limiter(SLOTS)
    now, ready, to_start, in_flight, served, refused, order = 0.0, DIALOGUES, calls, 0, 0, 0, 0
    events: list[tuple[float, int, str, float]] = []

    def later(seconds: float, kind: str) -> None:
        nonlocal order
        order += 1
        heappush(events, (now + seconds, order, kind, now))

    while served < calls:
        while ready and to_start:
            delay = limiter.delay(now)
            if delay > 0:
                if math.isfinite(delay):
                    later(max(delay, 0.0005), "look again")
                break
            limiter.start(now)
            ready, to_start = ready - 1, to_start - 1
            if accepts(now, in_flight):
                in_flight += 1
                later(LATENCY * (math.exp(draw.gauss(0, spread)) if spread else draw.uniform(0.95, 1.05)), "served")
            else:
                later(refusal * draw.uniform(0.5, 2), "refused")
        now, _, kind, since = heappop(events)
        if kind == "served":
            in_flight, served, ready = in_flight - 1, served + 1, ready + 1
            limiter.finish(now, RateLimitOutcome.SERVED, latency=now - since)
        elif kind == "refused":
            refused, to_start = refused + 1, to_start + 1
            limiter.finish(now, RateLimitOutcome.THROTTLED, latency=now - since)
            later(draw.uniform(0.15, 0.25), "rested")
        elif kind == "rested":
            ready += 1
    return now, refused


def main() -> None:
    print(f"{'calls':>5}  {'endpoint':16}  {'refused in 2 ms':>16}  {'in 50 ms':>16}  {'log-normal calls':>16}")
    for calls in (900, 3000):
        endpoints: list[tuple[str, Callable[[], Accepts], float]] = [
            *((f"{rate} calls/s", lambda rate=rate: bucket(rate), calls / rate) for rate in (100, 300, 450)),
            *((f"{most} at a time", lambda most=most: cap(most), calls * LATENCY / most) for most in (10, 30, 60, 90)),
            ("5 % at random", lambda: noise(0.05), calls * LATENCY / SLOTS),
            ("no limit", lambda: noise(0), calls * LATENCY / SLOTS),
        ]
        for name, make, floor in endpoints:
            cells = []
            for spread, refusal in ((0.0, 0.002), (0.0, 0.05), (0.7, 0.002)):
                runs = [simulate(make(), calls, random.Random(seed), spread, refusal) for seed in range(DRAWS)]
                seconds = sum(time for time, _ in runs) / DRAWS
                share = sum(refused / (calls + refused) for _, refused in runs) / DRAWS
                cells.append(f"{seconds / floor:.2f} x  {share:6.1%}")
            print(f"{calls:>5}  {name:16}  " + "  ".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
