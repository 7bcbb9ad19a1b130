"""The page in a real browser: finding, reading, and that no text of a model ever runs."""

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from assets.dialogue_browser.files import data_file, read_data_file
from assets.dialogue_browser.writing import FileSizes, write_browser
from resources.lake.tables import Lake
from tests.chromium import IN_CHROMIUM
from tests.tiny_lake import TinyDialogue, TinyLake, eight_seeds

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyLake, Path]:
    """Eight dialogues, and the folder of their browser; tests that change it take `folder`, a copy."""
    root = tmp_path_factory.mktemp("eight")
    made = eight_seeds(str(root / "lake"))
    made.change("moon", score=0.35, reasons=("judged_wrong", "copied"))
    made.change("paint", status="set_aside", score=0.1)
    return made, write_release(made, root / "browser")


def write_release(lake: TinyLake, folder: Path, **sizes: int) -> Path:
    """Publish a release without pictures, and write its browser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.boost_qa.release.draw_plots", lambda *_: None)
        write_browser(lake.lake, lake.release(), folder, FileSizes(**sizes))
    return folder


@pytest.fixture
def dialogues(eight: tuple[TinyLake, Path]) -> dict[str, TinyDialogue]:
    """The eight dialogues, by name."""
    return eight[0].dialogues


@pytest.fixture
def address(eight: tuple[TinyLake, Path]) -> str:
    """The browser of eight dialogues, on this machine's disk."""
    return (eight[1] / "index.html").as_uri()


@pytest.fixture
def own_folder(eight: tuple[TinyLake, Path], folder: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(eight[1], folder, dirs_exist_ok=True))


def titles(page: Page) -> list[str]:
    return page.locator("#list .title").all_inner_texts()


def expect_listed(page: Page, number: int) -> None:
    expect(page.locator("#count")).to_have_text(f"{number} of 8 dialogues")
    expect(page.locator("#list li")).to_have_count(number)


# ---- finding --------------------------------------------------------------------------------------------------------


def test_all_dialogues_are_listed_and_counted(address: str, page: Page) -> None:
    page.goto(address)
    expect_listed(page, 8)
    expect(page.locator("#list .title").first).not_to_be_empty()
    assert page.locator(".overview tbody tr").all_inner_texts() == [
        "accepted\t1\t3\t2",
        "rejected\t1\t0\t0",
        "set aside\t0\t0\t1",
    ]


@pytest.mark.parametrize(
    ("field", "value", "number"),
    [
        ("scenario", "debate", 3),
        ("verdict", "set_aside", 1),
        ("split", "train", 6),
        ("source", "sums", 8),
        ("reason", "copied", 1),
    ],
)
def test_a_filter_leaves_those_that_fit(address: str, page: Page, field: str, value: str, number: int) -> None:
    page.goto(address)
    page.locator(f"#{field}").select_option(value)
    expect_listed(page, number)
    assert f"{field}={value}" in page.url


def test_filters_count_their_values_scores_have_a_range_and_all_are_cleared_at_once(address: str, page: Page) -> None:
    page.goto(address)
    page.locator("#scenario").select_option("analogy")
    assert page.locator("#verdict option").all_inner_texts() == ["any", "accepted (1)", "rejected (1)"]
    page.locator("#min").fill("0.2")
    page.locator("#max").fill("0.5")
    expect_listed(page, 1)
    assert titles(page) == ["How many moons does the planet Mars have?"]
    page.get_by_role("button", name="Clear").click()
    expect_listed(page, 8)
    page.goto(f"{address}#sort=worst")
    expect(page.locator("#list .facts").first).to_contain_text("score 0.10")


def test_what_was_said_is_searched_and_marked(address: str, page: Page) -> None:
    page.goto(address)
    page.locator("#q").fill("TRAINS makes")
    expect_listed(page, 1)
    page.locator("#list a").click()
    assert page.locator(".chat mark").all_inner_texts()[:2] == ["trains", "makes"]


