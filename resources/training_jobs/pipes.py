"""Dagster Pipes through the lake: a job's context and its messages are files of its attempt's folder.

The places follow from the attempt alone, so a run that joins a running job reads the same messages. They carry progress
and nothing else: the result is the manifest. No thread reads them; whoever follows the job calls `read`.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagster import PipesContextInjector, PipesMessageHandler, PipesMessageReader
from dagster_pipes import PipesContextData, PipesParams

from resources.lake.store import Store, StoreError
from resources.training_jobs.job import CONTEXT, MESSAGES

LOST_AFTER_SECONDS = 30.0
LINE_EVERY_SECONDS = 5.0
LINES_AT_ONCE = 10


class LakeContextInjector(PipesContextInjector):
    """Writes the context once; the job is given `{"path": …}`, relative to the lake's root."""

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
    """Reads `<folder>/messages/<n>.json`, one JSON message a line; the job is given `{"folder": …}`.

    A chunk that does not come while later ones are there is lost: that is told once, and reading goes on behind it.
    A job that a place restarted opens and closes Pipes again: Dagster hears of the first opening, and of the closing
    when the session ends.
    """

    def __init__(self, store: Store, folder: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._folder = f"{folder}/{MESSAGES}"
        self._clock = clock
        self._next = 1
        self._missing_since: float | None = None
        self._opened = False
        self._closed: dict[str, Any] | None = None
        self._handler: PipesMessageHandler | None = None
        self._told = {urgent: _Throttle(clock) for urgent in (False, True)}

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
                self._tell(f"the job's last messages could not be read: {error}", logging.WARNING)

    def read(self, last: bool = False) -> None:
        """Pass on what is new. `last`: the job is gone, nothing more will come.

        Raises:
            StoreError: the lake cannot be read.
        """
        while (chunk := self._next_chunk(last)) is not None:
            for line in chunk.decode(errors="replace").splitlines():
                self._take(line)
        for throttle in self._told.values():
            for message in throttle.due(everything=last):
                self._pass_on(message)
        if last and self._closed:
            self._pass_on(self._closed)

    def no_messages_debug_text(self) -> str:
        return f"Attempted to read messages from {self._store.uri(self._folder)}."

    def _next_chunk(self, last: bool) -> bytes | None:
        while True:
            try:
                chunk = self._store.get(f"{self._folder}/{self._next}.json")
            except FileNotFoundError:
                if not self._skip_lost(last):
                    return None
            else:
                self._next += 1
                self._missing_since = None
                return chunk

    def _skip_lost(self, last: bool) -> bool:
        """Go on to a later chunk, if the next one has been missing for long."""
        now = self._clock()
        if self._missing_since is None:
            self._missing_since = now
        if not last and now - self._missing_since < LOST_AFTER_SECONDS:
            return False
        self._missing_since = now
        names = [file.path.rpartition("/")[2].removesuffix(".json") for file in self._store.list(self._folder)]
        later = [int(name) for name in names if name.isdecimal() and int(name) > self._next]
        if not later:
            return False
        self._tell(f"messages {self._next} to {min(later) - 1} of the job were lost", logging.WARNING)
        self._next = min(later)
        return True

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
            text = str(params.get("message"))
            self._told[level >= logging.WARNING].add(text, level)

    def _pass_on(self, message: dict[str, Any]) -> None:
        if self._handler is not None:
            self._handler.handle_message(message)  # type: ignore[arg-type]

    def _tell(self, text: str, level: int) -> None:
        self._pass_on(_log_message(text, level))


class _Throttle:
    """Lets a few lines through at once, then one every few seconds: the newest, saying how many it stands for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._allowance = float(LINES_AT_ONCE)
        self._counted_at = clock()
        self._held: list[tuple[str, int]] = []

    def add(self, text: str, level: int) -> None:
        self._held.append((text, level))

    def due(self, everything: bool = False) -> list[dict[str, Any]]:
        """What may be told now."""
        now = self._clock()
        self._allowance = min(LINES_AT_ONCE, self._allowance + (now - self._counted_at) / LINE_EVERY_SECONDS)
        self._counted_at = now
        room = max(int(self._allowance), int(everything))
        if not room or not self._held:
            return []
        left_out = len(self._held) - room
        told, self._held = self._held[-room:], []
        self._allowance = max(0.0, self._allowance - len(told))
        messages = [_log_message(text, level) for text, level in told]
        if left_out > 0:
            messages[0] = _log_message(f"({left_out} lines left out) {told[0][0]}", told[0][1])
        return messages


def _log_message(text: str, level: int) -> dict[str, Any]:
    return {"method": "log", "params": {"message": text, "level": logging.getLevelName(level)}}
