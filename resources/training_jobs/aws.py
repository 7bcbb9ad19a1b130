"""What the backends on AWS share: clients, errors, the end of a log. boto3 is loaded when it is first used."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resources.lake.store import aws_certificates, aws_region
from resources.training_jobs.backend import BackendError, BackendUnreachable

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

NO_LOG = "^ResourceNotFoundException"
CORRECT = "correct `backend` in the trainer's configuration"


class AwsBackend:
    """A client of one service in one region, and the logs of its jobs."""

    def __init__(self, service: str) -> None:
        """Raises BackendError where no region is set."""
        self._client = open_client(service)
        self.region: str = self._client.meta.region_name

    @cached_property
    def _logs(self) -> "CloudWatchLogsClient":
        client: CloudWatchLogsClient = open_client("logs")
        return client

    def _call(self, named: str, method: Callable[..., Any], expected: str, **arguments: Any) -> Any:
        """The answer of a call; None where it is refused with an expected error.

        Args:
            named: the call, as a message names it: `CreateTrainingJob of x`.
            method: of a boto3 client.
            expected: pattern of `<code>: <message>`.
            arguments: of the call.
        """
        from botocore.exceptions import ClientError

        with explained(named):
            try:
                return method(**arguments)
            except ClientError as error:
                refusal = "{Code}: {Message}".format(**{"Code": "", "Message": "", **error.response.get("Error", {})})
                if re.search(expected, refusal, re.IGNORECASE):
                    return None
                raise

    def _log_tail(self, group: str, stream: str, count: int) -> list[str]:
        """The newest lines of a log stream, oldest first; empty where it does not exist yet."""
        stream_arguments = {"logGroupName": group, "logStreamName": stream, "limit": count, "startFromHead": False}
        answer = self._call(f"GetLogEvents of {group}", self._logs.get_log_events, NO_LOG, **stream_arguments)
        events = answer["events"] if answer else []
        return [line for event in events for line in event["message"].splitlines()][-count:]


def open_client(service: str, attempts: int = 6) -> Any:
    """A boto3 client with time-outs: credentials, region and endpoint by boto3's usual chain.

    Args:
        service: `sagemaker`, `batch`, `logs`.
        attempts: how often one call is made before it fails; 1 where a call must not be made twice.

    Raises:
        BackendError: no region is set.
    """
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    with explained(f"the client for {service}"):
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=aws_region(),
            verify=aws_certificates(),
            config=Config(retries=retries, connect_timeout=10, read_timeout=60),
        )


def explained(call: str) -> AbstractContextManager[None]:
    """Turn botocore's errors within the block into BackendUnreachable and BackendError, with advice.

    Args:
        call: what is tried, as the message names it: `CreateTrainingJob of x`.
    """
    from resources import aws_errors

    return aws_errors.explained(call, BackendError, BackendUnreachable, CORRECT)
