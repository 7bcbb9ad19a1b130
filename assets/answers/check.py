"""Whether the final answer that a text arrives at is the reference's."""

import re

from assets.answers.compare import compare_final
from assets.answers.formulas import formula
from assets.answers.markup import LONGEST_FINAL, clean
from assets.answers.quantities import Quantity, numbers_in, plain_numbers, read_quantity
from assets.answers.read import LONGEST_LINE, SENTENCE_END, answering_part, read_conclusion, read_marked
from assets.answers.texts import SHORT_TEXT
from assets.answers.values import named_value
from assets.answers.verdict import Verdict

_LAST_FORMULA = re.compile(r"\$\$?([^$]{1,200})\$\$?(?=[^$]{0,80}\Z)")


def check_answer(text: str, reference_final: str | None, domain: str) -> Verdict:
    """Whether the final answer that a text arrives at is the reference's.

    With a marker (`read_final`) what stands behind it is compared. Without one, a short text or one formula is taken as
    the answer itself. In mathematics with a number as reference, the last sentence that contains a number is then the
    answer (small models end with "So there are 12 apples left."): right if its last number, or what stands behind its
    last equals sign, is the reference; unknown if it names the reference elsewhere ("12 apples are left after 4 were
    eaten"); else wrong. With a formula as reference, a text is right if its last formula is that one. Everything else
    is `unknown`.
    """
    if not reference_final:
        return "unknown"
    tail = answering_part(text, domain)
    marked = read_marked(tail)
    if marked is not None:
        return compare_final(marked, reference_final, domain)
    whole = clean(text) if len(text) <= LONGEST_FINAL else ""
    if domain == "math" and whole and (formula(whole) or read_quantity(whole)):
        return compare_final(text, reference_final, domain)
    expected = read_quantity(named_value(clean(reference_final))[1])
    if domain == "math" and expected:
        return _check_last_number(tail, reference_final, expected)
    if whole and len(whole.split()) <= 2 * SHORT_TEXT:
        return compare_final(text, reference_final, domain)
    last_formula = _LAST_FORMULA.search(tail[-LONGEST_LINE:]) if domain == "math" else None
    if last_formula and compare_final(last_formula[0], reference_final, domain) == "right":
        return "right"
    return "unknown"


def _check_last_number(text: str, reference_final: str, expected: Quantity) -> Verdict:
    for sentence in reversed(SENTENCE_END.split(text.strip())):
        numbers = list(numbers_in(plain_numbers(sentence)))
        if not numbers:
            continue
        after_equals = sentence.rpartition("=")[2] if "=" in sentence else ""
        results = [read_conclusion(sentence), *(text for _, text in list(numbers_in(plain_numbers(after_equals)))[:1])]
        if any(compare_final(result, reference_final, "math") == "right" for result in (*results, numbers[-1][1])):
            return "right"
        named = expected.number in {number for number, _ in numbers}
        return "unknown" if named else compare_final(numbers[-1][1], reference_final, "math")
    return "unknown"
