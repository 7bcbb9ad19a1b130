"""What comes from outside is made safe to write and to show."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.outside_text import (
    MAX_COUNT,
    WORD_JOINER,
    bounded_count,
    clean_line,
    clean_text,
    parse_json,
    without_links,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("two\r\nlines\rthree\u2028four", "two\nlines\nthree\nfour"),
        ("a\tb\n", "a\tb\n"),
        ("cut \ud83d emoji", "cut \ufffd emoji"),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("nul\0 bell\x07 delete\x7f", "nul bell delete"),
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://elsewhere\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never closed, and the text goes on", "]0;never closed, and the text goes on"),
        ("abc\u202ecba\u2066", "abccba"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("\ufeffstart", "start"),
        ("family 👨\u200d👩\u200d👧 and नमस्ते", "family 👨\u200d👩\u200d👧 and नमस्ते"),
        ("no-break\u00a0space, ｆｕｌｌ width", "no-break\u00a0space, ｆｕｌｌ width"),
    ],
)
def test_a_text_is_made_safe_and_otherwise_kept(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://a.example/x?q=1", "see https://|a.example/x?q=1"),
        ("HTTP://WWW.a.example ftp://b", "HTTP://|WWW|.a.example ftp://|b"),
        ("mail me@a.example", "mail me|@a.example"),
        ("1 // 2, a.example, javascript:alert(1)", "1 // 2, a.example, javascript:alert(1)"),
    ],
)
def test_addresses_are_broken_where_programs_look_for_them(text: str, shown: str) -> None:
    assert without_links(text) == shown.replace("|", WORD_JOINER)


@given(ANY_TEXT)
def test_every_clean_text_can_be_written_and_is_clean(text: str) -> None:
    clean = clean_text(text)
    assert pl.DataFrame({"text": [clean]}).write_json()
    assert json.dumps(clean, ensure_ascii=False).encode()
    assert clean_text(clean) == clean


@pytest.mark.parametrize(
    "unit", ["\x1b", "\x1b[", "\x1b]", "\x1b]0;", "\x9d", "\x1b[1;", "\r", "\ud800", "a\x1b]\x1b["]
)
def test_hostile_texts_are_cut_to_the_limit(unit: str) -> None:
    assert len(clean_text(unit * 1_000_000, limit=100_000)) <= 100_000


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (b"two\nlines\x1b[31m", "two lines"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("é" * 10, "é" * 10),
        ("word\n" * 500, f"{'word ' * 40}…"),
        (b" " * 5000 + b"late", "…"),
    ],
)
def test_a_line_is_short(given: bytes | str, line: str) -> None:
    assert clean_line(given) == line


@pytest.mark.parametrize("content", ["[" * 200_000, b'{"a":' * 200_000, "1" * 5000, b"\xff", "nothing"])
def test_json_that_cannot_be_parsed_is_a_value_error(content: bytes | str) -> None:
    with pytest.raises(ValueError):
        parse_json(content)


@pytest.mark.parametrize(
    ("given", "count"),
    [(0, 0), (12, 12), (MAX_COUNT, MAX_COUNT), (10**30, None), (-1, None), (True, None), ("12", None), (None, None)],
)
def test_only_a_count_within_bounds_is_one(given: Any, count: int | None) -> None:
    assert bounded_count(given) == count
