"""Signals during a training job: the first one ends the run, later ones do not interrupt the stopping of the job."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def first_signal_only() -> Iterator[None]:
    """Within the block, the first SIGINT or SIGTERM has its usual effect (Dagster's handler raises); others none.

    Only the main thread receives signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        handler = before[number]
        if received or handler is signal.SIG_IGN:
            return
        received = True
        if not callable(handler):
            raise KeyboardInterrupt
        handler(number, frame)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in ENDING}
    for ending in ENDING:
        signal.signal(ending, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
