"""What people are told of a failed run: the first real cause, where, and what to do; in the log and to a webhook."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from dagster import DagsterEvent, DagsterRun

LONGEST_CAUSE = 1500  # characters
TIMEOUT = 10  # seconds
AGAIN = (
    "Then re-execute the run from its failure in the UI, or launch the same again: what is finished is left as it is, "
    "and what was paid for is not paid again."
)


def failure_message(run: DagsterRun, failed_steps: Sequence[DagsterEvent], told: str | None) -> str:
    """What failed, for which partitions, why, and what to do.

    Args:
        run: the run that failed.
        failed_steps: its steps' failures, in order of time; none where its process died.
        told: what Dagster says of the run as a whole, which is the cause where no step failed.
    """
    steps = ", ".join(dict.fromkeys(step.step_key or "" for step in failed_steps)) or run.job_name
    cause = (first_cause(failed_steps[0]) if failed_steps else told) or "Dagster gives no cause; see the run"
    cut = cause if len(cause) <= LONGEST_CAUSE else cause[:LONGEST_CAUSE] + " …"
    return f"{steps} failed{_partitions(run)} in run {run.run_id}\n{cut.strip()}\n{AGAIN}"


def post_alert(webhook: str, message: str) -> str | None:
    """Post a message as Slack takes it. Gives what went wrong, without the address, which is a secret; None: nothing.

    Parts of the message come from models and servers: they mention nobody and link to nothing.
    """
    plain = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = json.dumps({"text": plain}).encode()
    try:
        request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310 - see Settings
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return f"it answered HTTP {error.code}"
    except (OSError, ValueError) as error:
        return type(getattr(error, "reason", error)).__name__


def first_cause(failure: DagsterEvent) -> str:
    """The first error of our own or of a library, without the frames and without Dagster's wrapping."""
    data = failure.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error and error.cause and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return error.message.strip() if error else ""


def _partitions(run: DagsterRun) -> str:
    names = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    keys = [run.tags[name] for name in names if name in run.tags]
    return f" for {' ... '.join(keys)}" if keys else ""
