"""Dagster Pipes over the lake: the context is a file, messages are numbered files (`<folder>/1.json`, …)."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import PurePosixPath
from typing import Any

from dagster_pipes import (
    PipesBlobStoreMessageWriter,
    PipesBlobStoreMessageWriterChannel,
    PipesContext,
    PipesContextData,
    PipesContextLoader,
    PipesEnvVarParamsLoader,
)

from resources.lake.store import Store

INTERVAL_SECONDS = 5.0
Params = Mapping[str, Any]


class LakeContextLoader(PipesContextLoader):
    """Reads the context from the file `path` of the lake."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def load_context(self, params: Params) -> Iterator[PipesContextData]:
        """The context that the run wrote for this attempt."""
        yield json.loads(self._store.get(params["path"]))


class LakeMessageChannel(PipesBlobStoreMessageWriterChannel):
    """Writes messages to numbered files of a folder of the lake, without gaps."""

    def __init__(self, store: Store, folder: str, interval: float) -> None:
        super().__init__(interval=interval)
        self._store, self._folder = store, folder
        # SageMaker restarts an interrupted job as the same attempt: its messages continue the numbers.
        names = (PurePosixPath(file.path).stem for file in store.list(folder))
        self._number = 1 + max((int(name) for name in names if name.isdecimal()), default=0)
        self._unwritten = ""

    def upload_messages_chunk(self, payload: StringIO, index: int) -> None:
        """Write one file. Messages that cannot be written wait for the next call."""
        self._unwritten += payload.read()
        try:
            self._store.put(f"{self._folder}/{self._number}.json", self._unwritten.encode())
        except Exception as error:  # one that escapes here would end the writing thread for good
            sys.stderr.write(f"trainer: messages to Dagster are late: {error}\n")
            return
        self._number, self._unwritten = self._number + 1, ""


class LakeMessageWriter(PipesBlobStoreMessageWriter[LakeMessageChannel]):
    """Opens a channel to the folder `folder` of the lake."""

    def __init__(self, store: Store, interval: float = INTERVAL_SECONDS) -> None:
        super().__init__(interval=interval)
        self._store = store

    def make_channel(self, params: Params) -> LakeMessageChannel:
        """The channel of this attempt."""
        return LakeMessageChannel(self._store, params["folder"], self.interval)


class Reporter:
    """Reports progress: lines on stderr and, where a Dagster run waits, the same lines in its log, and messages."""

    def __init__(self, context: PipesContext | None = None, aloud: bool = True) -> None:
        """`aloud`: False for all but one of several processes that would write the same lines."""
        self._context, self._aloud = context, aloud

    def say(self, line: str) -> None:
        """Write one line."""
        if self._aloud:
            sys.stderr.write(f"trainer: {line}\n")
        if self._context:
            self._context.log.info(line)

    def complain(self, message: str) -> None:
        """Write why the program ends without a result."""
        sys.stderr.write(f"trainer: {message}\n")
        if self._context:
            self._context.log.error(message)

    def report(self, payload: Mapping[str, Any]) -> None:
        """Send plain JSON to the run, as a custom message."""
        if self._context:
            self._context.report_custom_message(dict(payload))


@contextmanager
def open_reporter(store: Store) -> Iterator[Reporter]:
    """The reporter of this process; it writes to stderr only where Dagster did not start the process."""
    params = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]
    if not params.is_dagster_pipes_process():
        yield Reporter()
        return
    try:
        context = PipesContext(params, LakeContextLoader(store), LakeMessageWriter(store))
    except FileNotFoundError as error:
        sys.stderr.write(f"trainer: continues without Dagster Pipes, because {error} is missing\n")
        yield Reporter()
        return
    try:
        yield Reporter(context)
    finally:
        context.close()
