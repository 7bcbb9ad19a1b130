import pytest

from assets.framework.languages import language_code, language_name


@pytest.mark.parametrize(
    ("given", "name", "code"),
    [("de", "German", "de"), ("German", "German", "de"), (" deu", "German", "de"), ("ENGLISH", "English", "en")],
)
def test_a_language_is_given_as_a_name_or_a_code(given: str, name: str, code: str) -> None:
    assert language_name(given) == name
    assert language_code(name) == code


def test_an_unknown_language_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'Klingon' is no language; write an ISO 639 code such as de, or one of "):
        language_name("Klingon")
