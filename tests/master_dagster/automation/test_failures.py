"""Reports of failed runs."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from dagster import (
    AssetKey,
    ConfigurableResource,
    DagsterInstance,
    Definitions,
    Failure,
    InitResourceContext,
    OpExecutionContext,
    ResourceParam,
    RunRequest,
    SensorDefinition,
    SkipReason,
    asset,
    build_run_status_sensor_context,
    job,
    op,
)

from master_dagster.automation.failures import failure_message, post_alert
from master_dagster.automation.sensors import failure_sensor


class Webhook(BaseHTTPRequestHandler):
    """Records the messages that are posted; answers 500 below /broken."""

    messages: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def webhook() -> Iterator[str]:
    """The address of a server that accepts alerts."""
    Webhook.messages.clear()
    server = HTTPServer(("127.0.0.1", 0), Webhook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def failed_run(instance: DagsterInstance, error: Exception, **tags: str) -> Any:
    """The context that a failure sensor gets for a run whose first step raised `error`."""

    @op
    def generate(context: OpExecutionContext) -> None:
        raise error

    @op
    def score() -> None: ...

    @job
    def partitions() -> None:
        generate()
        score()

    named = {f"dagster/{name}": value for name, value in tags.items()}
    result = partitions.execute_in_process(instance=instance, raise_on_error=False, tags=named)
    return build_run_status_sensor_context(
        "report_failures", result.get_run_failure_event(), instance, result.dagster_run
    ).for_run_failure()


RANGE = {"asset_partition_range_start": "debate|x-0000", "asset_partition_range_end": "debate|x-0004"}


@pytest.mark.parametrize(
    ("error", "tags", "partitions", "cause"),
    [
        (
            Failure("the key is wrong; set KEY"),
            {"partition": "debate|x-0003"},
            "debate|x-0003",
            "the key is wrong; set",
        ),
        (KeyError("seed_id"), RANGE, "debate|x-0000 ... debate|x-0004", "KeyError: 'seed_id'"),
        (Failure("x" * 10_000), {"partition": "sums"}, "sums", "x{1500} …$"),
    ],
    ids=["our own message", "an unexpected error of a range", "a long message is cut"],
)
def test_a_report_says_what_failed_for_which_partitions_why_and_what_to_do(
    instance: DagsterInstance, error: Exception, tags: dict[str, str], partitions: str, cause: str
) -> None:
    context = failed_run(instance, error, **tags)
    run = context.dagster_run
    message = failure_message(run, context.get_step_failure_events(), context.failure_event)
    title, found, advice = message.splitlines()
    assert title == f"generate failed for {partitions} in run {run.run_id}"
    assert re.match(cause, found)
    assert "re-execute the run from its failure" in advice


def evaluate(sensor: SensorDefinition, context: Any) -> RunRequest | SkipReason:
    result = sensor(context)
    assert isinstance(result, RunRequest | SkipReason)
    return result


def test_a_failure_is_reported_in_the_tick_and_to_the_webhook(instance: DagsterInstance, webhook: str) -> None:
    result = evaluate(failure_sensor(webhook), failed_run(instance, Failure("the disk is full")))
    assert isinstance(result, SkipReason)
    assert "the disk is full" in str(result.skip_message)
    (message,) = Webhook.messages
    assert "the disk is full" in message


def test_a_resource_that_cannot_be_opened_is_the_cause_and_no_killed_run(instance: DagsterInstance) -> None:
    class Launcher(ConfigurableResource[int]):
        def create_resource(self, context: InitResourceContext) -> int:
            raise RuntimeError("jobs on Kubernetes cannot read the lake")

    @asset
    def checkpoints(launcher: ResourceParam[int]) -> None: ...

    definitions = Definitions(assets=[checkpoints], resources={"launcher": Launcher()})
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=[AssetKey("checkpoints")]
    )
    context = build_run_status_sensor_context(
        "report_failures", done.get_run_failure_event(), instance, done.dagster_run
    ).for_run_failure()
    result = evaluate(failure_sensor(None), context)
    assert isinstance(result, SkipReason)
    title, cause, _ = str(result.skip_message).splitlines()
    assert title.startswith("checkpoints failed in run")
    assert cause == "RuntimeError: jobs on Kubernetes cannot read the lake"


def test_the_words_of_a_model_cannot_mention_people(webhook: str) -> None:
    assert post_alert(webhook, "it said: <!channel> & more") is None
    assert Webhook.messages == ["it said: &lt;!channel&gt; &amp; more"]


@pytest.mark.parametrize(
    ("address", "error"),
    [("{server}/broken", "it answered HTTP 500"), ("http://127.0.0.1:1/SECRET", "ConnectionRefusedError")],
)
def test_a_webhook_that_fails_is_reported_without_its_address(webhook: str, address: str, error: str) -> None:
    assert post_alert(address.format(server=webhook), "no") == error


def test_after_a_run_that_was_killed_the_lake_is_mirrored(instance: DagsterInstance) -> None:
    """It could not report what it had written."""

    @job
    def partitions() -> None: ...

    run = instance.create_run_for_job(partitions)
    event = instance.report_run_failed(run, "its process is gone")
    context = build_run_status_sensor_context("report_failures", event, instance, run).for_run_failure()
    result = evaluate(failure_sensor(None), context)
    assert isinstance(result, RunRequest)
    assert result.run_key == run.run_id
