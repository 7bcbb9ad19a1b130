"""How often and how soon a call is sent again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from resources.chat.replies import AttemptFailed, Throttled

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits between attempts.

    A failed attempt is followed by a wait that grows fourfold each time: 47 s for six attempts, so that a call outlasts
    a restart of its endpoint. Rate limiting (429, or 503 with Retry-After) uses up no attempt: the call waits as long
    as the endpoint asks, or `first_wait` doubling up to `longest_throttled_wait`, until the endpoint's
    `retry_deadline_seconds`.
    """

    attempts: int = 6
    first_wait: float = 0.2  # seconds
    longest_wait: float = 30.0
    longest_throttled_wait: float = 2.0
    jitter: float = 0.25  # share by which a wait is shorter or longer

    def after_failure(self, failures: int) -> float:
        """Seconds to wait after that many failed attempts."""
        return self._jittered(min(self.longest_wait, self.first_wait * 4 ** (failures - 1)))

    def after_throttling(self, times: int, retry_after: float | None) -> float:
        """Seconds to wait when throttled that many times in a row, the last time with this Retry-After in seconds."""
        if retry_after is not None:
            return retry_after * (1 + random.random() * self.jitter / 2)
        return self._jittered(min(self.longest_throttled_wait, self.first_wait * 2 ** min(10, times - 1)))

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + self.jitter * (2 * random.random() - 1))


async def with_retries(
    policy: RetryPolicy,
    deadline: float,
    attempt: Callable[[int], Awaitable[Result]],
    on_failure: Callable[[Throttled | AttemptFailed], None],
    give_up: Callable[[Throttled | AttemptFailed, int, float], Exception],
) -> Result:
    """The result of the first attempt that succeeds, with separate limits for failures and for throttling.

    Args:
        policy: attempts and waits.
        deadline: seconds for which attempts may be throttled.
        attempt: called with its number, from 0.
        on_failure: called after each failed attempt, the last one too.
        give_up: gives the error to raise after the last attempt, from how it failed, how many failed in this way, and
            when the first of them did, on the event loop's clock.
    """
    clock = asyncio.get_running_loop().time
    number = failures = throttlings = 0
    failing_since = throttled_since = 0.0
    while True:
        try:
            return await attempt(number)
        except Throttled as throttled:
            throttlings += 1
            throttled_since = throttled_since or clock()
            on_failure(throttled)
            wait = policy.after_throttling(throttlings, throttled.retry_after)
            if clock() + wait > throttled_since + deadline:
                raise give_up(throttled, throttlings, throttled_since) from None
        except AttemptFailed as failed:
            failures += 1
            failing_since = failing_since or clock()
            on_failure(failed)
            if failures >= policy.attempts:
                raise give_up(failed, failures, failing_since) from None
            wait = policy.after_failure(failures)
        number += 1
        await asyncio.sleep(wait)
