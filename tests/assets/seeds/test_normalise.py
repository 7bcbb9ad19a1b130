import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.seeds.normalise import normalise


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("  one two \n", "one two"),
        ("a \t\nb", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\u00a0b\u2009c", "a b c"),
        ("12\u202f011 of 1\u00a0234\u00a0567,5 m", "12011 of 1234567,5 m"),
        ("in 2020\u00a0300 and 12\u00a03456", "in 2020 300 and 12 3456"),
        ("a\x00b\x1bc\u200bd\ufeff", "abcd"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("evil \u202etext", "evil text"),
        ("cut \ud83d off", "cut \ufffd off"),
    ],
    ids=[
        "nfc",
        "line breaks",
        "ends",
        "trailing",
        "blank lines",
        "spaces",
        "thousands",
        "other numbers",
        "invisible",
        "escape sequence",
        "direction",
        "surrogate",
    ],
)
def test_what_means_nothing_is_removed(given_text: str, expected: str) -> None:
    assert normalise(given_text) == expected


def test_indentation_of_code_stays() -> None:
    assert normalise("def f():\n    return 1\n\n\n\treturn 2") == "def f():\n    return 1\n\n\treturn 2"


def test_mathematical_letters_and_superscripts_stay() -> None:
    assert normalise("x² + ½ ≤ 𝑛") == "x² + ½ ≤ 𝑛"


@given(st.text())
def test_normalising_again_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(st.characters(exclude_categories=())))
def test_the_result_can_always_be_written_as_utf8(text: str) -> None:
    normalise(text).encode("utf-8")
