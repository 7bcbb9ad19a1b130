"""Markup around an answer: LaTeX boxes and text commands, dollar signs, quotes, closing punctuation."""

import re
import unicodedata

LONGEST_FINAL = 200  # characters; a longer text is an explanation
_LONGEST_CLEANED = 2_000  # characters; of a longer text only the spaces around it are taken away

BOXED = re.compile(r"\\{1,2}(?:boxed|fbox)\s*(?=\{)")
_WRAPPINGS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    (r"\"", r"\""),
    ('"', '"'),
    ("'", "'"),
    ("“", "”"),
)
_FORMULA_SIGNS = ("$$", "$", r"\(", r"\[")
TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")


_TRAILING = re.compile(r"(?<![.,;:\s])(?:[.,;:\s]|(?<![)}\]!])!)+\Z")  # (n + 1)! is a factorial
_TRAILING_IN_FORMULA = re.compile(r"(?<![.,;:\s])[.,;:\s]+\Z")  # and so is 5! between dollar signs


def braced(text: str, start: int) -> str | None:
    """What stands between the brace at `start` and its partner, at most `LONGEST_FINAL` characters on."""
    depth = 0
    for position in range(start, min(len(text), start + LONGEST_FINAL + 2)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
    return None


def clean(answer: str) -> str:
    """An answer without the markup and punctuation around it; `$42` keeps its currency, `$42$` does not.

    Digits of other scripts are written in ASCII.
    """
    if not answer.isascii():
        answer = "".join(str(unicodedata.decimal(letter, letter)) for letter in answer).replace("–", "-")
    if len(answer) > _LONGEST_CLEANED:
        return answer.strip()
    previous, trailing = None, _TRAILING
    while answer != previous:
        previous = answer
        answer = answer.strip().strip("*`").strip().lstrip(":").removeprefix("= ")
        answer = trailing.sub("", answer).strip()
        for opening, closing in _WRAPPINGS:
            inside = answer[len(opening) : len(answer) - len(closing)]
            signs = inside.replace(r"\$", "") if opening == "$" else inside
            if inside and answer == opening + inside + closing and opening not in signs and closing not in signs:
                answer, trailing = inside, _TRAILING_IN_FORMULA if opening in _FORMULA_SIGNS else trailing
        box = BOXED.match(answer)
        if box:
            answer = braced(answer, box.end()) or answer
        text_command = TEXT_COMMAND.fullmatch(answer)
        if text_command:
            answer = text_command[1]
    return answer
