"""The report of a failed run: the first cause, where, and what to do."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from dagster import DagsterEvent, DagsterRun

from assets.framework.partitions import PARTITION_TAG, RANGE_END, RANGE_START
from resources.outside_text import without_links

LONGEST_CAUSE = 1500  # characters
TIMEOUT = 10  # seconds
AGAIN = (
    "Then re-execute the run from its failure in the UI, or launch the same run again: finished partitions stay, and "
    "paid answers are not paid for again."
)


def failure_message(run: DagsterRun, failed_steps: Sequence[DagsterEvent], failure: DagsterEvent) -> str:
    """What failed, for which partitions, why, and what to do.

    Args:
        run: the run that failed.
        failed_steps: the failures of its steps, by time; none where a resource failed, or its process was killed.
        failure: of the run as a whole, which has the cause where no step failed.
    """
    selected = sorted(key.to_user_string() for key in run.asset_selection or ())
    named = dict.fromkeys([step.step_key or "" for step in failed_steps] or selected or [run.job_name])
    found = first_cause(failed_steps[0]) if failed_steps else first_message(error_of(failure)) or failure.message
    cause = found or "Dagster gives no cause; see the run"
    cut = cause if len(cause) <= LONGEST_CAUSE else cause[:LONGEST_CAUSE] + " …"
    return f"{', '.join(named)} failed{_partitions(run)} in run {run.run_id}\n{cut.strip()}\n{AGAIN}"


def post_alert(webhook: str, message: str) -> str | None:
    """Post a message to a webhook that accepts Slack's JSON.

    Parts of the message come from models and servers, so it is escaped: it cannot mention people or contain links.

    Returns:
        What went wrong, without the address, which is a secret; None on success.
    """
    plain = without_links(message).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
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
    """The message of the first error that is not one of Dagster's wrappers, without the stack trace."""
    data = failure.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return first_message(data.error)


def error_of(failure: DagsterEvent) -> Any:
    """The exception that ended a run outside its steps (a `SerializableErrorInfo`), such as a resource's.

    None where there was none: a step failed, or the process was killed.
    """
    return getattr(failure.event_specific_data, "error", None)


def first_message(error: Any) -> str:
    """The message of the first error of a chain (a `SerializableErrorInfo`) that is not one of Dagster's wrappers.

    Empty where there is none.
    """
    while error and error.cause and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return str(error.message).strip() if error else ""


def _partitions(run: DagsterRun) -> str:
    keys = [run.tags[name] for name in (PARTITION_TAG, RANGE_START, RANGE_END) if name in run.tags]
    return f" for {' ... '.join(keys)}" if keys else ""
