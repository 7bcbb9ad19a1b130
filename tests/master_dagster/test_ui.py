"""The Dagster UI in a real browser."""

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from playwright.sync_api import Locator, Page, TimeoutError, expect

from assets.quality.schema import SCORED
from tests.chromium import IN_CHROMIUM, REBOUND, fresh_page
from tests.sample_project import SampleProject
from tests.waiting import until

pytestmark = IN_CHROMIUM

MUTATION = "mutation { setAutoMaterializePaused(paused: true) }"
# Every way in which a page can send something to another origin without asking it first.
SEND_EVERYTHING = """async ([ui, mutation]) => {
    const address = `${ui}/graphql?query=${encodeURIComponent(mutation)}`;
    await new Promise(done => Object.assign(new Image(), {src: address, onload: done, onerror: done}));
    await fetch(address, {mode: "no-cors"});
    await fetch(address, {mode: "no-cors", method: "POST"});
    await fetch(`${ui}/graphql`, {mode: "no-cors", method: "POST", body: JSON.stringify({query: mutation})});
    return await new Promise(done => {
        const socket = new WebSocket(`${ui.replace("http", "ws")}/graphql`, "graphql-ws");
        socket.onopen = () => done("open");
        socket.onerror = () => done("refused");
    });
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    with fresh_page() as page:
        yield page


def graphql(ui: str, query: str) -> Any:
    """The data that a query or mutation of a program on this machine gives."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)["data"]


def reload_until_visible(page: Page, wanted: Locator) -> None:
    """Reload the page, at most twelve times every ten seconds, until `wanted` is visible."""
    for _ in range(12):
        page.reload()
        try:
            wanted.wait_for(timeout=10_000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"{wanted} did not appear")


def wait_for_success(project: SampleProject, **chosen: Any) -> None:
    """Wait until a run that fits the filter has succeeded."""
    succeeded = RunsFilter(statuses=[DagsterRunStatus.SUCCESS], **chosen)
    with DagsterInstance.from_config(str(project.folder / "dagster_home")) as history:
        until(lambda: history.get_runs(succeeded), 300)


def test_a_partition_is_materialised_from_the_ui(served_project: SampleProject, ui: str, page: Page) -> None:
    partition = "error_correction|sums-0000"
    page.goto(f"{ui}/assets/scenario_dialogues?view=partitions&partition={partition}")
    page.get_by_role("button", name="Materialize", exact=False).first.click()
    page.get_by_role("button", name="Launch 1 run").click()
    expect(page.get_by_text("Launched run")).to_be_visible()
    reload_until_visible(page, page.get_by_text("sample dialogue"))
    expect(page.get_by_text("Materialized", exact=True).first).to_be_visible()
    assert served_project.endpoint.chats, "the run should have asked the models"


def test_a_backfill_of_the_job_makes_every_partition_that_the_dialog_selects(
    served_project: SampleProject, ui: str, page: Page
) -> None:
    page.goto(f"{ui}/locations/master_dagster/jobs/dialogues_and_scores/partitions")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("dialog").get_by_text("Select a partition").first.click()
    page.get_by_text("debate", exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="All", exact=True).last.click()  # shards
    page.get_by_role("button", name="Launch backfill").click()
    wait_for_success(served_project, job_name="dialogues_and_scores")
    scored = served_project.deployment.lake().records(SCORED)
    assert {record.name for record in scored} == {f"debate|sums-{number:04d}" for number in range(3)}


def test_a_page_of_another_origin_changes_nothing(served_project: SampleProject, ui: str, page: Page) -> None:
    paused = "{ instance { autoMaterializePaused } }"
    graphql(ui, MUTATION.replace("true", "false"))
    page.goto(served_project.endpoint.base_url)  # any page of another port of this machine
    assert page.evaluate(SEND_EVERYTHING, [ui, MUTATION]) == "refused"
    assert graphql(ui, paused) == {"instance": {"autoMaterializePaused": False}}
    page.goto(ui)
    assert page.evaluate(SEND_EVERYTHING, [ui, MUTATION]) == "open"
    assert graphql(ui, paused) == {"instance": {"autoMaterializePaused": True}}


def test_a_domain_that_resolves_to_this_machine_is_refused(ui: str, page: Page) -> None:
    answer = page.goto(ui.replace("127.0.0.1", REBOUND))
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_text(f"its Host header is {REBOUND}")).to_be_visible()


def test_a_failed_check_is_shown_on_its_asset(ui: str, page: Page) -> None:
    """The splits of twelve seeds differ from the configured shares, and a check of the plans warns of it."""
    page.goto(f"{ui}/assets/dialogue_plans?view=checks&checkDetail=split_shares")
    expect(page.get_by_text("split_shares").first).to_be_visible()
    expect(page.get_by_text("Failed", exact=False).first).to_be_visible()


def test_a_schedule_that_is_switched_on_ticks_and_launches_runs(
    served_project: SampleProject, ui: str, page: Page
) -> None:
    lake = served_project.deployment.lake()
    before = {record.name for record in lake.records(SCORED)}
    page.goto(f"{ui}/automation")
    page.get_by_role("link", name="nightly_partitions").click()
    switch = page.get_by_role("row", name="Running").get_by_role("checkbox")
    expect(switch).not_to_be_checked()
    switch.dispatch_event("click")  # the box itself is drawn by its neighbour
    expect(switch).to_be_checked()
    runs_requested = page.get_by_text(re.compile(r"^[1-9]\d* runs? requested$"))
    reload_until_visible(page, runs_requested.first)
    page.get_by_role("button", name="View logs").last.click()  # of the first tick: the newest one is on top
    expect(page.get_by_text(re.compile(r"\d+ partitions due")).first).to_be_visible()
    page.goto(f"{ui}/runs")
    expect(page.get_by_text("master/due").first).to_be_visible()
    wait_for_success(served_project, tags={"dagster/schedule_name": "nightly_partitions"})
    assert {record.name for record in lake.records(SCORED)} > before
