"""Names and codes of languages: those that lingua can detect."""

from functools import cache

ENGLISH = "English"


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


@cache
def _names() -> dict[str, str]:
    """Code or name in small letters to name; lingua is imported when it is first needed."""
    from lingua import Language

    return {
        key.lower(): language.name.title()
        for language in sorted(Language.all(), key=lambda one: one.name)
        for key in (language.iso_code_639_1.name, language.iso_code_639_3.name, language.name)
    }
