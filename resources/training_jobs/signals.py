"""Ending in an orderly way: the first SIGINT or SIGTERM counts, the ones that follow do not cut the ending short."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGINT, signal.SIGTERM)


class OneInterruption:
    """While it is entered, the first signal does what it always did (Dagster's handler raises); later ones are ignored.

    Signals reach the main thread alone; in any other this does nothing.
    """

    def __init__(self) -> None:
        self.came = False
        self._holding = False
        self._waiting: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in ENDING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Until the block is left, a signal waits: what the block does is done, or not begun."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._waiting is not None:
                self._handle(self._waiting, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._waiting = number
            return
        handler = self._before[number]
        if self.came or handler is signal.SIG_IGN:
            return
        self.came = True
        if not callable(handler):
            raise KeyboardInterrupt
        handler(number, frame)