@pytest.mark.parametrize("words", ["range(1, 6)", "endless:", "How many doors?", ".*", "a-b", "^$|[x]{2}/\\"])
def test_a_search_takes_its_words_as_they_are(address: str, page: Page, words: str) -> None:
    expected = {"range(1, 6)": 1, "endless:": 1}.get(words, 0)
    page.goto(f"{address}#q={quote(words)}")
    expect_listed(page, expected)


def test_a_search_reads_every_page(tiny_lake: TinyLake, folder: Path, page: Page) -> None:
    write_release(tiny_lake, folder, page_rows=1)
    page.goto(f"{(folder / 'index.html').as_uri()}#q=how many")
    expect_listed(page, 5)  # four ask so, and the partner of one more


@pytest.fixture
def stuck(tiny_lake: TinyLake, folder: Path, page: Page) -> Page:
    """A browser with one dialogue per file, of which one does not load: its search goes on until it is stopped."""
    write_release(tiny_lake, folder, page_rows=1)
    page.route("**/dialogues/00003.js", lambda route: None)
    page.goto(f"{(folder / 'index.html').as_uri()}#q=how many")
    return page


def test_a_search_shows_what_it_found_so_far_keeps_its_lines_and_can_be_stopped(stuck: Page) -> None:
    expect(stuck.locator("#found")).to_have_text("4 found, searching …")
    expect(stuck.locator("#list li")).to_have_count(4)
    assert stuck.locator("#read").evaluate("bar => [bar.value, bar.max]") == [7, 8]
    line = stuck.locator("#list a").first
    line.evaluate("line => (line.id = 'same')")
    stuck.locator("#scenario").focus()
    stuck.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")  # draws the list again
    assert line.get_attribute("id") == "same"
    stuck.get_by_role("button", name="Stop").click()
    expect(stuck.locator("#count")).to_have_text("4 of 8 dialogues, stopped after 7 of 8 pages")
    expect(stuck.locator("#searching")).to_be_hidden()
    expect(stuck.locator("#list li")).to_have_count(4)


def test_a_seed_is_found_by_its_id(dialogues: dict[str, TinyDialogue], address: str, page: Page) -> None:
    page.goto(f"{address}#q={dialogues['apples'].seed_id}")
    expect_listed(page, 2)  # its own dialogue, and the analogy that it is the partner of


def test_a_long_list_has_pages(tmp_path: Path, page: Page) -> None:
    numbers = {
        f"n{place:03d}": TinyDialogue(f"n{place:03d}", f"What follows the number {place}?", "7", "debate")
        for place in range(120)
    }
    lake = TinyLake(Lake.at(str(tmp_path / "lake")), numbers)
    lake.write()
    folder = write_release(lake, tmp_path / "many")
    page.goto((folder / "index.html").as_uri())
    expect(page.locator("#where")).to_have_text("1 to 50")
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#where")).to_have_text("51 to 100")
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#list li")).to_have_count(20)
    expect(page.get_by_role("button", name="Later")).to_be_disabled()


# ---- reading --------------------------------------------------------------------------------------------------------


def test_a_link_opens_its_dialogue_or_says_that_there_is_none(
    dialogues: dict[str, TinyDialogue], address: str, page: Page
) -> None:
    page.goto(f"{address}#scenario=analogy&dialogue={dialogues['loop'].dialogue_id}")
    expect(page.locator("#reader h2")).to_have_text(dialogues["loop"].question)
    expect_listed(page, 2)
    expect(page.locator("#list a[aria-current]")).to_have_count(1)
    page.goto(f"{address}#dialogue=0123456789abcdef")
    expect(page.locator("#reader")).to_contain_text("There is no dialogue 0123456789abcdef in this release")


