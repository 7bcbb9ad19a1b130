"""How often and how soon a call is sent again."""

import random
from dataclasses import dataclass


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
