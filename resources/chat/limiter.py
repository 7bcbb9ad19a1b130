"""How many calls one endpoint gets at a time, and how fast: hard caps from the profile, and what the endpoint shows.

`Limiter` decides on plain numbers and a clock that its caller reads, so it is tested without waiting. `Gate` makes
coroutines queue for what it decides.
"""

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

TOLERANCE = 0.02  # share of refusals that does not lower the level
EXPERIMENT = 0.2  # share by which the level falls to see whether refusals come from the load at all
NOISE_LIMIT = 0.10  # refusals above this share are never taken for noise
MIN_OUTCOMES = 20  # a window is not judged on fewer answers, unless it is long
SHORTEST_WINDOW = 0.05  # seconds
LONGEST_PATIENCE = 16  # clean windows before the level is tried higher again
LONGEST_PAUSE = 60.0  # seconds that one answer can hold up the whole endpoint
SPACING = 0.8  # of the even distance between starts
RAMP_SECONDS = 0.1  # over which the first calls are spread, as many as there are slots …
WIDEST_RAMP = 0.002  # … but no further than so many seconds from each other
SLOWEST_RAMP = 0.1  # seconds between two starts
RAMP_REFUSALS, RAMP_STARTS = 5, 10  # so many refusals within so many starts slow the ramp; fewer are chance
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


class Outcome(Enum):
    """How a call ended, as far as its endpoint's capacity is concerned."""

    SERVED = "served"
    REFUSED = "refused"  # 429, or 503 with Retry-After
    NEITHER = "neither"  # failed or cancelled


