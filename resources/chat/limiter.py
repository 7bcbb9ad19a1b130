"""How many calls one endpoint gets at a time, and how fast: the profile's caps, and what the endpoint's answers show.

`Limiter` computes on plain numbers and a clock that its caller reads, so it is tested without waiting.
"""

import math
from enum import Enum

from resources.chat.token_bucket import TokenBucket, call_bucket, token_bucket

TOLERATED_SHARE = 0.02  # of calls throttled, which does not lower the level
PROBE = 0.15  # share by which the level falls to find out whether the throttling depends on it
LARGEST_NOISE = 0.10  # a larger share of throttled calls always depends on the level
MIN_OUTCOMES = 20  # a window with fewer outcomes lasts five times as long
SHORTEST_WINDOW = 0.05  # seconds
MOST_CLEAN_WINDOWS = 16  # that are waited for before the level rises
LONGEST_PAUSE = 60.0  # seconds that one answer can pause the whole endpoint
SPACING = 0.8  # of the even distance between starts
RAMP_SECONDS = 0.1  # over which the first calls, one per slot, are spread …
WIDEST_RAMP = 0.002  # … but no further than this many seconds from each other
SLOWEST_RAMP = 0.1  # seconds between two starts
RAMP_THROTTLED_SHARE = 0.35  # of the latest ten calls or so, above which the ramp slows


class RateLimitOutcome(Enum):
    """What a call showed of its endpoint's capacity."""

    SERVED = "served"
    THROTTLED = "throttled"  # 429, or 503 with Retry-After
    NEITHER = "neither"  # failed or cancelled


