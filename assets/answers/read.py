r"""Reading a final answer out of text.

A final answer is what stands behind a marker: `#### 42`, `\boxed{42}`, "The answer is 42", a closing `[B]`. Without
one only mathematics is read further, and only where the text leaves no doubt. Texts come from models and are untrusted:
every step is linear in their length or bounded.
"""

import re
from collections import deque
from collections.abc import Iterator

from assets.answers.boxes import boxed_answers
from assets.answers.formulas import formula
from assets.answers.markup import BOXED, LONGEST_FINAL, clean
from assets.answers.quantities import currency_before, numbers_in, plain_numbers, read_quantity
from assets.answers.units import read_unit
from assets.answers.values import clock_time, date, number_of_solutions, option_label, read_items, truth

READ_AT_MOST = 20_000  # characters from the end of a text: a final answer stands there
LONGEST_LINE = 4 * LONGEST_FINAL  # characters behind a marker that are read

_CALCULATOR_NOTE = re.compile(r"<<[^<>\n]*>>")  # GSM8K writes 3*4=<<3*4=12>>12
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HASHES = re.compile(r"(?:^|(?<=\s))####[ \t]+(?=\S)", re.MULTILINE)
_PHRASE = re.compile(
    r"\b(?:final[ ]+(?:answer|result)|answer|(?:correct|right|best)[ ]+(?:option|choice))\b[*_`\"']{0,4}"
    r"(?:[ ]+(?:to|for)[ ][^.:=\n]{1,80}?)?"
    r"(?:[ ]+(?:is|are|was|would be|will be|should be)\b[ ]*:?|[ ]*[:=]|(?<=^answer)[ ]+(?=\$|\\[(\[]))[*_]{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_OPENS_SENTENCE = re.compile(
    r"(?:\A|[.!?:\n])[\s*_>]*(?:(?:so|thus|hence|then|therefore|and)\b,?\s+)?(?:(?:the|my|your|our)\s+)?"
    r"(?:(?:correct|right|final)\s+)?\Z",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(r"\byour(?:\s+\w+)?\s*\Z", re.IGNORECASE)
_OWN = re.compile(r"\b(?:my|our)(?:\s+\w+)?\s*\Z", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:earlier|previously|wrote|said|says|thought|claimed|claims)\b[^.!?\n]{0,30}\Z", re.IGNORECASE
)
_NO_STATEMENT = re.compile(  # "if the answer is", "a good answer is", "to answer is"
    r"\b(?:(?:if|when|whether|suppose|unless|until|once)\s+(?:(?:the|your|my)\s+)?|(?:an?|any|every|each|no|to|which|what)\s+)"
    r"(?:\w{1,12}\s+)?\Z",
    re.IGNORECASE,
)
_PAST = re.compile(r"\w+(?:\s+\w+)?\s+was\b", re.IGNORECASE)
_FINAL_HEADING = re.compile(r"^[#*_ \t]*final answer[*_ \t]*$", re.IGNORECASE | re.MULTILINE)
_CLOSING_LABEL = re.compile(r"(?:^|(?<=\s))[*_]{0,2}\[([A-J])\][*_.\s]*\Z")
_END_OF_ANSWER = re.compile(
    r"[.!?](?=[*_\"')\]$]*(?:\s|\Z))|;\s|,?\s(?:because|since|which|where|i\.e\.)\s"
    r"|,\s(?:not|rather than|instead of)\s",
    re.IGNORECASE,
)
_FILLER = re.compile(r"(?:(?:that|thus|therefore|simply|just|now|indeed|also|still|then)\b[, ]*)+", re.IGNORECASE)
_CORRECTION = re.compile(r"not\s+[^.;,]{1,60}?,?\s+but\s+(?:rather\s+)?", re.IGNORECASE)  # "is not 24 but 25"
# First words of what is said about an answer, where no answer is stated: "the answer is usually short".
_SAID_OF_ANSWERS = (
    "not wrong incorrect correct right given in on as below above at by from for with of if it its this they you we i "
    "to too very quite rather more less larger smaller greater higher lower bigger similar like almost complete "
    "incomplete short long clear good bad great fine perfect excellent nice simple easy hard missing unclear well off "
    "close what how why whether up part obtained found shown set left kept made"
)
_NOT_AN_ANSWER = re.compile(
    rf"(?:(?:{'|'.join(_SAID_OF_ANSWERS.split())}|the same|nearly correct|a (?:good|bad|bit|little|nice|great))\b"
    r"|(?-i:[a-z]{3,40}(?:ly|ed)\s+\w)|(?-i:[a-z]{1,40})\s+(?:in|on|at|by|from|with|as)\b)"
    r"(?!\s+(?:answer|choice|option)\s*:)",
    re.IGNORECASE,
)
# "the answer is far too small: a row has 8 pens", "the answer should be a whole number"
_JUDGES = re.compile(
    r"(?:(?:far|much|way|slightly|a (?:bit|little)) )?too\b"
    r"|an? (?:whole |natural |round |positive |negative )?(?:number|integer|fraction)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?:|www\.", re.IGNORECASE)
