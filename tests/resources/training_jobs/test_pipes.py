"""Messages of a job on their way to the run's log."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import PipesMessageHandler
from hypothesis import given
from hypothesis import strategies as st

from resources.lake.store import Store
from resources.training_jobs.pipes import LINE_EVERY_SECONDS, LINES_AT_ONCE, LOST_AFTER_SECONDS, LakeMessageReader

FOLDER = "work/attempts/0001"


class Handler:
    """Takes what a reader passes on, as Dagster does."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def lines(self) -> list[str]:
        return [message["params"]["message"] for message in self.messages if message["method"] == "log"]

    @property
    def methods(self) -> list[str]:
        return [message["method"] for message in self.messages]


class Sitting:
    """A reader of an attempt's messages, its handler and its time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 0.0
        self.handler = Handler()
        self.reader = LakeMessageReader(store, FOLDER, lambda: self.now)
        self.session = self.reader.read_messages(_as_dagsters(self.handler))
        self.params = self.session.__enter__()

    def write(self, number: int, *messages: Any) -> None:
        chunk = "\n".join(json.dumps(message) for message in messages)
        self.store.put(f"{self.params['folder']}/{number}.json", chunk.encode())

    def close(self) -> None:
        self.session.__exit__(None, None, None)


def _as_dagsters(handler: Any) -> PipesMessageHandler:
    found: PipesMessageHandler = handler
    return found


def log(text: str, level: str = "INFO") -> Any:
    return {"method": "log", "params": {"message": text, "level": level}}


@pytest.fixture
def sitting(store: Store) -> Iterator[Sitting]:
    sitting = Sitting(store)
    yield sitting
    sitting.close()


def test_chunks_are_read_in_their_order(sitting: Sitting) -> None:
    for number in (2, 10, 1, 3, 4, 5, 6, 7, 8, 9):
        sitting.write(number, log(str(number)))
    sitting.reader.read()
    assert sitting.handler.lines == [str(number) for number in range(1, 11)]


def test_a_run_that_joins_reads_what_was_said_before(sitting: Sitting) -> None:
    sitting.write(1, log("begun"))
    sitting.reader.read()
    joined = Sitting(sitting.store)
    joined.close()
    assert joined.handler.lines == ["begun"]


def test_a_chunk_that_comes_again_is_read_once(sitting: Sitting) -> None:
    sitting.write(1, log("begun"))
    sitting.reader.read()
    sitting.write(1, log("begun"))
    sitting.reader.read()
    assert sitting.handler.lines == ["begun"]


def test_a_late_chunk_is_waited_for(sitting: Sitting) -> None:
    sitting.write(2, log("second"))
    sitting.reader.read()
    assert sitting.handler.lines == []
    sitting.write(1, log("first"))
    sitting.reader.read()
    assert sitting.handler.lines == ["first", "second"]


def test_a_lost_chunk_is_told_once_and_not_waited_for_for_ever(sitting: Sitting) -> None:
    sitting.write(4, log("fourth"))
    sitting.reader.read()
    sitting.now += LOST_AFTER_SECONDS
    sitting.reader.read()
    sitting.reader.read()
    assert sitting.handler.lines == ["messages 1 to 3 of the job were lost", "fourth"]


def test_at_the_end_nothing_is_waited_for(sitting: Sitting) -> None:
    sitting.write(2, log("second"))
    sitting.close()
    assert sitting.handler.lines[-1] == "second"


def test_a_broken_chunk_harms_nothing(sitting: Sitting) -> None:
    sitting.store.put(f"{sitting.params['folder']}/1.json", b'\xff{"method"\n[]\n"text"\n{}\n')
    sitting.write(2, {"method": "log", "params": 7}, {"method": "nonsense", "params": {}}, log("fine"))
    sitting.reader.read()
    assert sitting.handler.lines == ["fine"]


def test_a_job_that_its_place_restarted_opens_and_closes_once(sitting: Sitting) -> None:
    opened, closed = {"method": "opened", "params": {}}, {"method": "closed", "params": {}}
    sitting.write(1, opened, closed)
    sitting.reader.read()
    sitting.write(2, opened, log("again"), closed)
    sitting.close()
    assert sitting.handler.methods == ["opened", "log", "closed"]


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 60)), min_size=1, max_size=30))
def test_lines_come_at_a_sane_rate_and_the_newest_comes_at_last(bursts: list[tuple[int, float]]) -> None:
    sitting, said = Sitting(_Memory()), 0
    for number, (lines, seconds) in enumerate(bursts, 1):
        sitting.write(number, *(log(str(said + line)) for line in range(lines)))
        said += lines
        sitting.reader.read()
        assert len(sitting.handler.lines) <= LINES_AT_ONCE + sitting.now / LINE_EVERY_SECONDS
        sitting.now += seconds
    sitting.close()
    assert said == 0 or sitting.handler.lines[-1].endswith(str(said - 1))


def test_errors_are_told_among_many_other_lines(sitting: Sitting) -> None:
    sitting.write(1, log("bad", "ERROR"), *(log(str(line)) for line in range(100)))
    sitting.reader.read()
    assert "bad" in sitting.handler.lines
    assert f"(90 lines left out) {90}" in sitting.handler.lines


def test_levels_stay_what_they_were(sitting: Sitting) -> None:
    sitting.write(1, log("bad", "ERROR"))
    sitting.reader.read()
    assert sitting.handler.messages[0]["params"]["level"] == logging.getLevelName(logging.ERROR)


class _Memory:
    """The two operations of a store that a reader needs."""

    root = "memory"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def put(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def get(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def list(self, prefix: str) -> list[Any]:
        return []