class Limiter:
    """The limits of one endpoint. Every method takes `now`, in seconds of a monotonic clock.

    The first calls, as many as there are slots, are spread over a tenth of a second, and throttled calls among them
    halve their pace. The number in flight at the first answer after that is the first level; without throttling it is
    `max_concurrency`. From then on the level follows additive increase and multiplicative decrease, in windows of
    about one latency:

    - A throttled call takes one slot away until its window ends.
    - A window whose share of throttled calls is above the tolerance lowers the level once: by that share, or, where
      the share is small, by `PROBE`. If the next window is no better, the throttling does not depend on the level:
      the level returns to where it was, and that share is tolerated. Else the level returns to the last good one.
    - Clean windows in a row raise the level by 1, 2, 4, … calls. Each rise that was followed by throttling doubles the
      number of clean windows before the next one.

    Below `max_concurrency` calls start at a distance from each other, as many endpoints limit calls per second too.
    While no call at all is served, the endpoint gets no call for a growing time, or as long as it asks.

    Args:
        max_concurrency: the cap on calls in flight.
        requests_per_minute, tokens_per_minute: the other caps, if there are any.
    """

    def __init__(
        self, max_concurrency: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.cap = max_concurrency
        self.level = float(max_concurrency)
        self.in_flight = 0
        self._requests_cap, self._tokens_cap = requests_per_minute or 0.0, tokens_per_minute or 0.0
        self._calls = TokenBucket(*call_bucket(self._requests_cap)) if requests_per_minute else None
        self._tokens = TokenBucket(*token_bucket(self._tokens_cap)) if tokens_per_minute else None
        self._ramp: float | None = min(WIDEST_RAMP, RAMP_SECONDS / max_concurrency)  # seconds between starts
        self._starts = 0
        self._ramp_throttled = 0.0  # share of the latest calls, smoothed
        self._ramp_slowed_at: float | None = None
        self._earliest_start = self._paused_until = -math.inf
        self._pauses = 0  # in a row
        self._latency = 0.0  # smoothed, seconds
        self._noise = 0.0  # share of throttled calls that does not depend on the level
        self._before_probe: tuple[float, float] | None = None  # level and share of throttled calls
        self._clean_windows = 0
        self._clean_windows_to_rise = 1
        self._step = 1
        self._rose = False  # since the level last fell
        self._opened_at, self._served, self._throttled, self._peak = 0.0, 0, 0, 0  # the window

    @property
    def slots(self) -> int:
        """Calls that may be in flight at this moment; never above the cap."""
        return min(self.cap, max(1, int(self.level + 1e-9) - self._throttled))

    def share(self, now: float, slots: int, rate: float) -> None:
        """Use only `slots` calls in flight and the share `rate` (0..1) of the caps per minute; 0, 0 allows no call."""
        unlimited = self.level >= self.cap
        self.cap = slots
        self.level = float(max(1, slots if unlimited else min(self.level, slots)))
        if self._calls:
            self._calls.resize(now, *call_bucket(self._requests_cap * rate))
        if self._tokens:
            self._tokens.resize(now, *token_bucket(self._tokens_cap * rate))

    def delay(self, now: float, tokens: float = 0.0) -> float:
        """Seconds until a call of about `tokens` tokens may start: 0 at once, inf when another has to end first."""
        self._judge(now)
        if self.in_flight >= self.slots:
            return max(0.001, self._window_end() - now) if self._throttled else math.inf
        waits = [0.0, self._paused_until - now, self._earliest_start - now]
        if self._calls:
            waits.append(self._calls.delay(now, 1))
        if self._tokens:
            waits.append(self._tokens.delay(now, tokens))
        return max(waits)

    def start(self, now: float, tokens: float = 0.0) -> None:
        """Count a call in, for which `delay` was 0."""
        self.in_flight += 1
        self._starts += 1
        self._ramp_throttled *= 0.9
        self._peak = max(self._peak, self.in_flight)
        if self._ramp is not None and self._starts >= self.cap and self._ramp_slowed_at is None:
            self._ramp = None
        elif self._ramp is not None:
            self._earliest_start = max(now, self._earliest_start) + self._ramp
        elif self.level < self.cap:
            self._earliest_start = max(now, self._earliest_start) + SPACING * self._latency / self.level
        if self._calls:
            self._calls.take(now, 1)
        if self._tokens:
            self._tokens.take(now, tokens)

    def finish(
        self,
        now: float,
        outcome: RateLimitOutcome,
        *,
        latency: float = 0.0,
        tokens_over: float = 0.0,
        retry_after: float | None = None,
    ) -> None:
        """Count a call out.

        Args:
            now: seconds.
            outcome: how it ended.
            latency: seconds that it took.
            tokens_over: tokens that it used beyond the estimate it started with; negative if fewer.
            retry_after: seconds that a throttled call was asked to wait.
        """
        self.in_flight -= 1
        if self._tokens and tokens_over:
            self._tokens.take(now, tokens_over)
        if outcome is RateLimitOutcome.SERVED:
            self._served += 1
            self._pauses = 0
            self._latency += (latency - self._latency) * (0.1 if self._latency else 1.0)
            if self._ramp is not None and self._ramp_slowed_at is not None:
                self._ramp = self._ramp_slowed_at = None
                self.level = float(min(max(1, self.cap), self.in_flight + 1))
                self._open_window(now)
        elif outcome is RateLimitOutcome.THROTTLED:
            self._throttled += 1
            self._slow_ramp(now, started=now - latency)
            if (self.slots == 1 or self._ramp_slowed_at is not None) and not self._served and not self.in_flight:
                self._pauses += 1
                self.pause(now, 0.25 * 2 ** min(8, self._pauses) if retry_after is None else retry_after)
        self._judge(now)

    def pause(self, now: float, seconds: float) -> None:
        """Start no call for that many seconds, `LONGEST_PAUSE` at most."""
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE))

    def _slow_ramp(self, now: float, started: float) -> None:
        """Halve the pace of the first calls, once for all that were in flight together."""
        if self._ramp is None:
            return
        self._ramp_throttled += 0.1
        if self._ramp_throttled > RAMP_THROTTLED_SHARE and (
            self._ramp_slowed_at is None or started >= self._ramp_slowed_at
        ):
            self._ramp = min(SLOWEST_RAMP, 2 * self._ramp)
            self._ramp_slowed_at = now

    def _open_window(self, now: float) -> None:
        self._opened_at = now
        self._served = self._throttled = 0
        self._peak = self.in_flight

    def _window_end(self) -> float:
        if not self._latency and self.in_flight:
            return math.inf  # no call was served yet, so the length of a window is unknown
        length = max(SHORTEST_WINDOW, self._latency)
        return self._opened_at + (length if self._served + self._throttled >= MIN_OUTCOMES else 5 * length)

    def _judge(self, now: float) -> None:
        """At the window's end, set the level and open the next window."""
        if now < self._window_end():
            return
        # Few long calls end within a window; those still in flight were accepted too.
        outcomes = self._throttled + max(self._served, self.in_flight)
        if outcomes:
            share = self._throttled / outcomes
            if share > self._noise + TOLERATED_SHARE + 2 * math.sqrt(self._noise / outcomes):
                self._fall(share)
            else:
                self._noise += 0.1 * min(0.0, share - self._noise)
                self._rise()
        self._open_window(now)

    def _fall(self, share: float) -> None:
        before, self._before_probe = self._before_probe, None
        self._clean_windows, self._step = 0, 1
        if before and 0.6 * before[1] < share <= LARGEST_NOISE:
            self.level, self._noise = before[0], share
            return
        self._clean_windows_to_rise = min(MOST_CLEAN_WINDOWS, 2 * self._clean_windows_to_rise) if self._rose else 1
        self._rose = False
        if share <= LARGEST_NOISE:
            self._before_probe = self.level, share
        self.level = max(1.0, round(self.level * (1 - (PROBE if self._before_probe else share))))

    def _rise(self) -> None:
        before, self._before_probe = self._before_probe, None
        if before:  # the probe helped, and went further down than needed
            self.level = min(float(self.cap), max(self.level, round(before[0] * (1 - before[1]))))
        elif self._peak >= int(self.level) and self.level < self.cap:
            self._clean_windows += 1
            if self._clean_windows >= self._clean_windows_to_rise:
                self.level = min(float(self.cap), self.level + self._step)
                self._step *= 2
                self._rose = True
