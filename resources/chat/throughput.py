"""How fast a run goes and what it costs, for progress bars and logs."""

import time
from collections import deque
from collections.abc import Callable

from resources.chat.calls import Usage

WINDOW_SECONDS = 10.0


class Throughput:
    """Calls and tokens per second over the last ten seconds, from sums that grow.

    Args:
        usage: the sums; they are updated while this object lives.
        clock: seconds, monotonic.
    """

    def __init__(self, usage: Usage, clock: Callable[[], float] = time.monotonic) -> None:
        self._usage = usage
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque([(clock(), *self._sums())])

    def describe(self) -> str:
        """The present state: `34 calls/s, 5,100 tokens/s, $0.12`."""
        now = self._clock()
        calls, tokens = self._sums()
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()
        since, calls_then, tokens_then = self._seen[0]
        if now - self._seen[-1][0] >= WINDOW_SECONDS / 10:
            self._seen.append((now, calls, tokens))
        seconds = max(now - since, 1e-3)
        words = [f"{(calls - calls_then) / seconds:.3g} calls/s", f"{(tokens - tokens_then) / seconds:,.0f} tokens/s"]
        return ", ".join(words + self._describe_sums())

    def answered(self) -> int:
        """How many calls are answered, by a model or from the journal."""
        return self._usage.calls + self._usage.replayed

    def describe_total(self) -> str:
        """The sums at the end: `1,200 calls, 360,000 tokens, $1.20`."""
        calls, tokens = self._sums()
        return ", ".join([f"{calls:,} calls", f"{tokens:,} tokens", *self._describe_sums()])

    def _sums(self) -> tuple[int, int]:
        return self._usage.calls, self._usage.prompt_tokens + self._usage.completion_tokens

    def _describe_sums(self) -> list[str]:
        usage = self._usage
        return [
            *([f"${usage.cost:,.2f}"] if usage.cost else []),
            *([f"{usage.replayed:,} from the journal"] if usage.replayed else []),
            *([f"{usage.retries:,} retries"] if usage.retries else []),
        ]