def test_speakers_are_on_their_sides_and_only_the_dialogue_is_printed(
    dialogues: dict[str, TinyDialogue], address: str, page: Page
) -> None:
    page.goto(f"{address}#dialogue={dialogues['trains'].dialogue_id}")
    turns = page.locator(".turn")
    expect(turns).to_have_count(4)
    speakers = [turn.locator("b").inner_text() for turn in turns.all()]
    assert speakers == ["teacher", "student A", "student B", "student C"]
    boxes = [turn.locator(".bubble").bounding_box() for turn in turns.all()]
    lefts = [box["x"] for box in boxes if box]
    assert lefts[0] == lefts[2] < min(lefts[1], lefts[3])
    page.emulate_media(media="print")
    expect(page.locator("#finder")).to_be_hidden()
    expect(turns.first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("moon", {".verdict": "rejected: judged wrong, copied", ".cast": "0123456789abcdef"}),
        ("moon", {".verdict": "Judge SmolLM2-135M-Instruct: the reasoning is wrong"}),
        ("moon", {".facts-table": "{seed_id}", ".signals": "Share of what the reference says"}),
        ("paint", {".verdict": "set aside: endless"}),
        ("paint", {".verdict": "the weak student repeats itself"}),
    ],
)
def test_verdict_reasons_and_lineage_are_shown(
    dialogues: dict[str, TinyDialogue], address: str, page: Page, name: str, shown: dict[str, str]
) -> None:
    page.goto(f"{address}#dialogue={dialogues[name].dialogue_id}")
    for place, text in shown.items():
        expect(page.locator(place)).to_contain_text(text.format(seed_id=dialogues[name].seed_id))


def changed_row(folder: Path, shown: TinyDialogue, **values: Any) -> str:
    """The address of a dialogue after some values in its data file were replaced; those of a dict are merged."""
    path = folder / "dialogues" / "00000.js"
    rows = read_data_file(path.read_bytes())
    (row,) = [one for one in rows if one["id"] == shown.dialogue_id]
    for name, value in values.items():
        row[name] = {**row[name], **value} if isinstance(value, dict) else value
    path.write_bytes(data_file("dialogues/00000", rows))
    return f"{(folder / 'index.html').as_uri()}#dialogue={shown.dialogue_id}"


def test_reasons_and_flags_have_their_meaning_value_limit_and_turn(
    dialogues: dict[str, TinyDialogue], own_folder: Path, page: Page
) -> None:
    moon = dialogues["moon"]
    turn = {"speaker": "student", "side": "gpt", "text": "It is", "finish_reason": "length"}
    scored = {"truncated": True, "flags": ["copied"], "copied_share": 0.62}
    page.goto(changed_row(own_folder, moon, reasons=["truncated"], scored=scored, dialogue={"turns": [turn]}))
    expect(page.locator(".verdict .why li")).to_have_text(
        [
            "truncated: an utterance was cut off by the token limit. truncated: yes. turn 1, student.",
            "copied: a speaker copies another. copied share: 0.62 (limit: at most 0.5).",
        ]
    )


def test_refused_attempts_are_counted_in_words(
    dialogues: dict[str, TinyDialogue], own_folder: Path, page: Page
) -> None:
    said = "turn 2, weak_student: refused cut_off, cut_off, empty"
    page.goto(changed_row(own_folder, dialogues["paint"], detail=said, dialogue={"status_reason": f"empty: {said}"}))
    words = "2 × cut off (it was cut off by the token limit); 1 × empty (it says nothing)"
    expect(page.locator(".verdict .quoted")).to_have_text(
        f"Turn 2, weak student: no attempt could be used. Refused: {words}."
    )


