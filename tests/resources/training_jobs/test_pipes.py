"""Messages of a job on their way to the run's log."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from dagster import PipesMessageHandler
from hypothesis import given
from hypothesis import strategies as st

from resources.lake.store import Store
from resources.training_jobs.pipes import LINE_EVERY_SECONDS, LINES_AT_ONCE, LakeMessageReader

FOLDER = "job/attempts/0001"


class Session:
    """A reader of an attempt's messages, with its time and what it passed on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 0.0
        self.messages: list[Any] = []
        self.reader = LakeMessageReader(store, FOLDER, lambda: self.now)
        self._session = self.reader.read_messages(cast(PipesMessageHandler, self))
        self.folder = self._session.__enter__()["folder"]

    def handle_message(self, message: Any) -> None:
        """As Dagster's handler."""
        self.messages.append(message)

    @property
    def lines(self) -> list[str]:
        return [message["params"]["message"] for message in self.messages if message["method"] == "log"]

    def write(self, number: int, *messages: Any) -> None:
        chunk = "\n".join(json.dumps(message) for message in messages)
        self.store.put(f"{self.folder}/{number}.json", chunk.encode())

    def close(self) -> None:
        self._session.__exit__(None, None, None)


def log(text: str, level: str = "INFO") -> Any:
    return {"method": "log", "params": {"message": text, "level": level}}


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    session = Session(store)
    yield session
    session.close()


def test_files_are_read_once_in_the_order_of_their_numbers(session: Session) -> None:
    for number in (2, 10, 1, 3, 4, 5, 6, 7, 8, 9):
        session.write(number, log(str(number)))
    session.reader.read()
    session.write(1, log("again"))
    session.reader.read()
    assert session.lines == [str(number) for number in range(1, 11)]


def test_a_late_file_is_waited_for(session: Session) -> None:
    session.write(2, log("second"))
    session.reader.read()
    assert session.lines == []
    session.write(1, log("first"))
    session.reader.read()
    assert session.lines == ["first", "second"]


def test_a_run_that_joins_reads_earlier_messages_at_the_latest_when_the_job_ends(session: Session) -> None:
    session.write(1, log("started"))
    session.reader.read()
    joined = Session(session.store)
    joined.close()
    assert joined.lines == ["started"]


def test_a_broken_file_does_no_harm(session: Session) -> None:
    session.store.put(f"{session.folder}/1.json", b'\xff{"method"\n[]\n"text"\n{}\n')
    session.write(2, {"method": "log", "params": 7}, {"method": "nonsense", "params": {}}, log("fine"))
    session.reader.read()
    assert session.lines == ["fine"]


def test_a_job_that_its_backend_restarted_opens_and_closes_once(session: Session) -> None:
    opened, closed = {"method": "opened", "params": {}}, {"method": "closed", "params": {}}
    session.write(1, opened, closed)
    session.reader.read()
    session.write(2, opened, log("again"), closed)
    session.close()
    assert [message["method"] for message in session.messages] == ["opened", "log", "closed"]


def test_errors_keep_their_level_and_pass_among_many_other_lines(session: Session) -> None:
    session.write(1, log("bad", "ERROR"), *(log(str(line)) for line in range(100)))
    session.reader.read()
    assert log("bad", "ERROR") in session.messages
    assert "(90 lines left out) 90" in session.lines


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 60)), min_size=1, max_size=30))
def test_the_rate_of_lines_is_limited_and_the_newest_line_comes_last(bursts: list[tuple[int, float]]) -> None:
    session, written = Session(cast(Store, Memory())), 0
    for number, (lines, seconds) in enumerate(bursts, 1):
        session.write(number, *(log(str(written + line)) for line in range(lines)))
        written += lines
        session.reader.read()
        assert len(session.lines) <= LINES_AT_ONCE + session.now / LINE_EVERY_SECONDS
        session.now += seconds
    session.close()
    assert written == 0 or session.lines[-1].endswith(str(written - 1))


class Memory(dict[str, bytes]):
    """The two operations of a store that a reader needs."""

    def put(self, path: str, data: bytes) -> None:
        self[path] = data

    def get(self, path: str) -> bytes:  # type: ignore[override]
        try:
            return self[path]
        except KeyError:
            raise FileNotFoundError(path) from None
