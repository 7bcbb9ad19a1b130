import pytest
from markdown_it import MarkdownIt

from assets.shown import new_figure, picture, quoted, table_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://example.com/track.png)",
    "[click](javascript:alert(1))",
    "`code` **bold** # title",
    "| cell | cell |",
    "<img src=x onerror=alert(1)>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_text_is_shown_and_does_nothing(text: str) -> None:
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(quoted(text))
    for tag in ("<script", "<img", "<a ", "<code", "<strong", "<h1", "<table"):
        assert tag not in rendered


def test_long_text_is_cut() -> None:
    assert quoted("word " * 1000, limit=50).endswith("…")


def test_every_line_stays_in_the_quotation() -> None:
    assert quoted("one\ntwo\n\nthree").splitlines() == ["> one", "> two", "> ", "> three"]


def test_a_table_escapes_its_cells_and_says_what_it_left_out() -> None:
    shown = str(table_markdown([{"name": "a|b", "share": 0.123456}] * 3, limit=2).value)
    assert "a\\|b" in shown
    assert "0.123 |" in shown
    assert "1 more" in shown


def test_no_rows_say_so() -> None:
    assert table_markdown([]).value == "none"


def test_a_picture_travels_inside_the_text() -> None:
    figure = new_figure()
    figure.subplots().bar(["a"], [1])
    assert str(picture(figure, "bars").value).startswith("![bars](data:image/png;base64,iVBOR")
