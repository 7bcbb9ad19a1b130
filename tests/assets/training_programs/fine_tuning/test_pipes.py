"""What the program reports to a Dagster run, as files of the lake."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param

from assets.training_programs.fine_tuning.pipes import LakeMessageChannel, open_reporter
from resources.lake.store import LocalStore, StoreError

CONTEXT = {
    "asset_keys": ["checkpoints"],
    "code_version_by_asset_key": {"checkpoints": None},
    "provenance_by_asset_key": {"checkpoints": None},
    "partition_key": "tiny|ori",
    "partition_key_range": None,
    "partition_time_window": None,
    "run_id": "run",
    "job_name": None,
    "retry_number": 0,
    "extras": {},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """A lake in which a run waits for messages."""
    store = LocalStore(tmp_path)
    store.put("attempt/context.json", json.dumps(CONTEXT).encode())
    monkeypatch.setenv(DAGSTER_PIPES_CONTEXT_ENV_VAR, encode_param({"path": "attempt/context.json"}))
    monkeypatch.setenv(DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param({"folder": "attempt/messages"}))
    return store


def messages(store: LocalStore) -> list[Any]:
    """All messages, in order."""
    count = len(store.list("attempt/messages"))
    chunks = [store.get(f"attempt/messages/{number}.json").decode() for number in range(1, count + 1)]
    return [json.loads(line) for chunk in chunks for line in chunk.splitlines()]


def test_lines_and_reports_arrive_in_order(store: LocalStore) -> None:
    with open_reporter(store) as reporter:
        reporter.say("step 1")
        reporter.report({"loss": 1.5})
        reporter.complain("no more")

    written = messages(store)
    assert [message["method"] for message in written] == ["opened", "log", "report_custom_message", "log", "closed"]
    assert written[2]["params"]["payload"] == {"loss": 1.5}
    assert written[3]["params"]["level"] == "ERROR"


def test_a_job_that_is_restarted_as_the_same_attempt_continues_its_messages(store: LocalStore) -> None:
    for line in ("before", "after"):
        with open_reporter(store) as reporter:
            reporter.say(line)

    assert [one["params"]["message"] for one in messages(store) if one["method"] == "log"] == ["before", "after"]


def test_without_dagster_the_program_writes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_reporter(LocalStore(tmp_path)) as reporter:
        reporter.say("step 1")
        reporter.report({"loss": 1.5})

    assert capsys.readouterr().err == "trainer: step 1\n"


def test_without_a_context_the_program_continues_without_pipes(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.delete("attempt/context.json")

    with open_reporter(store) as reporter:
        reporter.say("step 1")

    assert "continues without Dagster Pipes" in capsys.readouterr().err


def test_messages_that_cannot_be_written_are_late_and_leave_no_gap(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put, refused = store.put, []

    def refuse_once(path: str, data: bytes) -> None:
        if not refused:
            refused.append(path)
            raise StoreError("out of reach")
        put(path, data)

    channel = LakeMessageChannel(store, "attempt/messages", 5)
    monkeypatch.setattr(store, "put", refuse_once)
    for number in (1, 2):
        channel.upload_messages_chunk(StringIO(f"{number}\n"), number)
    assert "messages to Dagster are late: out of reach" in capsys.readouterr().err
    assert messages(store) == [1, 2]
