"""The report's page in a real browser without network: light, dark, on a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from assets.dialogue_browser.publishing import make_browser

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def address(whole_page: str, tmp_path: Path) -> str:
    """Of the page as a file."""
    (tmp_path / "report.html").write_text(whole_page, encoding="utf-8")
    return (tmp_path / "report.html").as_uri()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_no_request_leaves_and_nothing_goes_wrong(browser: Browser, address: str) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    requests: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    assert [url for url in requests if url != address and not url.startswith("data:")] == []
    assert faults == []
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways_as_a_whole(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_tables_that_are_too_wide_for_a_phone_can_be_scrolled(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    table = page.locator(".wide").first
    assert table.evaluate("box => { box.scrollLeft = 200; return box.scrollLeft }") > 0
    page.close()


def test_light_and_dark_follow_what_the_reader_prefers(browser: Browser, address: str) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(address)
    light = background(page)
    page.emulate_media(color_scheme="dark")
    assert (light, background(page)) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
    page.close()


def test_plots_take_the_colour_of_the_text(browser: Browser, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    colour = page.locator("figure svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert colour == "rgb(230, 233, 236)"
    page.close()


def test_every_link_leads_to_a_place_in_the_page(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    dangling = page.evaluate(
        "[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert dangling == 0
    page.close()


def test_a_link_leads_from_folder_to_folder_to_the_releases_dialogues(browser: Browser, marks: Any) -> None:
    folder = make_browser(marks.lake).folder
    marks.answer("boost_qa", "sums", [True, False])
    report = marks.lake.store.local_path(f"{marks.report().folder}/report.html")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(report.as_uri())
    page.get_by_role("link", name="Read the release's dialogues").click()
    assert page.url == marks.lake.store.local_path(f"{folder}/index.html").as_uri()
    page.locator("#list li").first.wait_for()
    context.close()


def test_on_paper_the_page_is_light_and_no_table_row_or_plot_is_cut(browser: Browser, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    whole = (
        "[...document.querySelectorAll('.wide, figure')].every(one => getComputedStyle(one).breakInside === 'avoid')"
    )
    assert page.evaluate(whole)
    page.close()


def test_on_paper_nothing_is_folded_away(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    page.emulate_media(media="print")
    assert page.locator("details li").first.is_visible()
    page.close()
