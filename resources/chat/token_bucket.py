"""A cap per minute, as a token bucket."""

import math


class TokenBucket:
    """Allows `burst` units at once and then `rate` units per second. A unit is a call or a token.

    An amount above `burst` waits for a full bucket and leaves a debt. Times are in seconds of a monotonic clock.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = self.level = burst
        self._filled_at = 0.0

    def delay(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        self.take(now, 0)
        missing = min(amount, self.burst) - self.level
        if missing <= 1e-9:
            return 0.0
        return missing / self.rate if self.rate else math.inf

    def take(self, now: float, amount: float) -> None:
        """Take `amount`; a negative amount gives back."""
        filled = min(self.burst, self.level + max(0.0, now - self._filled_at) * self.rate)
        self.level = min(self.burst, filled - amount)
        self._filled_at = max(self._filled_at, now)

    def resize(self, now: float, rate: float, burst: float) -> None:
        """Change rate and burst; what is left stays, up to the new burst."""
        self.take(now, 0)
        self.rate, self.burst, self.level = rate, burst, min(self.level, burst)


def call_bucket(per_minute: float) -> tuple[float, float]:
    """Rate and burst with which at most `per_minute` calls start in any 60 seconds, one second's worth at once."""
    if not per_minute:
        return 0.0, 0.0
    per_minute = math.floor(per_minute + 1e-6) or per_minute
    burst = float(max(1, per_minute // 60))
    return (per_minute + 1 - burst) / 60, burst


def token_bucket(per_minute: float) -> tuple[float, float]:
    """Rate and burst with which at most `per_minute` tokens are taken in any 60 seconds, two seconds' worth at once."""
    burst = per_minute / 30
    return (per_minute - burst) / 60, burst
