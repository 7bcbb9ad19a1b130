"""Whether two quantities are equal: units are converted, percentages and rounded decimals are understood."""

from collections.abc import Sequence
from fractions import Fraction

from assets.answers.quantities import Quantity
from assets.answers.texts import opposite
from assets.answers.units import PERCENT, Dimension
from assets.answers.verdict import Verdict, verdict

_CLOSE = Fraction(1, 100)
_DATA: Dimension = frozenset({("data", 1)})
_ANGLES: Dimension = frozenset({("angle", 1), ("radian", 1)})
_KELVIN = {  # temperature: what is added to it, and the size of one degree in kelvin
    frozenset({("kelvin", 1)}): (Fraction(0), Fraction(1)),
    frozenset({("celsius", 1)}): (Fraction("273.15"), Fraction(1)),
    frozenset({("fahrenheit", 1)}): (Fraction("459.67"), Fraction(5, 9)),
}
# Dimensions that a rule cannot convert, or whose names are shared: equal numbers are right, others unknown.
_SHARED_NAMES = frozenset(
    frozenset(pair.split("/"))
    for pair in (
        "mass/pound sterling",
        "dollar/euro cent",
        "month/time",
        "celsius/angle",
        "fahrenheit/angle",
    )
)


def compare_quantities(given: Quantity, expected: Quantity) -> Verdict:
    """Whether two quantities are equal; see `compare_final`."""
    left, right = given.number, expected.number
    if opposite(given.noun, expected.noun):
        return "wrong"
    if _differently_named(given, expected):
        return "unknown" if left == right else "wrong"
    if given.unit and expected.unit and given.unit != expected.unit:
        if given.unit.dimension == expected.unit.dimension:
            left, right = left * given.unit.size, right * expected.unit.size
            if (
                given.unit.dimension == _DATA
                and left != right
                and max(left, right) < min(left, right) * Fraction(11, 10)
            ):
                return "unknown"  # a kilobyte has 1000 or 1024 bytes
            return _compare_numbers(left, None, right, None)
        if given.unit.dimension in _KELVIN and expected.unit.dimension in _KELVIN:
            kelvin = [
                (side.number + _KELVIN[unit][0]) * _KELVIN[unit][1]
                for side, unit in ((given, given.unit.dimension), (expected, expected.unit.dimension))
            ]
            return verdict(kelvin[0] == kelvin[1])
        if given.unit.dimension | expected.unit.dimension == _ANGLES:
            return "wrong" if left == right else "unknown"
        if _names_shared(given.unit.dimension, expected.unit.dimension):
            return "right" if left == right else "unknown"
        return "wrong"
    direct = _compare_numbers(left, given.decimals, right, expected.decimals)
    percent, plain = (given, expected) if given.unit else (expected, given)
    if plain.unit or percent.unit is None or percent.unit.dimension != PERCENT:
        return direct
    hundredth = _compare_numbers(percent.number, percent.decimals, plain.number * 100, None)
    return max((direct, hundredth), key=("wrong", "unknown", "right").index)


def _differently_named(given: Quantity, expected: Quantity) -> bool:
    """Whether the words behind the two numbers have none in common, or the words of one stand beside a unit."""
    if given.unit or expected.unit:
        return bool((given.unit is None and given.noun) or (expected.unit is None and expected.noun))
    left, right = ({word.removesuffix("s") for word in side.noun.split()} for side in (given, expected))
    return bool(left and right) and left.isdisjoint(right)


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