def test_a_phones_first_page_shows_the_verdicts(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    box = page.locator(".overview").bounding_box()
    assert box
    assert box["y"] + box["height"] < 844
    search = page.locator("#q").bounding_box()
    assert search
    assert search["y"] < 844
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_does_everything(address: str, page: Page) -> None:
    page.goto(address)
    expect_listed(page, 8)
    page.keyboard.press("j")
    heading = page.locator("#reader h2")
    expect(heading).to_have_text(titles(page)[0])
    expect(heading).to_be_focused()
    page.keyboard.press("j")
    expect(heading).to_have_text(titles(page)[1])
    page.keyboard.press("k")
    expect(heading).to_have_text(titles(page)[0])
    page.keyboard.press("Escape")
    expect(page.locator("#list a").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(heading).to_have_text(titles(page)[2])
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("jk")
    expect(page.locator("#q")).to_have_value("jk")


def test_back_goes_back(address: str, page: Page) -> None:
    page.goto(address)
    page.locator("#verdict").select_option("rejected")
    page.locator("#list a").click()
    expect(page.locator("#reader h2")).to_have_text("How many moons does the planet Mars have?")
    page.go_back()
    expect(page.locator(".overview")).to_be_visible()
    page.go_back()
    expect_listed(page, 8)


def test_on_a_phone_the_list_gives_way_to_the_dialogue(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    page.locator("#list a").first.click()
    expect(page.locator(".turn").first).to_be_visible()
    expect(page.locator("#finder")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("link", name="All dialogues").click()
    expect(page.locator("#list")).to_be_visible()


def test_the_page_is_dark_if_the_browser_asks_for_it(address: str, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(red) < 60


def test_a_web_server_shows_the_same(page: Page, server: str) -> None:
    page.goto(f"{server}/index.html#q=moon")
    expect_listed(page, 1)


@pytest.fixture
def server(eight: tuple[TinyLake, Path]) -> Iterator[str]:
    """The folder, served on loopback."""
    handler = functools.partial(SilentHandler, directory=str(eight[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


# ---- hostile text --------------------------------------------------------------------------------------------------

RUNS = "window.ran=(window.ran||0)+1"
HOSTILE = (
    f"</script><script>{RUNS}</script>",
    f'<img src=x onerror="{RUNS}"><svg onload="{RUNS}"></svg><iframe srcdoc="<script>parent.{RUNS}</script>"></iframe>',
    f'";{RUNS};//\u2028\u2029\']]>--><a href="javascript:{RUNS}" id=list>x</a><style>*{{display:none}}</style>',
    f"\u202e\u2066tpircs\u200f {{{{{RUNS}}}}} \x00\x07\ufeff 💥 \u0000</textarea></title><base href=//evil.example>",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The page of a browser and one of its dialogues, all of whose text is meant to run."""
    root = tmp_path_factory.mktemp("hostile")
    made = eight_seeds(str(root / "lake"))
    made.change("trains", question=HOSTILE[1], answer=HOSTILE[0], system=HOSTILE[2], licence=HOSTILE[1], words=HOSTILE)
    made.change("moon", words=HOSTILE, reasons=(HOSTILE[0], "copied"))
    folder = write_release(made, root / "browser")
    return (folder / "index.html").as_uri(), made.dialogues["trains"].dialogue_id


def expect_nothing_ran(page: Page) -> None:
    assert page.evaluate("window.ran") is None
    assert page.locator("main :is(script, img, svg, iframe, style, base, textarea)").count() == 0
    assert page.locator("[onerror], [onload], [srcdoc], a[href^=javascript]").count() == 0


def test_hostile_text_is_shown_and_never_runs(hostile: tuple[str, str], page: Page) -> None:
    page.goto(f"{hostile[0]}#dialogue={hostile[1]}")
    expect(page.locator(".turn")).to_have_count(4)
    page.locator("#reader details").evaluate_all("all => all.forEach(one => (one.open = true))")
    assert page.locator(".turn .text").all_text_contents() == list(HOSTILE)
    for text in (page.locator(".turn .text").last, page.locator("#list .title").first):
        expect(text).to_have_css("unicode-bidi", "isolate")  # right-to-left letters change nothing around them
    expect_nothing_ran(page)


def test_hostile_text_in_a_list_search_and_filter_never_runs(hostile: tuple[str, str], page: Page) -> None:
    page.goto(f"{hostile[0]}#q={quote(HOSTILE[0])}")
    expect(page.locator("#list li")).to_have_count(2)
    page.locator("#reason").select_option(HOSTILE[0])
    expect(page.locator("#list li")).to_have_count(1)
    page.locator("#list a").click()
    expect(page.locator(".chat mark").first).to_be_visible()
    expect_nothing_ran(page)


def test_a_hostile_address_never_runs(hostile: tuple[str, str], page: Page) -> None:
    page.goto(f"{hostile[0]}#dialogue={quote(HOSTILE[1])}&scenario={quote(HOSTILE[0])}&__proto__=x&min=x")
    expect(page.locator("#reader")).to_contain_text("There is no dialogue")
    expect_nothing_ran(page)


def test_half_a_character_does_no_harm(own_folder: Path, page: Page) -> None:
    """No Parquet file can hold a lone surrogate, but a data file can."""
    path = own_folder / "dialogues/00000.js"
    rows = read_data_file(path.read_bytes())
    rows[0]["dialogue"]["turns"][0]["text"] = "half \ud83d of it, \udca5 and the rest"
    path.write_bytes(data_file("dialogues/00000", rows))
    page.goto(f"{(own_folder / 'index.html').as_uri()}#q=half&dialogue={rows[0]['id']}")
    expect_listed(page, 1)
    expect(page.locator(".turn .text").first).to_contain_text("and the rest")


def test_the_errors_of_the_judge_are_shown_where_they_were_measured(own_folder: Path, page: Page) -> None:
    page.goto((own_folder / "index.html").as_uri())
    expect(page.locator("#reader")).not_to_contain_text("the judge errs")
    path = own_folder / "index.js"
    index = read_data_file(path.read_bytes())
    path.write_bytes(data_file("index", {**index, "judge_errors": "untouched dialogues: 2.0% (0.1 to 9.0)"}))
    page.reload()
    expect(page.locator("#reader")).to_contain_text("errs (95 % intervals in brackets): untouched dialogues: 2.0%")


def test_a_million_characters_are_shown_on_demand(tiny_lake: TinyLake, folder: Path, page: Page) -> None:
    long = "<b>no end</b> " * 75_000
    tiny_lake.change("trains", words=("Why?", long, "Stop.", "Seven."))
    write_release(tiny_lake, folder)
    page.goto(f"{(folder / 'index.html').as_uri()}#dialogue={tiny_lake.dialogues['trains'].dialogue_id}")
    text = page.locator(".turn .text").nth(1)
    assert text.evaluate("one => one.textContent.length") == 20_000
    page.get_by_role("button", name="Show all 1,050,000 characters").click()
    assert text.evaluate("one => one.textContent.length") == 1_050_000


def test_the_page_allows_only_its_own_program(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(address)
    expect_listed(page, 8)
    page.evaluate(
        """runs => {
            document.body.insertAdjacentHTML("beforeend", `<img src="x" onerror="${runs}"><b onclick="${runs}">x</b>`);
            document.body.lastChild.click();
            document.body.append(Object.assign(document.createElement("script"), { textContent: runs }));
        }""",
        RUNS,
    )
    page.locator("#scenario").select_option("debate")
    expect_listed(page, 3)
    assert page.evaluate("window.ran") is None
    page.close()


@pytest.mark.parametrize("name", ["index", "dialogues/00000", "titles/00000"])
@pytest.mark.parametrize("content", [None, b'dialogueData["index"]="AAAA";'], ids=["missing", "damaged"])
def test_a_data_file_that_cannot_be_used_is_named(
    chromium: Browser, own_folder: Path, dialogues: dict[str, TinyDialogue], name: str, content: bytes | None
) -> None:
    path = own_folder / f"{name}.js"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    page = chromium.new_page()
    page.goto(f"{(own_folder / 'index.html').as_uri()}#dialogue={dialogues['trains'].dialogue_id}")
    expect(page.get_by_role("alert")).to_contain_text(f"{name}.js, which belongs beside this page,")
    page.close()
