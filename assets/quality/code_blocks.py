"""Code in answers: does it parse? Nothing is ever executed."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable

# Possessive quantifiers: a fence without a line end fails to match at once, without backtracking.
_BLOCK = re.compile(
    r"^[ \t]*+(```++|~~~++)[ \t]*+([\w+#.-]*+)[^\n]*+\n(.*?)(?:^[ \t]*+\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON_NAMES = {"python", "py", "python3", "py3"}
_PYTHON_LINE = re.compile(
    r"^\s*(?:def \w+\(.*\).*:|class \w+.*:|(?:from [\w.]+ )?import [\w., ]+$|print\(.*\)$"
    r"|(?:if|for|while|elif|with) .*:$)",
    re.MULTILINE,
)
_OTHER_LANGUAGE = re.compile(
    r"[;{]\s*$|^\s*(?:#include|function |public |var |let |const |\$\w|<\?php|using |#!/bin/)", re.MULTILINE
)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)
MAX_CHARACTERS = 20_000  # CPython's parser is not safe on input of any size


def python_blocks(text: str) -> list[str]:
    """The fenced blocks of Python in a text: those labelled so, and unlabelled ones that read like Python."""
    return [
        block
        for _, label, block in _BLOCK.findall(text)
        if label.lower() in _PYTHON_NAMES or (not label and _reads_like_python(block))
    ]


def _reads_like_python(block: str) -> bool:
    return bool(_PYTHON_LINE.search(block)) and not _OTHER_LANGUAGE.search(block)


def code_parses(texts: Iterable[str]) -> bool | None:
    """Whether all Python blocks of the texts parse; None where there is none (other languages are not judged)."""
    blocks = [block for text in texts for block in python_blocks(text)]
    return all(_parses(block) for block in blocks) if blocks else None


def _parses(block: str) -> bool:
    if len(block) > MAX_CHARACTERS:
        return False
    source = textwrap.dedent(block)
    if ">>>" in source:
        source = "\n".join(_PROMPT.sub("", line) for line in source.splitlines() if _PROMPT.match(line))
    return is_python(source)


def is_python(source: str) -> bool:
    """Whether Python can parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
