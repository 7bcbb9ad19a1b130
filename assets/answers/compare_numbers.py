"""Whether two quantities are equal: units are converted, percentages and rounded decimals are understood."""

from collections.abc import Sequence
from fractions import Fraction

from assets.answers.quantities import Quantity
from assets.answers.texts import opposite
from assets.answers.units import PERCENT, Dimension
from assets.answers.verdict import Verdict

_CLOSE = Fraction(1, 100)
# Dimensions that a rule cannot convert, or whose names are shared: equal numbers are right, others unknown.
_SHARED_NAMES = frozenset(
    frozenset(pair.split("/"))
    for pair in (
        "mass/pound sterling",
        "dollar/euro cent",
        "month/time",
        "angle/radian",
        "celsius/angle",
        "fahrenheit/angle",
        "celsius/kelvin",
        "celsius/fahrenheit",
    )
)


def compare_quantities(given: Quantity, expected: Quantity) -> Verdict:
    """Whether two quantities are equal; see `compare_final`."""
    left, right = given.number, expected.number
    if opposite(given.noun, expected.noun):
        return "wrong"
    if given.unit and expected.unit and given.unit != expected.unit:
        if given.unit.dimension == expected.unit.dimension:
            return _compare_numbers(left * given.unit.size, None, right * expected.unit.size, None)
        if _names_shared(given.unit.dimension, expected.unit.dimension):
            return "right" if left == right else "unknown"
        return "wrong"
    if (given.unit is None) != (expected.unit is None):
        percent = next(side for side in (given, expected) if side.unit)
        if percent.unit and percent.unit.dimension == PERCENT:
            hundredth = (left / 100, right) if given.unit else (left, right / 100)
            if hundredth[0] == hundredth[1]:
                return "right"
    return _compare_numbers(left, given.decimals, right, expected.decimals)


def _compare_numbers(left: Fraction, left_decimals: int | None, right: Fraction, right_decimals: int | None) -> Verdict:
    if left == right:
        return "right"
    if abs(left - right) > _CLOSE * max(abs(left), abs(right)):
        return "wrong"
    written = [decimals for decimals in (left_decimals, right_decimals) if decimals is not None]
    if len(written) == 2 and written[0] == written[1]:
        return "wrong" if written[0] == 0 else "unknown"
    if not written:
        return "wrong" if left.denominator == right.denominator == 1 else "unknown"
    decimals = min(written)
    if abs(left - right) > Fraction(1, 2 * 10**decimals):
        return "wrong" if decimals == 0 else "unknown"
    if decimals >= 2 or (len(written) == 1 and decimals) or (decimals and _rounded_from_one(left, right, written)):
        return "right"
    return "unknown"


def _rounded_from_one(left: Fraction, right: Fraction, decimals: Sequence[int]) -> bool:
    """Whether one fraction with a small denominator rounds to both: 66.7 and 66.67 are 200/3."""
    return any(
        all(
            abs(exact - side) <= Fraction(1, 2 * 10**places)
            for side, places in zip((left, right), decimals, strict=True)
        )
        for exact in (left.limit_denominator(12), right.limit_denominator(12))
    )


def _names_shared(left: Dimension, right: Dimension) -> bool:
    return frozenset(name for name, _ in left ^ right) in _SHARED_NAMES
