"""Data files hold any text, and nothing of it can end the script that they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dialogue_browser.files import data_file, read_data_file

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # lone surrogates too


@given(st.dictionaries(ANY_TEXT, st.lists(ANY_TEXT | st.integers() | st.none() | st.booleans())))
def test_what_is_written_is_read_again(content: dict[str, list[object]]) -> None:
    assert read_data_file(data_file("dialogues/00000", content)) == content


@given(ANY_TEXT)
def test_no_text_shows_through(text: str) -> None:
    head, _, tail = data_file("titles/00000", [text]).decode("ascii").partition('"]="')
    assert head == 'dialogueData["titles/00000'
    assert set(tail.removesuffix('";\n')) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_the_same_content_gives_the_same_bytes() -> None:
    assert data_file("index", {"a": [1.5, "ü"]}) == data_file("index", {"a": [1.5, "ü"]})


def test_a_number_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        data_file("index", [float("nan")])


@pytest.mark.parametrize(
    "damaged", [b"", b"alert(1)", b'dialogueData["index"]="AAAA";\n', b'dialogueData["index"]="<";\n']
)
def test_what_is_no_data_file_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"dialogue browser|base64"):
        read_data_file(damaged)