_LISTED = re.compile(r"(?:^|\n)[ \t]*(?:\d+[.)]|[-*•]|\(?[a-z\d]\))[ \t]*[^\n]{0,60}\Z")
_GOES_ON = re.compile(
    r"\bstep\s*\d|\b(?:then|next|after that|now)\b[^.\n]{0,120}\d|\bwhich gives\b|\bso we get\b", re.IGNORECASE
)
_MOST_PHRASES = 200  # the last ones of a text
_MOST_WORDS = 6  # of an answer in prose
_MOST_WORDS_OF_FINAL = 25  # of the sentence behind "Final answer:"
_VALUE_IN_SENTENCE = re.compile(r".*\b(?:is|are|equals|be)\s+(?:exactly\s+|about\s+)?(.+)", re.DOTALL)
_FAREWELL = re.compile(
    r"(?:\b(?:I hope|hope (?:this|that|it)|let me know)\b[^.!?\n]{0,80}[.!?]*|<\|\w{1,20}\|>\w{0,20}|\s)\Z",
    re.IGNORECASE,
)
_ASSIGNMENTS = re.compile(  # "x = 3 and y = 4": an answer in parts
    r"(?<![\w=])[A-Za-z]\w?\s?=\s?[-\w./\\{}]{1,30}(?:\$?(?:,\s?(?:and|or)?|\s(?:and|or))\s?\$?[A-Za-z]\w?\s?=\s?[-\w./\\{}]{1,30}){1,5}"
    r"[\s.$]*\Z"
)
_FORMULA_BEHIND = re.compile(r"\s?(?:[π√\\^!]|[nxyz]\b)")
_LEFT_OF_RESULT = re.compile(r"[^=,;:$]*\Z")  # of a chain of equations, the last left side
_UNKNOWN_AND_SIGN = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z(])\s*[-+*/^]|[-+*/^\d]\s*[A-Za-z](?![A-Za-z(])")
_LABEL_BEHIND = re.compile(r"(?<=\w)\s*\([a-eA-E]\)$")
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|altogether|in total|total of|in conclusion|finally)\b", re.IGNORECASE
)
_DOUBT = re.compile(  # in a concluding sentence: its number may be no result
    r"\b(?:not|cannot|no|never|if|unless|than\s+in|twice|thrice|half|halves|third|quarter|fourth|fifth|tenth|dozen|double|triple|"
    r"each|every|per)\b|n't\b|%\s*(?:off|discount|tax|increase|decrease|tip)|\b(?:that|which|who|whose)\s+[a-z]+\s+[$€£]?\d|"
    r"\b(?:day|step|page|team|year|grade|class|number|in|since|by)\s+\d{1,4}\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"\n+|(?<=[.!?])\s+|\s(?=(?:Therefore|Thus|Hence|So),\s)")
_DISPLAYED = re.compile(r"\s*(?:\$\$([^$]{1,300})\$\$|\\\[(.{1,300}?)\\\])", re.DOTALL)
_IN_DOLLARS = re.compile(r"[^$\d]*\$([^$]+)\$[^$\d]*")


def read_final(text: str, domain: str) -> str | None:
    r"""The final answer that a text states, cleaned of punctuation and markup, its unit kept; None where none is.

    Markers, of which the last in the text counts: `#### 42` (on the last line, or anywhere with a number), `\boxed{…}`,
    "the answer is …", "final answer: …", "the correct option is …", a heading "Final answer" with the next line, and a
    closing label `[B]`. In code and general text fenced code is skipped, and only markers count.

    Boxes that only "and" or a comma separates are one answer.

    In mathematics (`domain` "math") a text without a marker is read where it is safe: a text that is nothing but a
    quantity or a formula; the named values that the last sentence ends with ("x = 3 and y = 4"); the right side of its
    last equation, if it is a number and no unknown stands on the left; or the only formula or number of a last sentence
    that draws a conclusion ("So there are 12 apples left.").

    Example:
        >>> read_final("6 * 7 = 42. The answer is 42 apples.", "math")
        '42 apples'
    """
    text = answering_part(text, domain)
    marked = read_marked(text)
    if marked is None and domain == "math":
        return read_conclusion(text)
    return marked


def stated_answers(text: str) -> list[str]:
    """Every answer that a sentence of its own states ("The answer is 7."), in order; those of others are left out.

    "Anna says that the answer is 6" is no statement of the speaker's, "The answer is right" is no answer.
    """
    text = text[-READ_AT_MOST:]
    return [
        answer
        for start, answer in sorted(_phrase_answers(text))
        if _OPENS_SENTENCE.search(text[max(0, start - 60) : start]) and not _of_another_time_or_person(text, start)
    ]


def _of_another_time_or_person(text: str, start: int) -> bool:
    """Whether the phrase at `start` is about "your answer", about what "my answer was", or what somebody said."""
    before = text[max(0, start - 60) : start]
    return bool(_REPORTED.search(before)) or bool(
        _ADDRESSED.search(before) or (_OWN.search(before) and _PAST.match(text[start : start + 40]))
    )


def answering_part(text: str, domain: str) -> str:
    """The end of a text, where an answer is read: without calculator notes, or outside of mathematics without code."""
    text = text[-READ_AT_MOST:]
    return _CALCULATOR_NOTE.sub("", text) if domain == "math" else _FENCED.sub("\n", text)


def read_marked(text: str) -> str | None:
    """The answer behind the last marker of an `answering_part`; None where it has none."""
    label = _CLOSING_LABEL.search(text)
    if label:
        return label[1]
    phrases = sorted(_phrase_answers(text))
    marked = sorted((*_hash_answers(text), *boxed_answers(text), *phrases))
    if not marked:
        return None
    start, answer = marked[-1]
    if (start, answer) in phrases and (_answers_of_a_list(text, phrases) or _goes_on(text[start:], answer)):
        return None
    return answer


def _answers_of_a_list(text: str, phrases: list[tuple[int, str]]) -> bool:
    """Whether several answers stand in a list, each to a question of its own."""
    listed = {answer for start, answer in phrases if _LISTED.search(text[max(0, start - 80) : start])}
    return len(listed) > 1


def _goes_on(text: str, answer: str) -> bool:
    """Whether a text computes further behind its answer, to another number: the answer was that of a step."""
    behind = text.partition(answer)[2]
    if not _GOES_ON.search(behind):
        return False
    numbers = [number for number, _ in numbers_in(plain_numbers(behind))]
    quantity = read_quantity(answer)
    return bool(numbers) and quantity is not None and numbers[-1] != quantity.number


def _hash_answers(text: str) -> Iterator[tuple[int, str]]:
    last = len(text.rstrip())
    for match in _HASHES.finditer(text):
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        if end - match.end() > LONGEST_LINE:
            continue
        answer = clean(text[match.end() : end])
        if 0 < len(answer) <= LONGEST_FINAL and (end >= last or read_quantity(answer)):
            yield match.start(), answer


def _phrase_answers(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (_PHRASE, _FINAL_HEADING):
        for match in deque(pattern.finditer(text), maxlen=_MOST_PHRASES):
            if _NO_STATEMENT.search(text[max(0, match.start() - 40) : match.start()]):
                continue
            rest = text[match.end() : match.end() + LONGEST_LINE].lstrip(" \t*_:")
            displayed = _DISPLAYED.match(rest)
            line = displayed[1] or displayed[2] if displayed else rest.lstrip().partition("\n")[0]
            line = line.strip()
            if line.casefold().startswith("that ") and not re.search(r"\d|\$", line):
                continue  # "the answer is that nobody knows"
            line = _FILLER.sub("", line, count=1) if _FILLER.match(line) else line
            line = _CORRECTION.sub("", line, count=1) if _CORRECTION.match(line) else line
            if not line or BOXED.search(line) or _ADDRESS.match(line) or _JUDGES.match(line):
                continue
            answer = clean(_LABEL_BEHIND.sub("", clean(_END_OF_ANSWER.split(line, maxsplit=1)[0])))
            if match[0].casefold().startswith("final") and _MOST_WORDS < len(answer.split()) <= _MOST_WORDS_OF_FINAL:
                answer = _value_in_sentence(answer) or answer
            if 0 < len(answer) <= LONGEST_FINAL and _states_a_value(answer):
                yield match.start(), answer


def _states_a_value(answer: str) -> bool:
    """Whether what stands behind "the answer is" is an answer, and nothing that is said about one."""
    if not re.search(r"\w|[∅∞]", answer):
        return False
    if read_quantity(answer) or option_label(answer)[0] or truth(answer) is not None or number_of_solutions(answer):
        return True
    if clock_time(answer) or date(answer) or read_items(answer) or formula(answer):
        return not _NOT_AN_ANSWER.match(answer)
    return not _NOT_AN_ANSWER.match(answer) and len(answer.split()) <= _MOST_WORDS


def _value_in_sentence(sentence: str) -> str | None:
    """What stands behind the last "is" of a sentence, or its only number; None where neither is a value."""
    match = _VALUE_IN_SENTENCE.fullmatch(sentence)
    value = clean(match[1]) if match else ""
    if value and (read_quantity(value) or formula(value)):
        return value
    plain = plain_numbers(sentence)
    found = [text for _, text in numbers_in(plain)]
    return _with_unit(plain, found[0]) if len(found) == 1 else None


def read_conclusion(text: str) -> str | None:
    """The answer of a mathematical text without a marker, as `read_final` says; None where there is doubt."""
    for _ in range(4):
        text = _FAREWELL.sub("", text.rstrip())
    whole = clean(text) if len(text.strip()) <= LONGEST_FINAL else ""
    if whole and ((len(whole.split()) <= 4 and read_quantity(whole)) or _is_one_formula(text.strip(), whole)):
        return whole
    sentences = [sentence for sentence in SENTENCE_END.split(text.strip()) if sentence.strip()]
    if not sentences or len(sentences[-1]) > LONGEST_LINE:
        return None
    last = sentences[-1]
    assigned = _ASSIGNMENTS.search(last)
    if assigned:
        return clean(assigned[0].replace("$", ""))
    left_side, equals, right_side = last.rpartition("=")
    if equals:
        return _result_of_equation(left_side, right_side)
    if not _CONCLUSION.search(last) or _DOUBT.search(last):
        return None
    single = _IN_DOLLARS.fullmatch(last)
    if single and formula(single[1]):
        return clean(single[1])
    match = _VALUE_IN_SENTENCE.fullmatch(last)
    if match and match[1].lstrip().startswith(("$", "\\(", "\\[")) and formula(clean(match[1])):
        return clean(match[1])
    plain = plain_numbers(last)
    found = list(numbers_in(plain.replace("^2", "²").replace("^3", "³")))
    if len({number for number, _ in found}) != 1 or _FORMULA_BEHIND.match(plain.rpartition(found[-1][1])[2]):
        return None
    return _with_unit(plain, found[-1][1])


def _is_one_formula(text: str, cleaned: str) -> bool:
    """Whether a text is one formula between its signs, `$x > 5$`."""
    return text[:1] == "$" == text[-1:] and "$" not in cleaned and formula(cleaned) is not None


def _result_of_equation(left_side: str, right_side: str) -> str | None:
    """The number that stands behind the last equals sign; None for `2x + y = 0` and `x <= 2`."""
    if left_side.endswith(("<", ">", "!", ":")):
        return None
    left = _LEFT_OF_RESULT.search(left_side)
    if left and _UNKNOWN_AND_SIGN.search(left[0]):
        return None
    result = clean(right_side)
    if result.endswith("$") and result.count("$") == 1:
        result = clean(result[:-1])
    return result if read_quantity(result) else None


def _with_unit(plain: str, number: str) -> str:
    """The number as it stands in the text, with the unit before or behind it."""
    before, _, behind = plain.partition(number)
    currency = currency_before(before)
    unit, noun = read_unit(behind)
    words = behind[: behind.find(noun)] if noun and noun in behind else behind
    return clean(f"{currency}{number}{words.rstrip(' .,!')}" if unit and not currency else f"{currency}{number}")
