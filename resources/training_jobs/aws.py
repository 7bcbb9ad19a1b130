"""What the places on AWS share: clients, errors in plain words, the end of a log. boto3 is loaded when first used."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resources.lake.store import Store, aws_region
from resources.training_jobs.backend import BackendError, BackendUnreachable

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

WRONG_CREDENTIALS = "the credentials are wrong: look at AWS_PROFILE, AWS_ACCESS_KEY_ID or the role of this machine"
EXPIRED = "the credentials have expired: renew them and materialise again, a job that runs is joined"
NOT_PERMITTED = "the credentials lack this permission; infra/ has the policies"
QUOTA = "a quota of the account: raise it in Service Quotas, or choose another instance type"
ADVICE = {
    "UnrecognizedClientException": WRONG_CREDENTIALS,
    "InvalidClientTokenId": WRONG_CREDENTIALS,
    "InvalidSignatureException": WRONG_CREDENTIALS,
    "SignatureDoesNotMatch": WRONG_CREDENTIALS,
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "AccessDenied": NOT_PERMITTED,
    "AccessDeniedException": NOT_PERMITTED,
    "ResourceLimitExceeded": QUOTA,
}
CORRECT = "correct `backend` in the trainer's configuration"
PASSING = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|Unavailable|InternalFailure|InternalServer")


class AwsJobs:
    """Jobs of one service in one region, and the logs that they leave."""

    def __init__(self, service: str) -> None:
        """Raises BackendError where no region is set."""
        self._client = open_client(service)
        self.region: str = self._client.meta.region_name

    @cached_property
    def _logs(self) -> "CloudWatchLogsClient":
        client: CloudWatchLogsClient = open_client("logs")
        return client


def open_client(service: str, attempts: int = 6) -> Any:
    """A boto3 client: credentials, region and endpoint by boto3's usual chain, with time-outs.

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
            config=Config(retries=retries, connect_timeout=10, read_timeout=60),
        )


@contextmanager
def explained(call: str) -> Iterator[None]:
    """Turn botocore's errors into ours.

    Args:
        call: what is tried, as the message names it: `CreateTrainingJob of x`.

    Raises:
        BackendUnreachable: another try may do.
        BackendError: it will not.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except ClientError as error:
        code, message = error_of(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or PASSING.search(code):
            raise BackendUnreachable(f"{call} failed: {code}: {message}; it may work in a minute") from error
        raise BackendError(f"{call} failed: {code}: {message}; {ADVICE.get(code, CORRECT)}") from error
    except NoCredentialsError as error:
        raise BackendError(f"{call} failed: there are no AWS credentials; set AWS_PROFILE, for one") from error
    except NoRegionError as error:
        raise BackendError(f"{call} failed: there is no AWS region; set AWS_REGION") from error
    except HTTPClientError as error:
        raise BackendUnreachable(f"{call} failed: {error}; look at the network and the region") from error
    except BotoCoreError as error:
        raise BackendError(f"{call} failed: {error}; {CORRECT}") from error


def error_of(error: Any) -> tuple[str, str]:
    """Code and message of botocore's ClientError."""
    details = error.response.get("Error", {})
    return details.get("Code", "unknown"), details.get("Message", "")


def require_s3(store: Store, place: str) -> None:
    """Jobs on other machines reach the lake on S3 alone.

    Raises:
        BackendError: the lake lies on this machine's disk.
    """
    if not store.root.startswith("s3://"):
        raise BackendError(
            f"jobs on {place} cannot read the lake at {store.root}: set MASTER_LAKE_ROOT to s3://bucket/prefix, or use "
            "the trainer configuration `local`"
        )


def log_tail(logs: "CloudWatchLogsClient", group: str, stream: str, count: int) -> list[str]:
    """The newest lines of a log stream, oldest first; empty where there is none yet."""
    from botocore.exceptions import ClientError

    with explained(f"GetLogEvents of {group}"):
        try:
            answer = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=count, startFromHead=False)
        except ClientError as error:
            if error_of(error)[0] == "ResourceNotFoundException":
                return []
            raise
    return [line for event in answer["events"] for line in event["message"].splitlines()][-count:]
