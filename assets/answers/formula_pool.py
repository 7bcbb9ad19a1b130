"""Worker processes that compare formulas with math-verify, so that nothing a model writes can block a run.

Simplifying even a short formula can take for ever, and math-verify's time limit is a signal, which only a main thread
can have. A worker is a process of its own: it starts with the first pair (some two seconds, about 100 MB), serves all
threads, is killed when it takes too long, and ends with its parent.
"""

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

from assets.answers import formula_worker
from assets.answers.formula_worker import SECONDS_PER_PAIR, Comparison

MOST_WORKERS = max(1, min(4, (os.cpu_count() or 1) // 2))
SECONDS_TO_START = 120


class FormulaWorker:
    """One worker process; used by one thread at a time."""

    def __init__(self) -> None:
        """Start the process.

        Raises:
            RuntimeError: the process does not start.
        """
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(formula_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent to handle; a worker ends when its input does
        )
        if not self._read_line(SECONDS_TO_START):
            self.stop()
            raise RuntimeError(
                "The process that compares formulas does not start. Check that math-verify is installed."
            )

    def compare(self, request: list[str | int | None]) -> Comparison | None:
        """The worker's answer; None where it gives none in time, and then the process is stopped."""
        answer = b""
        with contextlib.suppress(BrokenPipeError):
            assert self.process.stdin is not None  # noqa: S101 - it is a pipe
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            answer = self._read_line(SECONDS_PER_PAIR)
        if not answer:
            self.stop()
            return None
        verdict: Comparison | None = json.loads(answer)
        return verdict

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Kill the process and close its pipes."""
        self.process.kill()
        with self.process:
            pass

    def _read_line(self, seconds: float) -> bytes:
        """The next line; empty where none comes in time or the process has ended."""
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        poll = select.poll()  # select.select cannot watch a file from number 1024 on
        poll.register(self.process.stdout, select.POLLIN)
        return self.process.stdout.readline() if poll.poll(seconds * 1000) else b""


class FormulaPool:
    """At most `MOST_WORKERS` workers, started when they are needed and shared by all threads of a process."""

    def __init__(self) -> None:
        """A pool without workers."""
        self._free = threading.BoundedSemaphore(MOST_WORKERS)
        self.idle: list[FormulaWorker] = []

    def compare(self, given: str, reference: str, places: int | None) -> Comparison | None:
        """See `compare_formulas`."""
        with self._free:
            worker = self._take()
            verdict = worker.compare([given, reference, places])
            if worker.running:
                self.idle.append(worker)
            return verdict

    def _take(self) -> FormulaWorker:
        while self.idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                worker = self.idle.pop()
                if worker.running:
                    return worker
                worker.stop()
        return FormulaWorker()

    def stop(self) -> None:
        """Stop the idle workers."""
        while self.idle:
            self.idle.pop().stop()


_pool = FormulaPool()


def _forget_workers() -> None:
    """A forked child starts workers of its own: it must not write into those of its parent."""
    global _pool
    _pool = FormulaPool()
    compare_formulas.cache_clear()


atexit.register(lambda: _pool.stop())
os.register_at_fork(after_in_child=_forget_workers)


@lru_cache(maxsize=4096)
def compare_formulas(given: str, reference: str, places: int | None = None) -> Comparison | None:
    """Whether two formulas in LaTeX, without dollar signs, are equal; None where it cannot be said in time.

    Blocks for at most `SECONDS_PER_PAIR`, the first time longer. Can be called from any thread.

    Raises:
        RuntimeError: the worker process does not start.
    """
    return _pool.compare(given, reference, places)
