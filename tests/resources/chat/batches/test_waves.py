"""Calls of a role in batches are submitted once, collected once, and asked again where they have no answer."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.batches import collection, provider
from resources.chat.batches.ledger import Ledger, change_ledger, confirming, delete_ledger, ledger_path, removing
from resources.chat.batches.waves import Wanted, split_wave
from resources.chat.budget import Budget
from resources.chat.calls import AwaitingBatch, BudgetSpent, EndpointUnusable
from resources.chat.journal import ScopeJournal
from resources.chat.profile import BatchLimits, Profile
from resources.lake.opening import open_store
from tests.resources.chat.batches.conftest import SCOPE

if TYPE_CHECKING:
    from tests.resources.chat.batches.conftest import WavesSetup

LIST, CREATE, UPLOAD = ("GET", "/batches"), ("POST", "/batches"), ("POST", "/files")


def calls(waves: "WavesSetup", number: int = 4) -> list[Any]:
    return [waves.call(one) for one in range(number)]


def not_deleted(waves: "WavesSetup") -> set[str]:
    return waves.server.files.keys() - waves.server.deleted


def test_a_wave_is_submitted_collected_and_replayed(waves: "WavesSetup") -> None:
    asked = calls(waves)
    assert waves.run(*asked) == [None] * 4
    assert waves.server.bodies()[0]["messages"] == [{"role": "user", "content": "What is 0 + 0?"}]
    answers = waves.run_until_done(*asked)
    assert [one.text for one in answers] == [f"A complete answer to: What is {n} + {n}?" for n in range(4)]
    assert set(waves.server.requests.values()) == {1}
    assert (waves.server.live, waves.ledger.open, waves.ledger.failed) == ([], [], {})


def test_a_wave_of_a_lake_on_s3(waves: "WavesSetup", s3_root: str) -> None:
    waves.store = open_store(s3_root)
    waves.server.lose.append(CREATE)
    waves.run_until_done(*calls(waves))
    assert set(waves.server.requests.values()) == {1}
    assert sum(row.calls for row in waves.spent) == 4


def test_answers_of_batches_are_counted_at_the_price_of_batches(waves: "WavesSetup") -> None:
    waves.run_until_done(*calls(waves, 2))
    usage = waves.usage
    assert (usage.calls, usage.replayed, usage.batched) == (0, 2, 2)
    assert usage.replayed_cost == 2 * (10 + 5) * 0.5


def test_live_roles_are_answered_while_others_wait(waves: "WavesSetup") -> None:
    live, batched = waves.run(waves.call(role="weak_student"), waves.call(1))
    assert live is not None
    assert batched is None
    assert len(waves.server.live) == 1


@pytest.mark.parametrize("again", [1, 3])
def test_open_batches_are_not_submitted_again(waves: "WavesSetup", again: int) -> None:
    waves.server.plan = ("in_progress",) * 20
    for _ in range(1 + again):
        assert waves.run(*calls(waves)) == [None] * 4
    assert len(waves.server.batches) == 1
    assert waves.run(waves.call(), profile=waves.profile({"mode": "live"})) == [None]


@pytest.mark.parametrize(
    ("what", "submissions"),
    [(CREATE, 1), (UPLOAD, 1), (LIST, 1), (("GET", "/files/file-1/content"), 1)],
    ids=["create", "upload", "list", "answers"],
)
def test_a_lost_response_leads_to_no_second_submission(
    waves: "WavesSetup", what: tuple[str, str], submissions: int
) -> None:
    waves.server.lose.append(what)
    waves.run_until_done(*calls(waves))
    assert waves.server.lose == []
    assert set(waves.server.requests.values()) == {submissions}
    assert set(waves.server.answered.values()) == {1}


def test_two_runs_at_once_submit_each_call_once(waves: "WavesSetup") -> None:
    async def both() -> None:
        async with waves.engine() as one, waves.engine() as other:
            for engine in (one, other):
                for call in calls(waves):
                    with pytest.raises(AwaitingBatch):
                        await engine.complete(call, scope=SCOPE)
            await asyncio.gather(one.submit(SCOPE), other.submit(SCOPE))

    asyncio.run(both())
    assert (len(waves.server.batches), set(waves.server.requests.values())) == (1, {1})


def test_a_run_that_looked_before_another_one_collected_submits_nothing_again(waves: "WavesSetup") -> None:
    waves.server.plan = ("completed",)

    async def late() -> str:
        async with waves.engine() as engine:
            for call in calls(waves):
                with pytest.raises(AwaitingBatch):
                    await engine.complete(call, scope=SCOPE)
            await asyncio.to_thread(waves.run_until_done, *calls(waves))
            return await engine.submit(SCOPE)

    assert asyncio.run(late()) == "waits for nothing"
    assert set(waves.server.requests.values()) == {1}


def test_a_batch_that_another_process_removed_before_its_creation_is_not_created(waves: "WavesSetup") -> None:
    """Another process took the long upload for the end of this one."""

    def remove(seen: tuple[str, str]) -> None:
        if seen == UPLOAD:
            change_ledger(waves.store, SCOPE, removing(waves.ledger.open[0].mark))

    waves.server.after = remove
    waves.run(*calls(waves))
    assert len(waves.server.batches) == 0
    waves.server.after = lambda seen: None
    waves.run_until_done(*calls(waves))
    assert set(waves.server.requests.values()) == {1}
    assert not_deleted(waves) == set()


def test_a_batch_that_is_created_while_its_provider_is_asked_stays_open(
    waves: "WavesSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "SETTLE_SECONDS", 3600.0)
    waves.server.lose.append(CREATE)
    waves.run(*calls(waves))
    mark, known = waves.ledger.open[0].mark, dict(waves.server.batches)
    waves.server.batches.clear()

    def make_old(ledger: Ledger) -> None:
        ledger.open[0].submitted_at -= timedelta(hours=2)

    def confirm(seen: tuple[str, str]) -> None:
        if seen == LIST:
            change_ledger(waves.store, SCOPE, confirming(waves.ledger.open[0], "file-0"))

    change_ledger(waves.store, SCOPE, make_old)
    waves.server.after = confirm
    waves.run(*calls(waves))
    assert waves.ledger.has_open(mark)
    waves.server.batches = known
    waves.run_until_done(*calls(waves))
    assert set(waves.server.requests.values()) == {1}


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_what_ended_without_an_answer_goes_into_the_next_batch(waves: "WavesSetup", status: str) -> None:
    waves.server.plan = (status,)
    waves.run(*calls(waves))
    waves.server.plan = ("completed",)
    assert len(waves.run_until_done(*calls(waves))) == 4
    assert waves.server.live == []
    assert set(waves.server.answered.values()) == {1}
    assert sorted(waves.server.requests.values()) == [1, 1, 2, 2]


def test_a_batch_cancelled_by_hand_is_asked_again(waves: "WavesSetup") -> None:
    waves.server.plan = ("in_progress",) * 20
    waves.run(*calls(waves))
    waves.server.cancel()
    waves.server.plan = ("completed",)
    waves.run_until_done(*calls(waves))
    assert set(waves.server.answered.values()) == {1}


@pytest.mark.parametrize(
    ("line", "live"),
    [
        ({"response": {"status_code": 400, "body": {"error": {"message": "bad request", "code": "bad"}}}}, 1),
        ({"response": {"status_code": 500, "body": {"error": {"message": "oops", "code": "server_error"}}}}, 0),
        ({"response": {"status_code": 200, "body": {"choices": []}}}, 0),
        ({"error": {"code": "x", "message": "y"}}, 0),
    ],
    ids=["refused", "server error", "no answer", "not executed"],
)
def test_a_request_that_fails_is_asked_in_the_next_batch_and_a_refused_one_live(
    waves: "WavesSetup", line: dict[str, Any], live: int
) -> None:
    waves.server.fate = lambda _, place: line if place == 1 else None
    waves.run(*calls(waves))
    waves.server.fate = None
    waves.run_until_done(*calls(waves))
    assert len(waves.server.live) == live
    assert set(waves.server.requests.values()) == ({1} if live else {1, 2})


def test_what_three_batches_do_not_answer_is_asked_live(waves: "WavesSetup") -> None:
    waves.server.plan = ("expired",)
    waves.server.fate = lambda *_: {"error": {"code": "batch_expired", "message": "late"}}
    assert waves.run_until_done(waves.call()) != []
    assert (len(waves.server.batches), len(waves.server.live)) == (3, 1)


def test_past_the_deadline_what_failed_is_asked_live(waves: "WavesSetup") -> None:
    waves.server.plan = ("expired",)
    profile = waves.profile(live_after_hours=48)
    waves.run(*calls(waves), profile=profile)

    def make_old(ledger: Any) -> None:
        for batch in ledger.open:
            batch.submitted_at -= timedelta(hours=49)

    change_ledger(waves.store, SCOPE, make_old)
    waves.run_until_done(*calls(waves), profile=profile)
    assert (len(waves.server.batches), len(waves.server.live)) == (1, 2)


@pytest.mark.parametrize("queued", [None, 100], ids=["learned", "configured"])
def test_a_full_queue_is_waited_for(waves: "WavesSetup", queued: int | None) -> None:
    other = "scenario_dialogues/debate|demo-0001"
    profile = waves.profile(queued_tokens=queued)
    waves.server.plan = ("in_progress",) * 50
    waves.run(*calls(waves, 2), profile=profile)
    if queued is None:
        waves.server.plan, waves.server.errors = ("failed",), ({"code": "token_limit_exceeded", "message": "full"},)
    mine = [waves.call(number) for number in (7, 8)]
    for _ in range(3):
        assert waves.run(*mine, profile=profile, scope=other) == [None, None]
    assert len(waves.server.batches) == (2 if queued is None else 1)
    waves.server.cancel()
    waves.server.plan, waves.server.errors = ("completed",), ()
    waves.run(*calls(waves, 2), profile=waves.profile({"mode": "live"}))  # nothing is open then
    waves.run_until_done(*mine, profile=profile, scope=other)
    assert len(waves.server.live) == 1


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"requests": 3}, [3, 3, 1]),
        ({"bytes": 220}, [2, 2, 2, 1]),
        ({"bytes": 1}, [1] * 7),
        ({"queued_tokens": 10}, [5, 2]),
        ({}, [7]),
    ],
)
def test_a_wave_is_split_by_the_limits_of_the_provider(limits: dict[str, int], sizes: list[int]) -> None:
    wanted = [Wanted(f"{number}", "judge", "hosted", "tiny", b'{"a": 1}', 0.0) for number in range(7)]
    assert [len(chunk) for chunk in split_wave(wanted, BatchLimits(**limits))] == sizes


def test_each_part_of_a_wave_is_a_batch_of_its_own(waves: "WavesSetup") -> None:
    profile = waves.profile(requests=3)
    waves.run(*calls(waves, 7), profile=profile)
    assert [len(batch.requests) for batch in waves.ledger.open] == [3, 3, 1]
    waves.run_until_done(*calls(waves, 7), profile=profile)


def test_a_budget_counts_what_is_submitted(waves: "WavesSetup") -> None:
    asked = calls(waves, 6)
    reserved = 64  # at least the longest answer
    with pytest.raises(BudgetSpent):
        waves.run(*asked, budget=Budget(tokens=3 * reserved))
    assert len(waves.server.requests) in (2, 3)
    while len(waves.server.requests) < 6:
        try:
            waves.run(*asked, budget=Budget(tokens=3 * reserved))
        except BudgetSpent:
            continue
    waves.run_until_done(*asked)
    assert set(waves.server.requests.values()) == {1}


def test_an_answer_to_what_the_journal_has_is_ignored(waves: "WavesSetup") -> None:
    waves.run(*calls(waves, 1))
    (key,) = waves.ledger.submitted
    journal = ScopeJournal(waves.store, SCOPE)
    journal.load()
    kept = b'{"text":"kept","finish_reason":"stop","prompt_tokens":1,"completion_tokens":1}'
    journal.append(bytes.fromhex(key), kept)
    journal.close()
    waves.server.plan = ("completed",)
    (answer,) = waves.run_until_done(waves.call())
    assert answer.text == "kept"


LINES = [
    b"not JSON",
    b"[" * 100_000,
    b'{"custom_id": 7, "response": {"status_code": 200}}',
    b'{"custom_id": "' + b"0" * 64 + b'", "response": {"status_code": 200, "body": {"choices": []}}}',
    b'{"custom_id": "../../etc", "response": 3}',
    b'"' + b"x" * 5 * 2**20 + b'"',
]


@pytest.mark.parametrize("line", LINES, ids=["no JSON", "deep", "a number", "another's", "a path", "long"])
def test_lines_that_answer_nothing_are_left_out(waves: "WavesSetup", line: bytes) -> None:
    waves.server.unreadable = line + b"\n"
    assert len(waves.run_until_done(*calls(waves))) == 4
    assert set(waves.server.requests.values()) == {1}


@pytest.mark.parametrize("what", [UPLOAD, CREATE], ids=["upload", "create"])
def test_a_provider_that_refuses_batches_is_named_without_the_key(
    waves: "WavesSetup", monkeypatch: pytest.MonkeyPatch, what: tuple[str, str]
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret-12345")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    waves.server.refuse[what] = (401, "Incorrect API key provided: sk-secret-12345")
    profile = waves.profile()
    hosted = profile.endpoints["hosted"].model_copy(update={"api_key_env": "SOME_KEY", "headers": {"X-Title": "t"}})
    with pytest.raises(EndpointUnusable, match=r"refuses batches \(HTTP 401.*\[key\]"):
        waves.run(waves.call(), profile=profile.model_copy(update={"endpoints": {"hosted": hosted}}))
    assert waves.ledger.open == []  # nothing is looked for that was never created
    sent = waves.server.headers[-1]
    assert (sent["authorization"], sent["x-title"]) == ("Bearer sk-secret-12345", "t")
    assert "openai-organization" not in sent


def test_a_provider_that_fails_leaves_the_batches_of_others_to_be_collected(waves: "WavesSetup") -> None:
    waves.server.plan = ("completed",)
    given = waves.profile().model_dump()
    given["endpoints"]["other"] = given["endpoints"]["hosted"]
    given["roles"]["judge"] = {**given["roles"]["critic_teacher"], "endpoint": "other", "model": "other"}
    profile = Profile.model_validate(given)
    asked = [waves.call(1, "judge"), waves.call(2)]
    waves.run(*asked, profile=profile)
    given["endpoints"]["other"] = {"base_url": f"{waves.server.base_url}/nothing"}
    with pytest.raises(EndpointUnusable, match="endpoint 'other'"):
        waves.run(*asked, profile=Profile.model_validate(given))
    assert [batch.endpoint for batch in waves.ledger.open] == ["other"]
    assert len(waves.run_until_done(*asked, profile=profile)) == 2
    assert set(waves.server.answered.values()) == {1}


@pytest.mark.parametrize("plan", ["completed", "expired", "failed"])
def test_the_files_of_a_collected_batch_are_deleted_at_the_provider(waves: "WavesSetup", plan: str) -> None:
    waves.server.plan = (plan,)
    waves.server.lose.append(UPLOAD)  # the client uploads again, and the first file belongs to no batch
    waves.run(*calls(waves))
    before = set(waves.server.files)
    waves.run(*calls(waves))
    assert before <= set(waves.server.deleted)
    waves.server.plan = ("completed",)
    assert len(waves.run_until_done(*calls(waves))) == 4
    assert (not_deleted(waves), waves.ledger.left_files) == (set(), [])


def test_files_are_kept_where_the_profile_says_so(waves: "WavesSetup") -> None:
    profile = waves.profile(keep_files=True)
    waves.run_until_done(*calls(waves), profile=profile)
    assert (waves.server.deleted, waves.ledger.left_files) == ([], [])


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_provider_without_deletion_is_asked_once(
    waves: "WavesSetup", monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(provider, "RETRIES", 0)
    for what in (("DELETE", "/files/file-0"), ("DELETE", "/files/file-1"), ("GET", "/files")):
        waves.server.refuse[what] = (status, "no")
    waves.run_until_done(*calls(waves))
    assert waves.ledger.left_files == []
    assert waves.server.seen.count(("DELETE", "/files/file-0")) == 1


@pytest.mark.parametrize("status", [403, 503])
def test_files_that_cannot_be_deleted_now_are_deleted_the_next_time(
    waves: "WavesSetup", monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(provider, "RETRIES", 0)
    waves.server.refuse[("DELETE", "/files/file-1")] = (status, "not now")
    answers = waves.run_until_done(*calls(waves))
    assert not_deleted(waves) == {"file-1"}
    delete_ledger(waves.store, SCOPE)  # as of a released partition
    waves.server.refuse.clear()
    assert waves.run(*calls(waves)) == answers
    assert (not_deleted(waves), waves.ledger.left_files) == (set(), [])


def test_the_ledger_of_a_released_scope_is_deleted_once_no_batch_is_open(waves: "WavesSetup") -> None:
    waves.run(*calls(waves))
    delete_ledger(waves.store, SCOPE)  # the partition was made by live calls of another model meanwhile
    assert len(waves.run_until_done(*calls(waves))) == 4
    assert set(waves.server.requests.values()) == {1}
    delete_ledger(waves.store, SCOPE)
    assert not waves.store.exists(ledger_path(SCOPE))


def test_a_process_whose_files_another_one_deletes_changes_nothing(
    waves: "WavesSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine, which no lock keeps out, collects the batch when this one has read one of its answers."""
    replies, machines = provider.BatchProvider.replies, ["another"]

    def read(client: provider.BatchProvider, batch: provider.SeenBatch) -> Iterator[provider.LineReply]:
        yield from list(replies(client, batch))[: 1 if machines else None]
        if machines:
            machines.clear()
            collection.collect(waves.profile(), waves.store, SCOPE)

    monkeypatch.setattr(collection, "only_process", lambda *_: nullcontext())
    monkeypatch.setattr(provider.BatchProvider, "replies", read)
    assert len(waves.run_until_done(*calls(waves))) == 4
    assert (machines, waves.ledger.failed, not_deleted(waves)) == ([], {}, set())
    assert sum(row.calls for row in waves.spent) == 4
