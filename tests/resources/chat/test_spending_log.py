"""What was paid stays known, whatever becomes of the answers."""

import asyncio
import contextlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.calls import CallFailed
from resources.chat.engine import ChatEngine
from resources.chat.journal import delete_journal
from resources.chat.spending_log import (
    FOLDER,
    JOINED,
    SpendingLog,
    Spent,
    hours_by_day,
    join_old_records,
    read_spending,
    server_hours,
    write_record,
)
from resources.lake.store import LocalStore, StoreError
from resources.model_servers.started.usage import RunningServer
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer
    from tests.resources.chat.conftest import ChatSetup

SCOPE = "scenario_dialogues/debate|demo-0000"
PRICES = {"tiny": {"prompt": 1.0, "cached_prompt": 0.25, "completion": 2.0}}
SUMS = ("calls", "wasted", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


def answer(prompt: int, completion: int, cached: int = 0, reasoning: int = 0, text: str | None = "42") -> "Answer":
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return FakeEndpoint.sends(json.dumps({"choices": [choice], "usage": usage}))


def paid(chat: "ChatSetup") -> list[Spent]:
    return read_spending(LocalStore(chat.folder))


def sums(row: Spent) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in SUMS)


def test_each_role_has_a_row_with_tokens_and_money(chat: "ChatSetup") -> None:
    chat.endpoint.script(answer(100, 20, cached=80, reasoning=15), answer(100, 20), answer(10, 4))
    asked = [chat.call(sample="d0"), chat.call(sample="d1"), chat.call(sample="d2", role="judge")]
    chat.ask_in_turn(*asked, engine=chat.engine(chat.profile(prices=PRICES), run="night"))
    student, judge = sorted(paid(chat), key=lambda row: row.role, reverse=True)
    assert (student.run, student.scope, student.role, student.model) == ("night", SCOPE, "strong_student", "tiny")
    assert sums(student) == (2, 0, 200, 80, 40, 15)
    assert student.cost == pytest.approx((120 * 1 + 80 * 0.25 + 40 * 2) / 1e6)
    assert sums(judge) == (1, 0, 10, 0, 4, 0)


def test_what_is_replayed_is_not_paid_again_and_a_deleted_journal_takes_nothing_away(chat: "ChatSetup") -> None:
    chat.ask_one()
    once = paid(chat)
    chat.ask_one()
    assert paid(chat) == once
    delete_journal(LocalStore(chat.folder), SCOPE)
    chat.ask_one()
    assert sum(row.calls for row in paid(chat)) == 2


def test_a_body_that_could_not_be_used_was_paid_for(chat: "ChatSetup") -> None:
    chat.endpoint.script(answer(100, 0, text=None), answer(100, 20))
    chat.ask_one()
    (row,) = paid(chat)
    assert sums(row) == (1, 1, 200, 0, 20, 0)


def test_a_run_that_fails_is_recorded(chat: "ChatSetup") -> None:
    chat.endpoint.script("42", FakeEndpoint.fails(400, "the prompt is too long"))
    with pytest.raises(CallFailed):
        chat.ask_in_turn(*chat.calls(2))
    assert [row.calls for row in paid(chat)] == [1]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-01-31T22:00", "2026-01-31T22:30", {date(2026, 1, 31): 0.5}),
        ("2026-01-31T22:00", "2026-02-02T01:00", {date(2026, 1, 31): 2, date(2026, 2, 1): 24, date(2026, 2, 2): 1}),
        ("2026-01-31T22:00", "2026-02-01T00:00", {date(2026, 1, 31): 2}),
        ("2026-01-31T22:00", "2026-01-31T21:00", {}),
    ],
)
def test_hours_belong_to_their_days(start: str, end: str, expected: dict[date, float]) -> None:
    moments = [datetime.fromisoformat(f"{moment}Z").timestamp() for moment in (start, end)]
    assert hours_by_day(*moments) == expected


SERVER = RunningServer("some", "tiny", datetime(2026, 1, 31, 22, tzinfo=UTC).timestamp(), 1800.0, price_per_hour=4.0)


