"""The review page in a real browser, from a disk: deciding with the keyboard, progress, export, hostile text."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from assets.quality.configuration import ReviewRules
from assets.quality.decisions import load_decisions
from assets.review.sample import Review, make_review
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
    ),
]
RUNS = "window.ran=(window.ran||0)+1"
HOSTILE = (
    f"</script><script>{RUNS}</script>",
    f'<img src=x onerror="{RUNS}"><svg onload="{RUNS}"></svg>',
    f"=cmd()|{{{{data}}}} <style>*{{display:none}}</style><!--<script>{RUNS}",
    f'\u202e\u2028"\\u003c<a href="javascript:{RUNS}">x</a>',
)


def review_of(tiny: TinyLake, dialogues: int = 60) -> Review:
    return make_review(tiny.lake, tiny.expected, SCENARIOS, ReviewRules(dialogues=dialogues))


def address(tiny: TinyLake, review: Review) -> str:
    return Path(tiny.lake.store.uri(f"{review.folder}/review.html")).as_uri()


def exported(page: Page, folder: Path) -> Path:
    """The decisions file that the page exports."""
    with page.expect_download() as download:
        page.keyboard.press("e")
    assert download.value.suggested_filename == "decisions.csv"
    download.value.save_as(folder / "decisions.csv")
    return folder / "decisions.csv"


def test_the_keyboard_decides_and_the_export_is_a_file_of_manual_decisions(
    tiny_lake: TinyLake, page: Page, tmp_path: Path
) -> None:
    review = review_of(tiny_lake)
    ids = pl.read_csv(tiny_lake.lake.store.uri(f"{review.folder}/sample.csv"))["dialogue_id"].to_list()
    page.goto(address(tiny_lake, review))
    expect(page.locator("#count")).to_have_text("Dialogue 1 of 8; 0 decided")
    page.keyboard.press("a")
    expect(page.locator("#verdict")).to_have_text("accepted")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.keyboard.press("w")
    page.keyboard.type('a "jar", not a box')
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_have_text("Dialogue 2 of 8; 2 decided")
    decisions = load_decisions(exported(page, tmp_path))
    assert {name: (one.verdict, one.why) for name, one in decisions.items()} == {
        ids[0]: ("accept", "reviewed"),
        ids[1]: ("reject", 'a "jar", not a box'),
    }


def test_progress_is_there_after_the_page_is_opened_again(tiny_lake: TinyLake, page: Page) -> None:
    review = review_of(tiny_lake)
    page.goto(address(tiny_lake, review))
    page.keyboard.press("r")
    page.reload()
    expect(page.locator("#count")).to_have_text("Dialogue 2 of 8; 1 decided")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#reject")).to_have_attribute("aria-pressed", "true")


def test_neither_file_shows_what_the_judge_or_the_rules_say(tiny_lake: TinyLake) -> None:
    tiny_lake.change("moon", reasons=("judged_wrong",))
    review = review_of(tiny_lake)
    for name in ("review.html", "sample.csv"):
        content = tiny_lake.lake.store.get(f"{review.folder}/{name}").decode()
        assert not any(word in content for word in ("judged_wrong", "quality_score", "SmolLM2", "error_class"))


def test_hostile_text_is_shown_and_never_runs(tiny_lake: TinyLake, page: Page) -> None:
    tiny_lake.change_every(question=HOSTILE[1], answer=HOSTILE[0], words=HOSTILE)
    page.goto(address(tiny_lake, review_of(tiny_lake)))
    expect(page.locator(".turn")).to_have_count(4)
    assert page.locator(".turn .text").all_text_contents() == list(HOSTILE)
    assert page.evaluate("window.ran") is None
    assert page.locator("#dialogue :is(script, img, svg, style, a)").count() == 0


def test_on_a_phone_the_page_is_not_wider_than_the_screen(tiny_lake: TinyLake, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address(tiny_lake, review_of(tiny_lake)))
    expect(page.locator(".turn").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
