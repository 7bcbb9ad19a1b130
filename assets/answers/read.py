r"""Reading a final answer out of text.

A final answer is what stands behind a marker: `#### 42`, `\boxed{42}`, "The answer is 42", a closing `[B]`. Without
one only mathematics is read further, and only where the text leaves no doubt. Texts come from models and are untrusted:
every step is linear in their length or bounded.
"""

import re
from collections.abc import Iterator

from assets.answers.compare import SHORT_TEXT, Verdict, compare_final, option_label, right_side
from assets.answers.markup import BOXED, LONGEST_FINAL, braced, clean
from assets.answers.quantities import NUMBER_WORD, Quantity, numbers_in, plain_numbers, read_quantity, spelled_number

READ_AT_MOST = 20_000  # characters from the end of a text: a final answer stands there

_CALCULATOR_NOTE = re.compile(r"<<[^<>\n]*>>")  # GSM8K writes 3*4=<<3*4=12>>12
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HASHES = re.compile(r"(?:^|(?<=\s))####[ \t]+(?=\S)", re.MULTILINE)
_PHRASE = re.compile(
    r"\b(?:final[ ]+(?:answer|result)|answer|(?:correct|right|best)[ ]+(?:option|choice))\b[*_`\"']{0,4}"
    r"(?:[ ]+(?:to|for)[ ][^.:=\n]{1,80}?)?"
    r"(?:[ ]+(?:is|are|was|would be|will be|should be)\b[ ]*:?|[ ]*[:=])[*_]{0,4}",
    re.IGNORECASE,
)
_OPENS_SENTENCE = re.compile(
    r"(?:\A|[.!?:\n])[\s*_>]*(?:(?:so|thus|hence|then|therefore|and)\b,?\s+)?(?:(?:the|my|your|our)\s+)?"
    r"(?:(?:correct|right|final)\s+)?\Z",
    re.IGNORECASE,
)
_FINAL_HEADING = re.compile(r"^[#*_ \t]*final answer[*_ \t]*$", re.IGNORECASE | re.MULTILINE)
_CLOSING_LABEL = re.compile(r"(?:^|(?<=\s))[*_]{0,2}\[([A-J])\][*_.\s]*\Z")
_END_OF_ANSWER = re.compile(r"[.!?](?=[*_\"')\]$]*(?:\s|\Z))|;\s|,?\s(?:because|since|which|where)\s", re.IGNORECASE)
_FILLER = re.compile(r"(?:(?:that|thus|therefore|simply|just|now|indeed|also|still|then)\b[, ]*)+", re.IGNORECASE)
_NOT_AN_ANSWER = re.compile(r"(?:not|wrong|incorrect|correct|right|given|in|on|as|below|above)\b", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|altogether|in total|total of|in conclusion|finally)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"\n+|(?<=[.!?])\s+")


def read_final(text: str, domain: str) -> str | None:
    r"""The final answer that a text states, cleaned of punctuation and markup, its unit kept; None where none is.

    Markers, of which the last in the text counts: `#### 42` (on the last line, or anywhere with a number), `\boxed{…}`,
    "the answer is …", "final answer: …", "the correct option is …", a heading "Final answer" with the next line, and a
    closing label `[B]`. In code and general text fenced code is skipped, and only markers count.

    In mathematics (`domain` "math") a text without a marker is read where it is safe: a text that is nothing but a
    quantity; the right side of the last sentence's last equation, if it is a number and none follows; or the only
    number of a last sentence that draws a conclusion ("So there are 12 apples left.").

    Example:
        >>> read_final("6 * 7 = 42. The answer is 42 apples.", "math")
        '42 apples'
    """
    text = _answering_part(text, domain)
    marked = _read_marked(text)
    if marked is None and domain == "math":
        return _read_conclusion(text)
    return marked


def stated_answers(text: str) -> list[str]:
    """Every answer that a sentence of its own states ("The answer is 7."), in order; those of others are left out.

    "Anna says that the answer is 6" is no statement of the speaker's, "The answer is right" is no answer.
    """
    return [answer for start, answer in sorted(_phrase_answers(text)) if _OPENS_SENTENCE.search(text[:start])]


def tells_result(text: str, reference_final: str | None, known: str) -> bool:
    """Whether a teacher's words tell the result: they state an answer, or name a result that `known` does not hold.

    Args:
        text: the teacher's own words.
        reference_final: the result; None where there is none to look for.
        known: what everybody has read before: the question, what the student said.
    """
    if stated_answers(text):
        return True
    return mentions_result(text, reference_final) and not mentions_result(known, reference_final)


def _answering_part(text: str, domain: str) -> str:
    text = text[-READ_AT_MOST:]
    return _CALCULATOR_NOTE.sub("", text) if domain == "math" else _FENCED.sub("\n", text)


