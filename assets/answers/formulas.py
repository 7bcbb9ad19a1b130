"""Are two formulas equal: math-verify in a process of its own, so that nothing a model writes can hold up a run.

Simplifying even a short formula can take for ever. math-verify's time limit is a signal, which only a main thread can
have and which would replace the run's own handlers; a process of its own has both a main thread and a limit on memory.
It is started with the first pair (some two seconds, about 100 MB), serves all that follow, and ends with its parent.
"""

import atexit
import contextlib
import json
import math
import re
import resource
import select
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

SECONDS_TO_START = 120
SECONDS_A_STEP = 2  # for parsing each formula, and for comparing them
SECONDS_A_PAIR = 4 * SECONDS_A_STEP
MEMORY = 2 * 1024**3

_LONGEST_FORMULA = 200
_LARGEST_POWER = 400
_LARGEST_FACTORIAL = 170
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_UNKNOWN_WORDS = re.compile(
    r"(?<![A-Za-z\\])(?:[A-Za-z]{3,}|(?:is|it|in|of|to|or|as|at|be|by|do|he|if|me|my|no|on|so|up|us|we|an|am)(?![A-Za-z]))",
    re.I,
)
_KNOWN_WORDS = {"sqrt", "sin", "cos", "tan", "log", "exp", "arcsin", "arccos", "arctan", "cot", "sec", "csc"}
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*(\{[^{}]*\}|\([^()]*\)|-?\w+|\S)")
_TOWER = re.compile(r"\^\s*(?:\{[^{}]*\}|-?\w+)\s*\^|\^\s*\{[^{}]*\^")
_EXPENSIVE = {"sum", "prod", "int", "lim", "iint", "oint"}  # with bounds of any size

_lock = threading.Lock()
_worker: "subprocess.Popen[bytes] | None" = None


def comparable_formula(answer: str) -> str | None:
    """The answer as LaTeX that may be given to math-verify; None for words, and for what would only use up its time.

    The latter are formulas of more than 200 characters, numbers of more than 40 digits, powers of powers, exponents
    above 400, factorials above 170, sums, products and integrals.
    """
    formula = answer.replace("**", "^").replace("\u2212", "-").replace("π", r"\pi ").replace("·", r"\cdot ")
    formula = formula.replace("≤", r"\le ").replace("≥", r"\ge ").replace("∞", r"\infty ").replace("°", r"^\circ ")
    formula = re.sub(r"√\s*\(?([\w.]+)\)?", r"\\sqrt{\1}", formula)
    formula = re.sub(r"(?<!\\)\b(sqrt|pi)\b", r"\\\1", formula)
    formula = re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", formula)
    if len(formula) > _LONGEST_FORMULA or not re.search(r"[\d\\+*/^=<>]", formula):
        return None
    bare = re.sub(
        r"\\(?:text|mathrm|mbox|operatorname|textbf|mathbf)\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}", " ", formula
    )
    if _EXPENSIVE & set(_COMMAND.findall(bare)) or any(
        word not in _KNOWN_WORDS for word in _UNKNOWN_WORDS.findall(bare)
    ):
        return None
    if re.search(r"\d{41,}|\d[eE]\d|[#@~`?\"]", bare) or _TOWER.search(bare):
        return None
    exponents = [int(number) for exponent in _EXPONENT.findall(bare) for number in re.findall(r"\d+", exponent)]
    if (
        any(size > _LARGEST_POWER for size in exponents)
        or math.prod(max(size, 1) for size in exponents) > 10 * _LARGEST_POWER
    ):
        return None
    if (
        any(int(number) > _LARGEST_FACTORIAL for number in re.findall(r"(\d+)\s*!", bare))
        or "!!" in bare
        or ")!" in bare.replace(" ", "")
    ):
        return None
    return formula


@lru_cache(maxsize=4096)
def equal_formulas(given: str, reference: str) -> bool | None:
    """Whether two formulas in LaTeX, without dollar signs, are equal; None where it cannot be said in time.

    Blocks for at most `SECONDS_A_PAIR`, the first time longer. Can be called from any thread.

    Raises:
        RuntimeError: the process does not start.
    """
    with _lock:
        worker = _running()
        answer = None
        with contextlib.suppress(BrokenPipeError):
            _tell(worker, json.dumps([given, reference]).encode() + b"\n")
            answer = _hear(worker, SECONDS_A_PAIR)
        if not answer:
            _stop()
            return None
    equal: bool | None = json.loads(answer)
    return equal


def _running() -> "subprocess.Popen[bytes]":
    global _worker
    if _worker is not None and _worker.poll() is None:
        return _worker
    _worker = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,  # Ctrl-C is the parent's to handle; this one ends when its input does
    )
    atexit.register(_stop)
    if not _hear(_worker, SECONDS_TO_START):
        _stop()
        raise RuntimeError("the process that compares formulas does not start; is math-verify installed?")
    return _worker


def _tell(worker: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert worker.stdin is not None  # noqa: S101 - it is a pipe
    worker.stdin.write(line)


def _hear(worker: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    """The next line; empty where none comes in time or the process has ended."""
    assert worker.stdout is not None  # noqa: S101 - it is a pipe
    ready, _, _ = select.select([worker.stdout], [], [], seconds)
    return worker.stdout.readline() if ready else b""


def _stop() -> None:
    global _worker
    worker, _worker = _worker, None
    if worker is not None:
        worker.kill()
        with worker:
            pass


def serve() -> None:
    """The process: for each line `[given, reference]` a line `true`, `false` or `null`."""
    with contextlib.suppress(OSError, ValueError):  # some systems do not know this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from math_verify import LatexExtractionConfig, parse, verify
    from math_verify.errors import TimeoutException

    def equal(given: str, reference: str) -> bool | None:
        latex = [LatexExtractionConfig()]
        try:
            expected, found = (
                parse(
                    f"${formula}$",
                    extraction_config=latex,
                    fallback_mode="no_fallback",
                    parsing_timeout=SECONDS_A_STEP,
                    raise_on_error=True,
                )
                for formula in (reference, given)
            )
            if not expected or not found:
                return None
            return bool(verify(expected, found, timeout_seconds=SECONDS_A_STEP, raise_on_error=True))
        except (Exception, TimeoutException):  # whatever a formula provokes
            return None

    equal("x + x", "2x")  # loads what is loaded on first use
    _say("ready")
    for line in sys.stdin:
        _say(json.dumps(equal(*json.loads(line))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