@dataclass(slots=True)
class Bucket:
    """A cap a minute, kept in every window of 60 seconds: `burst` at once, then at an even pace.

    Takes whole units (calls) or estimates (tokens). An estimate above `burst` waits for a full bucket and leaves a
    debt.
    """

    rate: float  # units a second
    burst: float
    level: float
    filled_at: float = 0.0

    @classmethod
    def for_calls(cls, per_minute: float) -> "Bucket":
        """A burst of one second's worth; never more than `per_minute` calls start in any 60 seconds."""
        per_minute = math.floor(per_minute + 1e-6) or per_minute
        burst = float(max(1, per_minute // 60))
        return cls(rate=(per_minute + 1 - burst) / 60, burst=burst, level=burst)

    @classmethod
    def for_tokens(cls, per_minute: float) -> "Bucket":
        """A burst of two seconds' worth, taken off the pace."""
        burst = per_minute / 30
        return cls(rate=(per_minute - burst) / 60, burst=burst, level=burst)

    def delay(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        self._fill(now)
        missing = min(amount, self.burst) - self.level
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, now: float, amount: float) -> None:
        """Take `amount`; a negative one gives back."""
        self._fill(now)
        self.level = min(self.burst, self.level - amount)

    def _fill(self, now: float) -> None:
        self.level = min(self.burst, self.level + max(0.0, now - self.filled_at) * self.rate)
        self.filled_at = max(self.filled_at, now)


class Limiter:
    """One endpoint's limits. Every method takes `now`, in seconds of a monotonic clock.

    The first calls, as many as there are slots, are spread over a tenth of a second, and refusals among them halve
    their pace: so an endpoint's own cap or bucket is met by a few calls and not by all at once. What is in flight when
    the first of them is answered is then the level to begin with; without refusals it is the hard cap.

    From then on answers are judged in windows of about one latency:

    - Each refusal takes one slot away until its window ends, so that a refused slot is not refused again at once.
    - A window whose share of refusals is above the tolerance lowers the level by that share, once.
    - If that did not lessen a small share, the level falls by a fifth for one window, to see. If that did not either,
      the refusals do not come from the load: the level returns to where it was, and that share is tolerated.
    - Clean windows in a row raise the level by 1, 2, 4, … calls, so that what a passing fault took is back in a few
      windows; each failed attempt doubles how many clean windows the next one waits for.

    Below the hard cap, calls start at a distance from each other: many endpoints count calls a second as well, and
    calls that were answered together would ask together again.

    When not even one call is served, the endpoint is left alone for a growing while.

    `share` says how much of the caps is this process's (see `resources.chat.leases`).
    """

    def __init__(
        self, max_concurrency: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.cap = max_concurrency
        self.level = float(max_concurrency)
        self.in_flight = 0
        self._per_minute = requests_per_minute, tokens_per_minute
        self._calls = Bucket.for_calls(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket.for_tokens(tokens_per_minute) if tokens_per_minute else None
        self._rate_share = 1.0
        self._ramp: float | None = min(WIDEST_RAMP, RAMP_SECONDS / max_concurrency)  # seconds between starts
        self._to_ramp = max_concurrency  # starts until the ramp ends
        self._slowed_at: float | None = None  # when refusals last slowed the ramp
        self._ramp_refusals: deque[int] = deque(maxlen=RAMP_REFUSALS)  # what `_to_ramp` was at each
        self._paused_until = -math.inf
        self._spaced_until = -math.inf
        self._pauses = 0  # in a row
        self._latency = 0.0  # smoothed, seconds
        self._call_tokens = 0.0  # smoothed, of one call
        self._noise = 0.0  # share of refusals that a lower level does not cure
        self._fallen_from: tuple[float, float] | None = None  # level and share before the last decreases
        self._trying = False  # the last decrease was made to see
        self._peak = 0  # most calls in flight within the window
        self._step = 1
        self._patience = 1
        self._raised = False  # the level was raised since it last fell
        self._clean_windows = 0
        self._open_window(0.0)

    @property
    def slots(self) -> int:
        """Calls that may be in flight just now; never above the hard cap."""
        return min(self.cap, max(1, int(self.level + 1e-9) - self._refused))

    def share(self, now: float, slots: int, rate: float) -> None:
        """Keep to `slots` calls in flight, and to the share `rate` (0..1) of the caps a minute; 0 waits for more."""
        if slots != self.cap:
            unlimited = self.level >= self.cap
            self.cap = slots
            self.level = float(max(1, slots)) if unlimited else min(self.level, float(max(1, slots)))
        if rate != self._rate_share:
            calls, tokens = self._per_minute
            self._calls = self._shared(self._calls, Bucket.for_calls(calls * rate), now) if calls and rate else None
            self._tokens = (
                self._shared(self._tokens, Bucket.for_tokens(tokens * rate), now) if tokens and rate else None
            )
            self._rate_share = rate

    @staticmethod
    def _shared(old: Bucket | None, new: Bucket, now: float) -> Bucket:
        """`new` with what is left in `old`; empty where there was no share before."""
        if old is not None:
            old.delay(now, 0)
        new.level = min(new.burst, old.level) if old else 0.0
        new.filled_at = now
        return new

    def delay(self, now: float, tokens: float = 0.0) -> float:
        """Seconds until a call of about `tokens` tokens may start: 0 at once, inf when another has to end first."""
        self._judge(now)
        if not self._rate_share:
            return math.inf
        if self.in_flight >= self.slots:
            return max(0.001, self._window_end() - now) if self._refused else math.inf
        waits = [max(self._paused_until, self._spaced_until) - now]
        if self._calls:
            waits.append(self._calls.delay(now, 1))
        if self._tokens:
            waits.append(self._tokens.delay(now, tokens))
        return max(0.0, *waits)

    def start(self, now: float, tokens: float = 0.0) -> None:
        """Count a call in, for which `delay` was 0."""
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)
        if self._ramp is not None:
            self._to_ramp -= 1
            if self._to_ramp <= 0 and self._slowed_at is None:
                self._ramp = None
            else:
                self._spaced_until = max(now, self._spaced_until) + self._ramp
        elif self.level < self.cap:
            self._spaced_until = max(now, self._spaced_until) + SPACING * self._latency / self.level
        self._call_tokens += (tokens - self._call_tokens) * 0.1
        if self._calls:
            self._calls.take(now, 1)
        if self._tokens:
            self._tokens.take(now, tokens)

    def finish(
        self,
        now: float,
        outcome: Outcome,
        *,
        latency: float = 0.0,
        tokens_over: float = 0.0,
        retry_after: float | None = None,
    ) -> None:
        """Count a call out.

        Args:
            outcome: how it ended.
            latency: seconds that it took.
            tokens_over: tokens that it used beyond the estimate it started with; negative if fewer.
            retry_after: seconds that a refusal asked to wait.
        """
        self.in_flight -= 1
        if self._tokens and tokens_over:
            self._tokens.take(now, tokens_over)
        if outcome is Outcome.SERVED:
            self._end_ramp(now)
            self._served += 1
            self._pauses = 0
            self._latency += (latency - self._latency) * (0.1 if self._latency else 1.0)
        elif outcome is Outcome.REFUSED:
            self._refused += 1
            self._slow_ramp(now, now - latency)
            if (self.slots == 1 or self._slowed_at is not None) and self._served == 0 and self.in_flight == 0:
                self._pauses += 1
                self._pause(now, 0.25 * 2 ** min(8, self._pauses) if retry_after is None else retry_after)
        self._judge(now)

    def heed(self, now: float, headers: Mapping[str, str]) -> None:
        """Follow `x-ratelimit-*` headers: with nothing left, wait until one call's worth is likely back."""
        for kind in ("requests", "tokens"):
            left = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
            reset = _duration(headers.get(f"x-ratelimit-reset-{kind}"))
            needed = 1.0 if kind == "requests" else max(1.0, self._call_tokens)
            if left is not None and reset is not None and left < needed:
                # `reset` is the time until the whole allowance is back.
                allowance = _number(headers.get(f"x-ratelimit-limit-{kind}")) or needed
                self._pause(now, reset * min(1.0, (needed - left) / allowance))

    def _slow_ramp(self, now: float, started: float) -> None:
        """Halve the pace of the first calls, once for all that were under way together."""
        if self._ramp is None:
            return
        self._ramp_refusals.append(self._to_ramp)
        crowded = len(self._ramp_refusals) == RAMP_REFUSALS and self._ramp_refusals[0] - self._to_ramp <= RAMP_STARTS
        if crowded and (self._slowed_at is None or started >= self._slowed_at):
            self._ramp = min(SLOWEST_RAMP, 2 * self._ramp)
            self._slowed_at = now

    def _end_ramp(self, now: float) -> None:
        """At the first answer after such refusals: what is in flight is what the endpoint takes."""
        if self._ramp is None or self._slowed_at is None:
            return
        self._ramp = self._slowed_at = None
        self.level = float(min(max(1, self.cap), self.in_flight + 1))
        self._open_window(now)

    def _pause(self, now: float, seconds: float) -> None:
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE))

    def _open_window(self, now: float) -> None:
        self._opened = now
        self._served = self._refused = 0
        self._peak = self.in_flight

    def _window_end(self) -> float:
        if not self._latency and self.in_flight:
            return math.inf  # nothing has been served yet: how long a window is to be is not known
        length = max(SHORTEST_WINDOW, self._latency)
        return self._opened + (length if self._served + self._refused >= MIN_OUTCOMES else 5 * length)

    def _judge(self, now: float) -> None:
        """At the window's end, set the level and open the next one."""
        if now < self._window_end():
            return
        # Of long calls, few end within a window: those still in flight were let in too.
        outcomes = self._refused + max(self._served, self.in_flight)
        if outcomes:
            share = self._refused / outcomes
            chance = 2 * math.sqrt(self._noise / outcomes)
            if share > self._noise + TOLERANCE + chance:
                self._fall(share)
            else:
                self._noise += 0.1 * min(0.0, share - self._noise)
                self._rise()
        self._open_window(now)

    def _fall(self, share: float) -> None:
        self._clean_windows = 0
        self._step = 1
        stays = self._fallen_from is not None and share <= NOISE_LIMIT and share > 0.6 * self._fallen_from[1]
        if self._fallen_from and stays and self._trying:
            self.level, self._noise = self._fallen_from[0], share
            self._fallen_from, self._trying = None, False
            return
        level = min(self.level, float(self._peak))
        self._trying = stays
        if not stays:
            self._fallen_from = self.level, share
            self._patience = min(LONGEST_PATIENCE, self._patience * 2) if self._raised else 1
            self._raised = False
        self.level = max(1.0, round(level * (1 - (EXPERIMENT if stays else share))))

    def _rise(self) -> None:
        fallen, tried = self._fallen_from, self._trying
        self._fallen_from, self._trying = None, False
        if fallen and tried:  # it was the load after all: a fifth was more than needed
            self.level = min(float(self.cap), max(self.level, round(fallen[0] * (1 - 2 * fallen[1]))))
            return
        if self._peak < int(self.level) or self.level >= self.cap:
            return
        self._clean_windows += 1
        if self._clean_windows >= self._patience:
            self.level = min(float(self.cap), self.level + self._step)
            self._step *= 2
            self._raised = True
            self._patience = max(1, self._patience // 2)


class Gate:
    """Where coroutines queue, first come first served, for what a limiter allows."""

    def __init__(self, limiter: Limiter, clock: Callable[[], float]) -> None:
        self.limiter = limiter
        self._clock = clock
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue)

    async def enter(self, tokens: float) -> None:
        """Wait for a slot for a call of about `tokens` tokens. Every `enter` is followed by one `leave`."""
        now = self._clock()
        if not self._queue and self.limiter.delay(now, tokens) <= 0:
            self.limiter.start(now, tokens)
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((turn, tokens))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot came together with the cancellation
                self.leave(Outcome.NEITHER, tokens_over=-tokens)
            else:
                self._queue = deque(entry for entry in self._queue if entry[0] is not turn)
                self._admit()
            raise

    def share(self, slots: int, rate: float) -> None:
        """Keep to this part of the caps from now on, see `Limiter.share`, and let in whom it allows."""
        self.limiter.share(self._clock(), slots, rate)
        self._admit()

    def leave(
        self, outcome: Outcome, *, latency: float = 0.0, tokens_over: float = 0.0, retry_after: float | None = None
    ) -> None:
        """Give the slot up and let the next one in."""
        self.limiter.finish(self._clock(), outcome, latency=latency, tokens_over=tokens_over, retry_after=retry_after)
        self._admit()

    def _admit(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            turn, tokens = self._queue[0]
            if turn.done():  # cancelled while it waited
                self._queue.popleft()
                continue
            now = self._clock()
            delay = self.limiter.delay(now, tokens)
            if delay <= 0:
                self._queue.popleft()
                self.limiter.start(now, tokens)
                turn.set_result(None)
            else:
                if math.isfinite(delay):
                    self._timer = asyncio.get_running_loop().call_later(delay, self._admit)
                return


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _duration(text: str | None) -> float | None:
    """Seconds in `6m0s`, `1.5s`, `120ms` or a bare number."""
    parts = re.findall(r"(\d+(?:\.\d*)?)(ms|[smhd])?", text or "")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None
