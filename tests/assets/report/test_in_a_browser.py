"""The report's page in a real browser without network: light, dark, on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from assets.dialogue_browser.publishing import make_browser
from tests.chromium import IN_CHROMIUM

pytestmark = IN_CHROMIUM

Open = Callable[..., Page]


@pytest.fixture
def faults() -> list[str]:
    """Requests that leave the page, and what the browser complains of."""
    return []


@pytest.fixture
def opened(chromium: Browser, whole_page: str, faults: list[str], tmp_path: Path) -> Iterator[Open]:
    """Opens the page in a browser without network; the arguments are Playwright's, of a context."""
    (tmp_path / "report.html").write_text(whole_page, encoding="utf-8")
    contexts = []

    def show(address: str = (tmp_path / "report.html").as_uri(), **options: Any) -> Page:
        contexts.append(chromium.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: faults.append(request.url) if request.url != address else None)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        return page

    yield show
    for context in contexts:
        context.close()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_no_request_leaves_and_every_link_leads_to_a_place_in_the_page(opened: Open, faults: list[str]) -> None:
    page = opened()
    dangling = page.evaluate(
        "[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert ([fault for fault in faults if not fault.startswith("data:")], dangling) == ([], 0)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways_but_wide_tables_do(opened: Open, width: int) -> None:
    page = opened(viewport={"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        table = page.locator(".wide").first
        assert table.evaluate("box => { box.scrollLeft = 200; return box.scrollLeft }") > 0


def test_light_and_dark_follow_what_the_reader_prefers_in_text_and_plots(opened: Open) -> None:
    page = opened(color_scheme="light")
    light = background(page)
    page.emulate_media(color_scheme="dark")
    assert (light, background(page)) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
    colour = page.locator("figure svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert colour == "rgb(230, 233, 236)"


def test_a_link_leads_from_folder_to_folder_to_the_releases_dialogues(opened: Open, marks: Any) -> None:
    folder = make_browser(marks.lake).folder
    marks.answer("boost_qa", "sums", [True, False])
    page = opened(marks.lake.store.local_path(f"{marks.report().folder}/report.html").as_uri())
    page.get_by_role("link", name="Read the release's dialogues").click()
    assert page.url == marks.lake.store.local_path(f"{folder}/index.html").as_uri()
    page.locator("#list li").first.wait_for()


def test_on_paper_the_page_is_light_and_nothing_is_cut_or_folded(opened: Open) -> None:
    page = opened(color_scheme="dark")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    assert page.evaluate(
        "[...document.querySelectorAll('.wide, figure')].every(one => getComputedStyle(one).breakInside === 'avoid')"
    )
    assert page.locator("details li").first.is_visible()
