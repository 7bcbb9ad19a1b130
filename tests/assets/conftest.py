"""A tiny, consistent lake for the stages that come after the scores, and Chromium to open pages in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from playwright.sync_api import Browser, Page, expect

from tests.chromium import started_chromium
from tests.tiny_lake import TinyLake, eight_seeds

OWN = ("file://", "data:", "blob:file://", "http://127.0.0.1")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A Dagster instance in memory."""
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def pictures() -> None:
    """Ask for it to have the pictures of a release drawn: they take most of the time of a tiny one."""


@pytest.fixture
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases without pictures, where the test does not ask for them."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("assets.boost_qa.release.draw_plots", lambda *_: None)


@pytest.fixture
def tiny_lake(tmp_path: Path, no_pictures: None) -> TinyLake:
    """Eight seeds with their dialogues, on this machine's disk."""
    return eight_seeds(str(tmp_path / "lake"))


@pytest.fixture
def tiny_s3_lake(s3_root: str, no_pictures: None) -> TinyLake:
    """The same on S3."""
    return eight_seeds(s3_root)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium."""
    with started_chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh page, which may reach nothing but files; the test fails if it reports an error."""
    context = chromium.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(OWN) else None)
    yield page
    context.close()
    assert complaints == []
