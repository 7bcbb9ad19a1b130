import html
import re
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from markdown_it import MarkdownIt

from assets.framework.ui_metadata import counts_markdown, new_figure, picture, quoted, sample_markdown, table_markdown
from assets.framework.usage_metadata import calls_metadata, total_usage, usage_facts
from resources.chat.calls import Usage
from resources.lake.store import LocalStore
from resources.lake.tables import Lake, Table
from resources.outside_text import WORD_JOINER

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://example.com/track.png)",
    "[click](javascript:alert(1))",
    "`code` **bold** # title",
    "| cell | cell |",
    "<img src=x onerror=alert(1)>",
    "Title\n---\n- a\n+ b\n1. c\n2) d\n===",
    "text\n\n    indented",
    "see https://example.com or WWW.example.com or mail me@example.com",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_text_is_shown_and_does_nothing(text: str) -> None:
    markdown = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    rendered = markdown.render(quoted(text))
    tags = set(re.findall(r"</?\w+", rendered))
    assert tags <= {"<blockquote", "</blockquote", "<p", "</p"}
    for address in ("https://example", "WWW.", "me@"):  # of which the UI would make links, after it parsed the Markdown
        assert address not in html.unescape(rendered)


def test_what_is_shown_is_the_text() -> None:
    text = "f(x) = [1, 2] * 3  # 100 % <b>\n    return a_b - 1. \\ `c` @ https://x.y"
    rendered = MarkdownIt("commonmark").render(quoted(text))
    shown = html.unescape(re.sub(r"<[^>]+>", "", rendered)).replace("\xa0", " ").replace(WORD_JOINER, "").strip()
    assert shown == text


@pytest.mark.parametrize("space", ["\n", "\r", "\u2028", "\t\n "])
def test_a_cell_is_one_line(space: str) -> None:
    shown = str(table_markdown([{"name": f"a{space}b"}]).value)
    assert shown.splitlines() == ["| name |", "| --- |", "| a b |"]


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


def test_a_sample_quotes_each_part_below_its_heading() -> None:
    shown = sample_markdown(("Teacher", "<b>7</b>"), ("Student", "word " * 100), limit=20).md_str or ""
    assert shown.startswith("**Teacher**\n\n> &lt;b&gt;7&lt;/b&gt;\n\n**Student**\n\n> word")
    assert shown.endswith("…")
    assert sample_markdown().value == "none"


def test_counts_are_a_table_of_names_and_numbers() -> None:
    assert "| refusal | 2 |" in str(counts_markdown("reason", "utterances", {"refusal": 2}).value)


TABLE = Table("answers", ("shard",), pa.DataFrameSchema({"text": pa.Column(pl.String)}))
KEYS = {"shard": "x-0000"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LocalStore(tmp_path))


def test_the_usage_of_several_scopes_is_shown_as_one(lake: Lake) -> None:
    usage = total_usage([Usage(calls=15, replayed=1, cost=0.5), Usage(calls=5, cost=0.25)])
    for moment in range(20):
        usage.latencies.append(2.0)
        usage.moments.append(moment)
    shown = calls_metadata(lake, TABLE, KEYS, usage, plotted=True)
    assert (shown["made"], shown["cost in US dollars"].value) == ("now", 0.75)
    assert "| paid for now | 20 |" in str(shown["calls"].value)
    assert "| 90% | 2 |" in str(shown["seconds per call"].value)
    assert "data:image/png" in str(shown["calls over time"].value)
    assert usage_facts(usage)["calls"] == 20


@pytest.mark.parametrize(
    "usage",
    [{"cost": 0.25, "replayed_cost": 0.5}, {"sums": {"cost": 0.5}, "facts": {"cost": 0.25}}],
    ids=["of the partition", "by benchmark"],
)
def test_a_partition_that_was_current_shows_what_it_cost_earlier(lake: Lake, usage: dict[str, Any]) -> None:
    lake.write(TABLE, KEYS, TABLE.frame([{"text": "a"}]), fingerprint="f", facts={"usage": usage})
    assert calls_metadata(lake, TABLE, KEYS, None) == {"made": "earlier: already there", "cost in US dollars": 0.75}
