"""Addresses in the text of models, servers and files are no links where Dagster's UI shows it, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance
from playwright.sync_api import Page, expect

from resources.outside_text import without_links
from tests import hostile_location
from tests.chromium import IN_CHROMIUM, fresh_page
from tests.hostile_location import LINKED
from tests.ui_process import served

pytestmark = IN_CHROMIUM


@dataclass(frozen=True)
class ShownRuns:
    """The UI's address, and the runs that it shows, by the asset's name."""

    address: str
    runs: dict[str, str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShownRuns]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    with DagsterInstance.from_config(str(folder)) as instance:
        job = hostile_location.defs.resolve_implicit_global_asset_job_def()
        runs = {
            name: job.execute_in_process(
                instance=instance, asset_selection=[AssetKey(name)], raise_on_error=False
            ).run_id
            for name in ("shown", "failing")
        }
    options = ("-f", hostile_location.__file__, "-d", str(Path(hostile_location.__file__).parents[1]))
    environment = {"DAGSTER_HOME": str(folder)}
    with served("master_dagster.ui.webserver", *options, folder=folder, environment=environment) as address:
        yield ShownRuns(address, runs)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with fresh_page() as page:
        page.set_viewport_size({"width": 1500, "height": 2500})  # a run's log renders the rows in view only
        yield page


@pytest.mark.parametrize(
    "path",
    [
        "assets/shown?view=events",
        "assets/shown?view=overview",
        "assets/shown?view=checks&checkDetail=no_hostile_rows",
        "runs/{shown}",
        "runs/{failing}",
    ],
)
def test_hostile_text_has_no_links(shown: ShownRuns, page: Page, path: str) -> None:
    page.goto(f"{shown.address}/{path.format(**shown.runs)}")
    expect(page.locator(f'a[href="{LINKED}"]').first).to_be_visible()  # the UI has looked for addresses
    buttons = page.get_by_text("[Show Markdown]")
    for button in buttons.all():
        button.dispatch_event("click")  # a label of the log covers some
        expect(page.get_by_role("dialog").get_by_text(".example").first).to_be_visible()
        assert_no_hostile_links(page)
        page.get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    if not buttons.count():
        expect(page.get_by_text("evil.example").first).to_be_visible()
    assert_no_hostile_links(page)


def assert_no_hostile_links(page: Page) -> None:
    """No link of the page leads to where the hostile text would lead."""
    found = page.eval_on_selector_all("a", "links => links.map(link => link.href)")
    assert [link for link in found if "evil" in link or link.startswith(("javascript:", "mailto:"))] == []


def test_an_address_that_is_copied_still_opens(page: Page) -> None:
    for address in ("https://www.linked.example/a", "http://linked.example:1/b?c#d"):
        assert page.evaluate("address => new URL(address).href", without_links(address)) == address
