"""Whether a text names a result, wherever it does."""

import re

from assets.answers.markup import LONGEST_FINAL, clean
from assets.answers.quantities import NUMBER_WORD, numbers_in, plain_numbers, read_quantity, spelled_number
from assets.answers.read import stated_answers
from assets.answers.values import named_value, option_label

SEARCH_AT_MOST = 100_000  # characters from the end of a text
# Possessive quantifiers: the search does not backtrack in a line of spaces or digits.
_LIST_NUMBER = re.compile(
    r"^[ \t]*+[*#-]*+[ \t]*+\d++[.):](?=\s)|\b(?:step|question|part|round)[ ]++\d++\b", re.MULTILINE | re.IGNORECASE
)
_OPTION = r"(?:option|choice|answer|statement|label)"
_IS = r"(?:is|was|must be|has to be|would be)"
_THE_OTHER = re.compile(  # of two options, after the first one was wrong
    rf"\b(?:(?:right|correct|true) one|{_OPTION}) {_IS} the other(?: one| {_OPTION}|(?=[.,;!]|\Z))"
    rf"|(?<!if )(?<!whether )\bthe other {_OPTION} {_IS} (?:the )?(?:right|correct|true)\b"
    rf"|\b(?:choose|pick|select) the other {_OPTION}\b",
    re.IGNORECASE,
)
_THIRD_OPTION = re.compile(r"[\[(][Cc][\])]|\bC[.):]")


def is_exact(reference_final: str) -> bool:
    """Whether a final answer is a number or an option's label, which a text either names or does not."""
    answer = clean(reference_final)
    return read_quantity(named_value(answer)[1]) is not None or option_label(answer)[0] is not None


def gives_away_result(text: str, reference_final: str | None, known: str) -> bool:
    """Whether a teacher's words give the result away.

    They do where they state an answer, name a result that `known` does not contain, or call the other of two options
    the right one.

    Args:
        text: the teacher's own words.
        reference_final: the result; None where there is none to look for.
        known: what everybody has read before: the question, what the student said.
    """
    if stated_answers(text):
        return True
    if reference_final and _THE_OTHER.search(text[-SEARCH_AT_MOST:]) and not _THIRD_OPTION.search(known):
        return True
    return mentions_result(text, reference_final) and not mentions_result(known, reference_final)


def mentions_result(text: str, reference_final: str | None) -> bool:
    """Whether a text states the result, for "the teacher gave the result away".

    A number counts as a whole token whatever its writing (1,250 or 1250, `forty-two`), not as a list's or a step's
    number; a label where it is written as one (`[B]`, `(B)`, "option B", "answer is B"); other text as whole words.
    The question may contain the same number: ask the same of it. A reference longer than a final answer is not
    searched.
    """
    reference = clean(reference_final or "")
    if not reference or len(reference) > LONGEST_FINAL:
        return False
    text = text[-SEARCH_AT_MOST:]
    quantity = read_quantity(named_value(reference)[1])
    if quantity:
        plain = plain_numbers(_LIST_NUMBER.sub(" ", text))
        spelled = {spelled_number(match) for match in NUMBER_WORD.finditer(plain)} - {1}  # "one" is mostly a pronoun
        return quantity.number in {number for number, _ in numbers_in(plain)} | spelled
    label, content = option_label(reference)
    if label:
        written = rf"[\[(]{label}[\])]|\b(?:option|choice|answer(?:[ ]+is)?:?)[ ]+{label}\b"
        return bool(re.search(written, text)) or bool(content and mentions_result(text, content))
    if not re.search(r"\w", reference):
        return False
    pattern = r"\s*".join(re.escape(part) for part in reference.casefold().split())
    return bool(re.search(rf"(?<!\w){pattern}(?!\w)", text.casefold()))