@pytest.mark.parametrize(("price", "cost"), [(4.0, 6.0), (None, 0.0)])
def test_the_hours_of_a_server_go_on_until_it_is_stopped(price: float | None, cost: float) -> None:
    (row,) = server_hours(replace(SERVER, price_per_hour=price), SERVER.started + 3600)
    assert (row.day, row.model, row.hours, row.cost) == (date(2026, 1, 31), "tiny", 1.5, cost)


def test_the_hours_of_a_server_are_counted_once_for_all_engines(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for _ in range(2):
        SpendingLog(store, "night", servers={"teacher": SERVER, "student": SERVER}).save()
    first = [row for row in read_spending(store) if row.day == date(2026, 1, 31)]
    assert [row.hours for row in first] == [2.0]


class FullLake(LocalStore):
    """A lake that takes no record of what was paid."""

    def put(self, path: str, data: bytes) -> None:
        if path.startswith(FOLDER):
            raise StoreError("the lake is full")
        super().put(path, data)


def test_a_record_that_cannot_be_written_ends_no_run(chat: "ChatSetup", caplog: pytest.LogCaptureFixture) -> None:
    assert chat.ask_one(chat.engine(store=FullLake(chat.folder))).text
    assert "what was paid could not be recorded: the lake is full" in caplog.text


def test_what_is_paid_is_written_while_the_run_goes_on(chat: "ChatSetup") -> None:
    async def work(engine: ChatEngine) -> list[Spent]:
        async with engine:
            await engine.complete(chat.call(), scope=SCOPE)
            await asyncio.sleep(60)
            return paid(chat)

    assert [row.calls for row in chat.hurry(work(chat.engine()))] == [1]


class KilledStore(LocalStore):
    """A lake whose writer is killed at one of its calls."""

    def __init__(self, root: Path, kill_at: str) -> None:
        super().__init__(root)
        self.kill_at = kill_at

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        if self.kill_at == "before the write":
            raise KeyboardInterrupt
        return super().replace_if_unchanged(path, data, version)

    def delete(self, path: str) -> None:
        super().delete(path)
        if self.kill_at == "after the first deletion":
            raise KeyboardInterrupt


def record(calls: int, run: str = "night") -> Spent:
    return Spent(date(2026, 1, 2), run, SCOPE, "judge", "tiny", batch=False, calls=calls)


@pytest.mark.parametrize("kill_at", ["before the write", "after the first deletion", "never"])
def test_joined_records_count_once_wherever_the_process_is_killed(tmp_path: Path, kill_at: str) -> None:
    store = LocalStore(tmp_path)
    for name in ("a", "b"):
        write_record(store, name, [record(1, run=name)])
    later = datetime.now(UTC) + timedelta(days=1)
    with contextlib.suppress(KeyboardInterrupt):
        join_old_records(KilledStore(tmp_path, kill_at), later, least=1)
    assert {row.run: row.calls for row in read_spending(store)} == {"a": 1, "b": 1}
    write_record(store, "a", [record(3, run="a")])  # the engine was not done
    assert {row.run: row.calls for row in read_spending(store)} == {"a": 3, "b": 1}
    join_old_records(store, later, least=1)
    assert {row.run: row.calls for row in read_spending(store)} == {"a": 3, "b": 1}
    assert [file.path for file in store.list(FOLDER)] == [JOINED]


@pytest.mark.parametrize(("days", "least"), [(-1, 1), (1, 3)], ids=["written since", "too few"])
def test_records_are_left_as_they_are(tmp_path: Path, days: int, least: int) -> None:
    store = LocalStore(tmp_path)
    for name in ("a", "b"):
        write_record(store, name, [record(1)])
    join_old_records(store, datetime.now(UTC) + timedelta(days=days), least)
    assert not store.exists(JOINED)


def test_damaged_joined_records_are_an_error_and_never_replaced(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write_record(store, "a", [record(1)])
    store.put(JOINED, b"{")
    with pytest.raises(StoreError, match=r"joined\.json is damaged"):
        join_old_records(store, datetime.now(UTC) + timedelta(days=1), least=1)
    assert store.get(JOINED) == b"{"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rows": [{"day": "today"}]}', b'{"rows": [{"day": "2026-01-02"}]}'])
def test_a_damaged_file_is_left_out_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    store.put(f"{FOLDER}/x.json", content)
    assert read_spending(store) == []
    assert "record x of" in caplog.text
