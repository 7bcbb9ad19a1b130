"""A person's way through the Dagster UI, in a real browser."""

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from playwright.sync_api import Locator, Page, TimeoutError, expect, sync_playwright

from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from tests.fake_endpoint import FakeEndpoint
from tests.school import School, found_school

CHROMIUM = shutil.which("chromium")
PROJECT = Path(__file__).parents[2]
START_SECONDS = 120

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Seeds and plans are there, dialogues are not; the persistent instance and the settings are in the environment."""
    endpoint = FakeEndpoint()
    endpoint.start()
    school = found_school(tmp_path_factory.mktemp("school"), endpoint)
    home = school.folder / "dagster_home"
    home.mkdir()
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home / "dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        for name in ("lake_root", "seeds", "profile"):
            patch.setenv(f"MASTER_{name.upper()}", getattr(school.settings, name))
        with DagsterInstance.get() as instance:
            definitions = build_definitions(school.deployment)
            run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], ["sums"])
            run_step(definitions, instance, ["lesson_plans"], ["sums-0000"])
        yield school
    endpoint.stop()


@pytest.fixture(scope="module")
def ui(school: School) -> Iterator[str]:
    """The address of a running `dagster dev`."""
    home = school.folder / "dagster_home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "dev", "-m", "master_dagster.definitions", "--host", "127.0.0.1", "--port", str(port)]
    log = (home / "dev.log").open("w")
    # Not in the project's folder, where a person's .env would speak louder than the environment.
    process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_SECONDS):
            if process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{address}/server_info", timeout=1)  # noqa: S310 - our own loopback server
                break
            except OSError:
                time.sleep(1)
        yield address
    finally:
        process.send_signal(signal.SIGINT)  # killed harder, it would leave its children behind
        process.wait(60)
        log.close()


@pytest.fixture
def page() -> Iterator[Page]:
    """A fresh page of headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def reload_until_visible(page: Page, wanted: Locator) -> None:
    """Load the page anew, twelve times ten seconds at most, until `wanted` is on it."""
    for _ in range(12):
        page.reload()
        try:
            wanted.wait_for(timeout=10_000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"{wanted} did not appear")


def test_a_lesson_is_materialised_from_the_ui(school: School, ui: str, page: Page) -> None:
    lesson = "error_correction|sums-0000"
    page.goto(f"{ui}/assets/scenario_dialogues?view=partitions&partition={lesson}")
    page.get_by_role("button", name="Materialize", exact=False).first.click()
    page.get_by_role("button", name="Launch 1 run").click()
    expect(page.get_by_text("Launched run")).to_be_visible()
    reload_until_visible(page, page.get_by_text("sample dialogue"))
    expect(page.get_by_text("Materialized", exact=True).first).to_be_visible()
    assert school.endpoint.chats, "the run should have asked the models"


def test_the_nightly_schedule_can_be_switched_on(ui: str, page: Page) -> None:
    page.goto(f"{ui}/automation")
    page.get_by_role("link", name="nightly_lessons").click()
    switch = page.get_by_role("row", name="Running").get_by_role("checkbox")
    expect(switch).not_to_be_checked()
    switch.dispatch_event("click")  # the box itself is drawn by its neighbour
    expect(switch).to_be_checked()
