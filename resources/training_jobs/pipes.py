"""Dagster Pipes through the lake: a job's context and its messages are files of its attempt's folder.

The paths follow from the attempt, so a run that joins a running job reads the same messages. They carry progress only:
the result is the manifest. The run that follows the job calls `read`; there is no thread.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagster import PipesContextInjector, PipesMessageHandler, PipesMessageReader
from dagster_pipes import PipesContextData, PipesParams

from resources.lake.store import Store, StoreError
from resources.outside_text import without_links
from resources.training_jobs.job import CONTEXT, MESSAGES

LINE_EVERY_SECONDS = 5.0
LINES_AT_ONCE = 10


class LakeContextInjector(PipesContextInjector):
    """Writes the context once; the job gets `{"path": …}`, relative to the lake's root."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._path = f"{folder}/{CONTEXT}"

    @contextmanager
    def inject_context(self, context: PipesContextData) -> Iterator[PipesParams]:
        self._store.put_if_absent(self._path, json.dumps(context).encode())
        yield {"path": self._path}

    def no_messages_debug_text(self) -> str:
        return f"Attempted to inject context through {self._store.uri(self._path)}."


class LakeMessageReader(PipesMessageReader):
    """Reads `<folder>/messages/<n>.json`, one JSON message per line; the job gets `{"folder": …}`.

    The job numbers the files without gaps. A job that its backend restarted opens and closes Pipes again: Dagster gets
    the first `opened`, and the last `closed` when the session ends.
    """

    def __init__(self, store: Store, folder: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._folder = f"{folder}/{MESSAGES}"
        self._next = 1
        self._opened = False
        self._closed: dict[str, Any] | None = None
        self._handler: PipesMessageHandler | None = None
        self._throttles = {urgent: _Throttle(clock) for urgent in (False, True)}

    @property
    def expected_writer_count(self) -> int:
        return 1  # Dagster's own default says the same and warns that it is a preview

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        self._handler = handler
        try:
            yield {"folder": self._folder}
        finally:
            try:
                self.read(last=True)
            except StoreError as error:
                self._pass_on(_log_message(f"the job's last messages could not be read: {error}", logging.WARNING))

    def read(self, last: bool = False) -> None:
        """Pass new messages on. `last`: the job has ended.

        Raises:
            StoreError: the lake cannot be read.
        """
        while (chunk := self._next_chunk()) is not None:
            for line in chunk.decode(errors="replace").splitlines():
                self._take(line)
        for throttle in self._throttles.values():
            for message in throttle.due(everything=last):
                self._pass_on(message)
        if last and self._closed:
            self._pass_on(self._closed)

    def no_messages_debug_text(self) -> str:
        return f"Attempted to read messages from {self._store.uri(self._folder)}."

    def _next_chunk(self) -> bytes | None:
        try:
            chunk = self._store.get(f"{self._folder}/{self._next}.json")
        except FileNotFoundError:
            return None
        self._next += 1
        return chunk

    def _take(self, line: str) -> None:
        try:
            message = json.loads(line)
            method, params = message["method"], message["params"]
        except (ValueError, KeyError, TypeError):
            return
        if method == "opened" and not self._opened:
            self._opened = True
            self._pass_on(message)
        elif method == "closed":
            self._closed = message
        elif method == "log" and isinstance(params, dict):
            level = logging.getLevelNamesMapping().get(str(params.get("level")), logging.INFO)
            self._throttles[level >= logging.WARNING].waiting.append((str(params.get("message")), level))

    def _pass_on(self, message: dict[str, Any]) -> None:
        if self._handler is not None:
            self._handler.handle_message(message)  # type: ignore[arg-type]


class _Throttle:
    """Passes a few lines at once, then one every few seconds: the newest, with the number of lines left out.

    Every line in Dagster's log is a row of its database.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.waiting: list[tuple[str, int]] = []
        self._clock = clock
        self._allowance = float(LINES_AT_ONCE)
        self._counted_at = clock()

    def due(self, everything: bool = False) -> list[dict[str, Any]]:
        """The lines that may pass now; `everything`: at least one, the newest."""
        now = self._clock()
        self._allowance = min(LINES_AT_ONCE, self._allowance + (now - self._counted_at) / LINE_EVERY_SECONDS)
        self._counted_at = now
        room = max(int(self._allowance), int(everything))
        if not room or not self.waiting:
            return []
        left_out = len(self.waiting) - room
        passed, self.waiting = self.waiting[-room:], []
        self._allowance = max(0.0, self._allowance - len(passed))
        if left_out > 0:
            passed[0] = (f"({left_out} lines left out) {passed[0][0]}", passed[0][1])
        return [_log_message(text, level) for text, level in passed]


def _log_message(text: str, level: int) -> dict[str, Any]:
    return {"method": "log", "params": {"message": without_links(text), "level": logging.getLevelName(level)}}
