"""Heartbeats of the program, and the check that a run still waits for it."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from assets.training_programs.fine_tuning.errors import ORPHANED, Stop
from resources.lake.published_folders import json_bytes
from resources.lake.store import Store
from resources.training_jobs.job import HEARTBEAT, HEARTBEAT_SECONDS, PARENT

GRACE_SECONDS = 600  # for the current step and its checkpoint, when no run waits any more


class Heartbeat:
    """A thread that writes a heartbeat every HEARTBEAT_SECONDS and checks that the parent run is alive."""

    def __init__(
        self,
        store: Store,
        attempt: str,
        stop: Stop,
        orphan_minutes: float | None,
        seconds: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """
        Args:
            store: the lake.
            attempt: this attempt's folder in it.
            stop: asked to end with ORPHANED.
            orphan_minutes: how long the parent may be silent; None: without limit.
            seconds: between two beats.
            clock: seconds.
            end: ends the process at once.
        """
        self.step = 0
        self.state = "starting"
        self._store, self._attempt, self._stop = store, attempt, stop
        self._orphan_seconds = orphan_minutes * 60 if orphan_minutes is not None else None
        self._seconds, self._clock, self._end = seconds, clock, end
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        # The parent's clock may be another machine's: what counts is when its file changed, by our own clock.
        self._parent: bytes | None = None
        self._heard_at = self._begun = self._clock()
        self._earlier: float | None = None  # seconds that the attempt ran before its backend started it again

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.state = "ended"
        self._done.set()
        self._thread.join(timeout=self._seconds)
        if not self._thread.is_alive():  # else it waits for an unreachable lake
            self.beat()

    def _run(self) -> None:
        while not self._done.is_set():
            self.beat()
            self.check_parent()
            self._done.wait(self._seconds)

    def beat(self) -> None:
        """Write one heartbeat."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"time": now, "step": self.step, "state": self.state, "pid": os.getpid()}
        try:
            if self._earlier is None:
                self._earlier = self._seconds_of_earlier_starts()
            content["seconds"] = round(self._earlier + self._clock() - self._begun, 3)
            self._store.put(f"{self._attempt}/{HEARTBEAT}", json_bytes(content))
        except Exception as error:  # the lake may be unreachable for a while; the next heartbeat tries again
            sys.stderr.write(f"heartbeat: {error}\n")

    def _seconds_of_earlier_starts(self) -> float:
        try:
            return float(json.loads(self._store.get(f"{self._attempt}/{HEARTBEAT}"))["seconds"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0.0

    def check_parent(self) -> None:
        """Ask the program to end when its parent was silent for too long; end the process when it does not."""
        if self._orphan_seconds is None:
            return
        try:
            content: bytes | None = self._store.get(f"{self._attempt}/{PARENT}")
        except FileNotFoundError:
            content = None
        except Exception as error:  # as above; an unreachable lake says nothing about the parent
            sys.stderr.write(f"heartbeat: {error}\n")
            self._heard_at = self._clock()
            return
        if content != self._parent:
            self._parent, self._heard_at = content, self._clock()
        silent = self._clock() - self._heard_at
        if silent > self._orphan_seconds:
            self._stop.ask(
                ORPHANED, f"the run that waits for this job gave no sign of life for {silent / 60:.1f} minutes"
            )
        if silent > self._orphan_seconds + GRACE_SECONDS:
            sys.stderr.write("heartbeat: no run waits and training does not end when asked: ending the process\n")
            self._end(ORPHANED)
