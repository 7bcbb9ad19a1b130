"""The program of a worker process: it compares formulas with math-verify, one pair per line of its standard input.

A line in is `[given, reference, places]` as JSON, a line out is `"equal"`, `"different"`, `"close"` or `null`.
math-verify limits its time with an alarm signal, which needs a main thread: this process has one of its own, and limits
on memory and processor time.
"""

import contextlib
import json
import resource
import sys
from typing import Any, Literal

Comparison = Literal["equal", "different", "close"]

SECONDS_PER_STEP = 3  # for reading each formula, and for comparing the two
SECONDS_PER_PAIR = 5 * SECONDS_PER_STEP
MEMORY_BYTES = 2 * 1024**3
_SAME = 1e-40  # relative difference of two values that are one: 2^40 and 2^40 - 1 are two
_CLOSE = 1e-2
# Where formulas with variables are evaluated; those with a logarithm only above zero.
_POINTS = ("0.7310585", "2.2360679", "-1.3862943")
_DIGITS = 60  # of their values


def compare(given: str, reference: str, places: int | None) -> Comparison | None:
    """Whether two formulas in LaTeX are equal; None where either cannot be read.

    Args:
        given: the answer's formula.
        reference: the reference's formula.
        places: decimal places to which decimals are compared; None for six.

    Returns:
        `close` where a rule should not decide: values within one percent where a decimal is involved; formulas that
        math-verify does not simplify to one another although their values are the same; functions whose values are
        unknown, or that differ in the names of their arguments; a relation and a set where a doubled backslash is a
        line break or a command that was escaped twice.
    """
    from math_verify import verify
    from math_verify.utils import timeout
    from sympy.core.function import AppliedUndef

    limited = timeout(timeout_seconds=SECONDS_PER_STEP)
    expected, found = _read(reference), _read(given)
    if expected is None or found is None:
        return None
    if "%" not in given + reference and limited(_different_fractions)(found, expected):
        return "different"
    options = {"float_rounding": places or 6, "timeout_seconds": SECONDS_PER_STEP, "raise_on_error": True}
    escaped = r"\\" in given + reference
    if verify(expected, found, allow_set_relation_comp=True, **options):
        return "close" if escaped and not verify(expected, found, **options) else "equal"
    if found.has(AppliedUndef) != expected.has(AppliedUndef):
        return "close"
    symbols = found.free_symbols, expected.free_symbols
    one_argument = found.has(AppliedUndef) and len(symbols[0]) == len(symbols[1]) == 1
    if one_argument and verify(expected, found.subs(dict(zip(*symbols, strict=True))), **options):
        return "close"
    comparison: Comparison = limited(_compare_values)(found, expected)
    return comparison


def _different_fractions(found: Any, expected: Any) -> bool:
    """Whether both are exact numbers and differ; math-verify compares 15 digits, and `2^{2024}` with one less."""
    from sympy import Expr

    if not (isinstance(found, Expr) and isinstance(expected, Expr)):
        return False
    left, right = found.doit(), expected.doit()
    return bool(left.is_Rational and right.is_Rational and left != right)


def _solutions(expression: Any) -> set[Any]:
    """The sets that inequalities of one variable may mean: of "x > 2, x < 5" the union and the intersection."""
    from sympy import And, FiniteSet, Or, Set
    from sympy.core.relational import Relational
    from sympy.logic.boolalg import Boolean

    several = isinstance(expression, FiniteSet) and all(isinstance(part, Relational) for part in expression.args)
    if isinstance(expression, Set) and not (several and expression.args):
        return {expression}
    found = set()
    with contextlib.suppress(Exception):  # a relation that is not solved
        for relation in (Or(*expression.args), And(*expression.args)) if several else (expression,):
            if isinstance(relation, Boolean):
                found.add(relation.as_set())
    return found


def _read(formula: str) -> Any:
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Without `units`: math-verify would read `2ab` and `3m` as 2 and 3. Units are compared before.
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    expressions = parse(
        f"${formula}$",
        extraction_config=[LatexExtractionConfig(boxed_match_priority=0, normalization_config=normal)],
        fallback_mode="no_fallback",
        parsing_timeout=SECONDS_PER_STEP,
        raise_on_error=True,
    )
    return expressions[0] if expressions else None


def _compare_values(found: Any, expected: Any) -> Comparison:
    from sympy import Abs, Expr, Float, I, Rational, log

    if len(found.free_symbols | expected.free_symbols) <= 1 and _solutions(found) & _solutions(expected):
        return "equal"
    if not (isinstance(found, Expr) and isinstance(expected, Expr)):
        return "different"
    imaginary = {symbol: I for symbol in found.free_symbols | expected.free_symbols if str(symbol) == "i"}
    found, expected = found.subs(imaginary), expected.subs(imaginary)
    symbols = found.free_symbols | expected.free_symbols
    differences = []
    points = 1 if not symbols else 2 if found.has(log) or expected.has(log) else 3
    for point in _POINTS[:points]:
        values = {symbol: Rational(point) + index for index, symbol in enumerate(sorted(symbols, key=str))}
        with contextlib.suppress(TypeError, ValueError, OverflowError, ZeroDivisionError):
            left, right = (side.doit().subs(values) for side in (found, expected))
            size = max(Abs(side).evalf() for side in (left, right)) or 1
            differences.append(float(Abs((left - right).evalf(_DIGITS, chop=True)) / size))
    largest = max(differences, default=float("inf"))
    if largest <= _SAME:
        return "close" if symbols else "equal"
    return "close" if largest <= _CLOSE and (found.has(Float) or expected.has(Float)) else "different"


def limit_processor_time(seconds: int) -> None:
    """Let the system end this process after so many more seconds of processor time, even in a call into C."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def serve() -> None:
    """Answer one line per line of standard input, until it ends."""
    with contextlib.suppress(OSError, ValueError):  # some systems do not know this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from math_verify.errors import TimeoutException

    compare("x + x", "2x", None)  # loads what is loaded on first use
    _write("ready")
    for line in sys.stdin:
        limit_processor_time(SECONDS_PER_PAIR + 1)  # for a worker whose parent was killed
        try:
            _write(compare(*json.loads(line)))
        except (Exception, TimeoutException):  # whatever a formula provokes
            _write(None)


def _write(answer: str | None) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
