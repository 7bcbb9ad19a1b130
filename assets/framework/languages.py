"""Names and codes of languages: those that lingua can detect."""

from functools import cache

ENGLISH = "English"
FEWEST_LETTERS = 60  # of a text whose language is detected


def language_name(name_or_code: str) -> str:
    """The English name of a language, `German` for `de`, `deu` or `german`. Raises ValueError for an unknown one."""
    try:
        return _names()[name_or_code.strip().lower()]
    except KeyError:
        known = ", ".join(dict.fromkeys(_names().values()))
        raise ValueError(
            f"{name_or_code!r} is no language; write an ISO 639 code such as de, or one of {known}"
        ) from None


def language_code(name: str) -> str:
    """The ISO 639-1 code of a language, `de` for `German`. Raises KeyError for an unknown name."""
    return next(code for code, one in _names().items() if one == name and len(code) == 2)


def detect_language(text: str) -> str:
    """The English name of the language that a text is likely in; English for a short text, or where none is recognised.

    Only the first 5,000 characters are looked at.
    """
    text = text[:5000]
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return ENGLISH
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
    language = detector.detect_language_of(text)
    return language.name.title() if language else ENGLISH


@cache
def _names() -> dict[str, str]:
    """Code or name in small letters to name; lingua is imported when it is first needed."""
    from lingua import Language

    return {
        key.lower(): language.name.title()
        for language in sorted(Language.all(), key=lambda one: one.name)
        for key in (language.iso_code_639_1.name, language.iso_code_639_3.name, language.name)
    }
