"""What people are told of a failed run."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from dagster import (
    DagsterInstance,
    Failure,
    OpExecutionContext,
    RunRequest,
    SensorDefinition,
    SkipReason,
    build_run_status_sensor_context,
    job,
    op,
)

from master_dagster.automation.failures import failure_message, post_alert
from master_dagster.automation.sensors import failure_sensor


class Webhook(BaseHTTPRequestHandler):
    """Keeps what it is told; answers 500 below /broken."""

    told: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def webhook() -> Iterator[str]:
    """The address of a server that takes alerts."""
    Webhook.told.clear()
    server = HTTPServer(("127.0.0.1", 0), Webhook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/T00/SECRET"
    server.shutdown()
    server.server_close()


def failed_run(instance: DagsterInstance, error: Exception, **tags: str) -> Any:
    """The context in which a failure sensor meets a run whose first step raised `error`."""

    @op
    def teach(context: OpExecutionContext) -> None:
        raise error

    @op
    def score() -> None: ...

    @job
    def partitions() -> None:
        teach()
        score()

    named = {f"dagster/{name}": value for name, value in tags.items()}
    result = partitions.execute_in_process(instance=instance, raise_on_error=False, tags=named)
    return build_run_status_sensor_context(
        "tell_failures", result.get_run_failure_event(), instance, result.dagster_run
    ).for_run_failure()


def message(context: Any) -> list[str]:
    return failure_message(
        context.dagster_run, context.get_step_failure_events(), context.failure_event.message
    ).splitlines()


def test_it_says_what_failed_for_which_partition_and_in_which_run(instance: DagsterInstance) -> None:
    context = failed_run(instance, Failure("no"), partition="debate|x-0003")
    assert message(context)[0] == f"teach failed for debate|x-0003 in run {context.dagster_run.run_id}"


def test_it_names_both_ends_of_a_range(instance: DagsterInstance) -> None:
    ends = {"asset_partition_range_start": "debate|x-0000", "asset_partition_range_end": "debate|x-0004"}
    assert " for debate|x-0000 ... debate|x-0004 in run" in message(failed_run(instance, Failure("no"), **ends))[0]


def test_our_own_words_are_the_cause(instance: DagsterInstance) -> None:
    told = message(failed_run(instance, Failure("the key is wrong; put another into KEY")))
    assert told[1] == "the key is wrong; put another into KEY"


def test_an_unexpected_error_is_told_with_its_kind_and_without_dagsters_wrapping(instance: DagsterInstance) -> None:
    assert message(failed_run(instance, KeyError("seed_id")))[1] == "KeyError: 'seed_id'"


def test_it_says_what_to_do(instance: DagsterInstance) -> None:
    assert "re-execute the run from its failure" in message(failed_run(instance, Failure("no")))[-1]


def test_a_long_cause_is_cut(instance: DagsterInstance) -> None:
    assert len("".join(message(failed_run(instance, Failure("x" * 10_000))))) < 2_000


def evaluate(sensor: SensorDefinition, context: Any) -> RunRequest | SkipReason:
    told = sensor(context)
    assert isinstance(told, RunRequest | SkipReason)
    return told


def test_the_webhook_is_told(instance: DagsterInstance, webhook: str) -> None:
    evaluate(failure_sensor(webhook), failed_run(instance, Failure("the disk is full")))
    (told,) = Webhook.told
    assert "the disk is full" in told


def test_what_a_model_said_mentions_nobody(webhook: str) -> None:
    assert post_alert(webhook, "it said: <!channel> & more") is None
    assert Webhook.told == ["it said: &lt;!channel&gt; &amp; more"]


@pytest.mark.parametrize(
    ("address", "fault"),
    [("{server}/broken", "it answered HTTP 500"), ("http://127.0.0.1:1/SECRET", "ConnectionRefusedError")],
)
def test_a_webhook_that_does_not_take_it_is_told_without_its_address(webhook: str, address: str, fault: str) -> None:
    assert post_alert(address.format(server=webhook.removesuffix("/T00/SECRET")), "no") == fault


def test_without_a_webhook_the_tick_itself_says_it(instance: DagsterInstance) -> None:
    told = evaluate(failure_sensor(None), failed_run(instance, Failure("the disk is full")))
    assert isinstance(told, SkipReason)
    assert "the disk is full" in str(told.skip_message)


def test_after_a_run_that_was_killed_the_lake_is_mirrored(instance: DagsterInstance) -> None:
    """It could not say what it had written."""

    @job
    def partitions() -> None: ...

    run = instance.create_run_for_job(partitions)
    event = instance.report_run_failed(run, "its process is gone")
    context = build_run_status_sensor_context("tell_failures", event, instance, run).for_run_failure()
    told = evaluate(failure_sensor(None), context)
    assert isinstance(told, RunRequest)
    assert told.run_key == run.run_id