def _read_marked(text: str) -> str | None:
    found = sorted((*_hash_answers(text), *_boxed_answers(text), *_phrase_answers(text)), key=lambda item: item[0])
    label = _CLOSING_LABEL.search(text)
    if label:
        return label[1]
    return found[-1][1] if found else None


def _hash_answers(text: str) -> Iterator[tuple[int, str]]:
    for match in _HASHES.finditer(text):
        line, _, rest = text[match.end() :].partition("\n")
        answer = clean(line)
        if 0 < len(answer) <= LONGEST_FINAL and (not rest.strip() or read_quantity(answer)):
            yield match.start(), answer


def _boxed_answers(text: str) -> Iterator[tuple[int, str]]:
    for match in BOXED.finditer(text):
        content = braced(text, match.end())
        if content is not None and content.strip():
            yield match.start(), clean(content)


def _phrase_answers(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (_PHRASE, _FINAL_HEADING):
        for match in pattern.finditer(text):
            rest = text[match.end() : match.end() + 4 * LONGEST_FINAL].lstrip(" \t*_:")
            line = rest.lstrip().partition("\n")[0].strip()
            line = _FILLER.sub("", line, count=1) if _FILLER.match(line) else line
            boxed = BOXED.search(line)
            if boxed or not line or _NOT_AN_ANSWER.match(line):
                continue
            answer = clean(_END_OF_ANSWER.split(line, maxsplit=1)[0])
            if 0 < len(answer) <= LONGEST_FINAL:
                yield match.start(), answer


def _read_conclusion(text: str) -> str | None:
    whole = clean(text[:LONGEST_FINAL]) if len(text.strip()) <= LONGEST_FINAL else ""
    if len(whole.split()) <= 4 and read_quantity(whole):
        return whole
    sentences = [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence.strip()]
    if not sentences:
        return None
    last = sentences[-1]
    _, equals, right_side = last.rpartition("=")
    if equals:
        right_side = clean(right_side)
        return right_side if read_quantity(right_side) else None
    numbers = {number for number, _ in numbers_in(plain_numbers(last))}
    if len(numbers) == 1 and _CONCLUSION.search(last):
        return _number_text(last)
    return None


def _number_text(sentence: str) -> str | None:
    found = [text for _, text in numbers_in(plain_numbers(sentence))]
    return found[-1] if found else None


def check_answer(text: str, reference_final: str | None, domain: str) -> Verdict:
    """Whether the final answer that a text arrives at is the reference's.

    With a marker (`read_final`) what stands behind it is compared. Without one, a short text is taken as the answer
    itself. In mathematics with a number as reference, the last sentence that holds a number is then the answer (small
    models end with "So there are 12 apples left."): right if its last number, or what stands behind its last equals
    sign, is the reference; unknown if it names the reference elsewhere ("12 apples are left after 4 were eaten");
    else wrong. Everything else is `unknown`.
    """
    if not reference_final:
        return "unknown"
    tail = _answering_part(text, domain)
    marked = _read_marked(tail)
    if marked is not None:
        return compare_final(marked, reference_final, domain)
    expected = read_quantity(right_side(clean(reference_final)))
    if domain == "math" and expected:
        return _check_last_number(tail, reference_final, expected)
    whole = clean(text) if len(text) <= LONGEST_FINAL else ""
    if whole and len(whole.split()) <= 2 * SHORT_TEXT:
        return compare_final(whole, reference_final, domain)
    return "unknown"


def _check_last_number(text: str, reference_final: str, expected: Quantity) -> Verdict:
    for sentence in reversed(_SENTENCE_END.split(text.strip())):
        numbers = list(numbers_in(plain_numbers(sentence)))
        if not numbers:
            continue
        after_equals = sentence.rpartition("=")[2] if "=" in sentence else ""
        results = [_read_conclusion(sentence), *(text for _, text in list(numbers_in(plain_numbers(after_equals)))[:1])]
        if any(compare_final(result, reference_final, "math") == "right" for result in (*results, numbers[-1][1])):
            return "right"
        named = expected.number in {number for number, _ in numbers}
        return "unknown" if named else compare_final(numbers[-1][1], reference_final, "math")
    return "unknown"


_LIST_NUMBER = re.compile(
    r"^[ \t]*[*#-]*[ \t]*\d+[.):](?=\s)|\b(?:step|question|part|round)[ ]+\d+\b", re.MULTILINE | re.I
)


def mentions_result(text: str, reference_final: str | None) -> bool:
    """Whether a text states the result, for "the teacher gave the result away".

    A number counts as a whole token whatever its writing (1,250 or 1250, `forty-two`), not as a list's or a step's
    number; a label where it is written as one (`[B]`, `(B)`, "option B", "answer is B"); other text as whole words.
    The question may hold the same number: ask the same of it.
    """
    reference = clean(reference_final or "")
    if not reference:
        return False
    quantity = read_quantity(right_side(reference))
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
