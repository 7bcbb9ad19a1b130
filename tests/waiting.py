"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import Any


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """What the call gives once it is true; an assertion fails where it never is."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.1)
    return found
