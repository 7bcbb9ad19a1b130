"""Where coroutines wait, first come first served, for a slot of an endpoint."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from resources.chat.limiter import Limiter, RateLimitOutcome


class CallQueue:
    """The calls that wait for what a limiter allows."""

    def __init__(self, limiter: Limiter, clock: Callable[[], float]) -> None:
        self.limiter = limiter
        self._clock = clock
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def acquire(self, tokens: float) -> None:
        """Wait for a slot for a call of about `tokens` tokens. Every `acquire` is followed by one `release`."""
        now = self._clock()
        if not self._waiting and self.limiter.delay(now, tokens) <= 0:
            self.limiter.start(now, tokens)
            return
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append((slot, tokens))
        self._start_waiting()
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():  # the slot came together with the cancellation
                self.release(RateLimitOutcome.NEITHER, tokens_over=-tokens)
            else:
                self._waiting = deque(entry for entry in self._waiting if entry[0] is not slot)
                self._start_waiting()
            raise

    def release(
        self,
        outcome: RateLimitOutcome,
        *,
        latency: float = 0.0,
        tokens_over: float = 0.0,
        retry_after: float | None = None,
    ) -> None:
        """Give the slot to the next call. See `Limiter.finish` for the arguments."""
        self.limiter.finish(self._clock(), outcome, latency=latency, tokens_over=tokens_over, retry_after=retry_after)
        self._start_waiting()

    def share(self, slots: int, rate: float) -> None:
        """See `Limiter.share`; starts what it allows."""
        self.limiter.share(self._clock(), slots, rate)
        self._start_waiting()

    def _start_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            slot, tokens = self._waiting[0]
            now = self._clock()
            delay = 0.0 if slot.done() else self.limiter.delay(now, tokens)
            if delay > 0:
                if math.isfinite(delay):
                    self._timer = asyncio.get_running_loop().call_later(delay, self._start_waiting)
                return
            self._waiting.popleft()
            if not slot.done():  # else it was cancelled while it waited
                self.limiter.start(now, tokens)
                slot.set_result(None)
