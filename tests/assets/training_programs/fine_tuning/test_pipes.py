"""What the program tells a Dagster run, as files of the lake."""

import json
from pathlib import Path
from typing import Any

import pytest
from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param

from assets.training_programs.fine_tuning.pipes import open_voice
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


def messages(store: LocalStore) -> list[dict[str, Any]]:
    """All that was said, in order."""
    count = len(store.list("attempt/messages"))
    chunks = [store.get(f"attempt/messages/{number}.json").decode() for number in range(1, count + 1)]
    return [json.loads(line) for chunk in chunks for line in chunk.splitlines()]


def test_lines_and_reports_arrive_in_order(store: LocalStore) -> None:
    with open_voice(store) as voice:
        voice.say("step 1")
        voice.report({"loss": 1.5})
        voice.complain("no more")

    told = messages(store)
    assert [message["method"] for message in told] == ["opened", "log", "report_custom_message", "log", "closed"]
    assert told[2]["params"]["payload"] == {"loss": 1.5}
    assert told[3]["params"]["level"] == "ERROR"


def test_a_job_that_is_restarted_as_the_same_attempt_goes_on_with_its_messages(store: LocalStore) -> None:
    for line in ("before", "after"):
        with open_voice(store) as voice:
            voice.say(line)

    assert [told["params"]["message"] for told in messages(store) if told["method"] == "log"] == ["before", "after"]


def test_alone_the_program_speaks_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_voice(LocalStore(tmp_path)) as voice:
        voice.say("step 1")
        voice.report({"loss": 1.5})

    assert capsys.readouterr().err == "trainer: step 1\n"


def test_without_a_context_the_program_goes_on_alone(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.delete("attempt/context.json")

    with open_voice(store) as voice:
        voice.say("step 1")

    assert "goes on without Dagster Pipes" in capsys.readouterr().err


def test_messages_that_cannot_be_written_do_not_stop_the_program(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("out of reach")

    monkeypatch.setattr(store, "put", refuse)

    with open_voice(store) as voice:
        voice.say("step 1")

    assert "messages to Dagster are lost: out of reach" in capsys.readouterr().err
