"""Which errors a run waits for, and which end it at once."""

import pytest
from dagster import AssetExecutionContext, DagsterInstance, ExecuteInProcessResult, Failure, asset, materialize

from assets.framework import retries
from assets.framework.retries import OUTAGE_TAG, WAITS, settle_outage
from resources.chat.calls import BudgetSpent, EndpointUnreachable, EndpointUnusable
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError, StoreUnreachable

AT_NIGHT = {"dagster/schedule_name": "nightly_partitions"}
PASSING = [StoreUnreachable("the lake is away"), EndpointUnreachable("nobody answers")]
LASTING = [
    StoreError("the disk is full"),
    EndpointUnusable("the key is wrong"),
    BudgetSpent("all is spent"),
    ConfigurationError("no such file"),
]


def run(error: Exception, tags: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, ExecuteInProcessResult]:
    """How often a step that fails with this error was tried, and the run."""
    monkeypatch.setattr(retries, "WAITS", (0,) * len(WAITS))
    tried = []

    @asset
    def partition(context: AssetExecutionContext) -> None:
        tried.append(context.retry_number)
        try:
            raise error
        except Exception:
            settle_outage(context, error)
            raise Failure(str(error), allow_retries=False) from error

    with DagsterInstance.ephemeral() as instance:
        result = materialize([partition], instance=instance, tags=tags, raise_on_error=False)
        run_tags = instance.get_run_by_id(result.run_id).tags  # type: ignore[union-attr]
    monkeypatch.setitem(TAGS, "of the run", run_tags.get(OUTAGE_TAG, ""))
    return len(tried), result


TAGS: dict[str, str] = {}


@pytest.mark.parametrize("error", PASSING)
def test_an_unattended_run_tries_again_what_may_pass(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(error, AT_NIGHT, monkeypatch)[0] == 1 + len(WAITS)


@pytest.mark.parametrize("error", LASTING)
def test_what_lasts_ends_the_run_at_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(error, AT_NIGHT, monkeypatch)[0] == 1


@pytest.mark.parametrize("error", [*PASSING, *LASTING])
def test_who_waits_at_a_terminal_is_told_at_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(error, {}, monkeypatch)[0] == 1


def test_the_pauses_grow() -> None:
    assert list(WAITS) == sorted(set(WAITS))


@pytest.mark.parametrize("error", [*PASSING, *LASTING[:3]])
def test_a_run_is_marked_whose_partitions_are_not_to_blame(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    run(error, AT_NIGHT, monkeypatch)
    assert TAGS["of the run"] == type(error).__name__


def test_a_run_that_is_to_blame_itself_is_not_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    run(ConfigurationError("no such file"), AT_NIGHT, monkeypatch)
    assert TAGS["of the run"] == ""
