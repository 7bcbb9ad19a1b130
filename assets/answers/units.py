"""Units of measurement: which words are units, what they measure, and how large they are.

Only units of this table are converted into one another. Two known units of different kinds are never equal; other words
behind a number ("apples") are nouns, which say nothing of its size.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

Dimension = frozenset[tuple[str, int]]  # base dimension and its power: km/h is {("length", 1), ("time", -1)}

# dimension: names of one unit, separated by spaces, and its size in the dimension's base unit
_TABLE: dict[str, dict[str, str]] = {
    "length": {
        "m meter metre": "1",
        "km kilometer kilometre": "1000",
        "cm centimeter centimetre": "1/100",
        "mm millimeter millimetre": "1/1000",
        "µm micrometer micrometre micron": "1/1000000",
        "nm nanometer nanometre": "1/1000000000",
        "foot feet ft": "381/1250",
        "inch inche in": "127/5000",
        "yard yd": "1143/1250",
        "mile mi": "201168/125",
    },
    "mass": {
        "g gram gramme": "1",
        "kg kilogram kilo": "1000",
        "mg milligram": "1/1000",
        "ton tonne": "1000000",
        "pound lb": "45359237/100000",
        "ounce oz": "45359237/1600000",
    },
    "time": {
        "second sec s": "1",
        "millisecond ms": "1/1000",
        "minute min": "60",
        "hour hr h": "3600",
        "day": "86400",
        "week": "604800",
    },
    "month": {"month": "1", "year yr": "12", "decade": "120", "century": "1200"},
    "dollar": {"dollar usd $ buck": "1", "cent ¢": "1/100"},
    "euro": {"euro eur €": "1"},
    "pound sterling": {"£ gbp": "1"},
    "yen": {"yen jpy ¥": "1"},
    "rupee": {"rupee inr ₹ rs": "1"},
    "angle": {"° degree deg": "1"},
    "radian": {"radian rad": "1"},
    "celsius": {"°c celsius": "1"},
    "fahrenheit": {"°f fahrenheit": "1"},
    "kelvin": {"kelvin": "1"},
    "revolutions": {"rpm": "1"},
    "%": {"% percent pct percentage": "1"},
    "energy": {"joule": "1", "kj kilojoule": "1000", "kwh": "3600000", "calorie cal": "1046/250", "kcal": "4184"},
    "power": {"watt": "1", "kw kilowatt": "1000"},
    "voltage": {"volt": "1"},
    "current": {"ampere amp": "1"},
    "resistance": {"ohm": "1"},
    "frequency": {"hertz hz": "1", "khz": "1000", "mhz": "1000000", "ghz": "1000000000"},
    "force": {"newton": "1"},
    "pressure": {"pascal pa": "1", "kpa": "1000", "atm": "101325"},
    "amount": {"mole mol": "1"},
    "data": {"bit": "1", "byte": "8", "kb kilobyte": "8000", "mb megabyte": "8000000", "gb gigabyte": "8000000000"},
}
# in square and in cubic metres, so that litres and cubic centimetres are converted into one another
_AREAS = {"hectare ha": "10000", "acre": "316160658/78125"}
_VOLUMES = {
    "l liter litre": "1/1000",
    "cl centiliter centilitre": "1/100000",
    "ml milliliter millilitre": "1/1000000",
    "gallon gal": "473176473/125000000000",
    "quart qt": "473176473/500000000000",
    "pint pt": "473176473/1000000000000",
    "cup": "473176473/2000000000000",
    "tablespoon tbsp": "473176473/32000000000000",
    "teaspoon tsp": "157725491/32000000000000",
}
_COMPOUND = {"mph": "mile/hour", "kph": "km/hour", "kmh": "km/hour", "fps": "foot/second", "mpg": "mile/gallon"}
_SYMBOLS = {
    "N": "newton",
    "J": "joule",
    "W": "watt",
    "V": "volt",
    "A": "ampere",
    "K": "kelvin",
    "Ω": "ohm",
    "L": "liter",
}
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "cu.": 3, "squared": 2, "cubed": 3}
_LONGEST = 60  # characters of a unit
_TOKEN = re.compile(r"/|\*|·|\^|\bper\b|°[cf]?\b|°|[%$€£¥₹¢]|µ?[^\W\d_]+\.?|-?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit measures, and its size in base units."""

    dimension: Dimension
    size: Fraction


def _units() -> dict[str, Unit]:
    units = {
        name: Unit(frozenset({(dimension, 1)}), Fraction(size))
        for dimension, sizes in _TABLE.items()
        for names, size in sizes.items()
        for name in names.split()
    }
    for power, table in ((2, _AREAS), (3, _VOLUMES)):
        for names, size in table.items():
            units |= {name: Unit(frozenset({("length", power)}), Fraction(size)) for name in names.split()}
    return units


_UNITS = _units()
_ONE = Unit(frozenset(), Fraction(1))
PERCENT: Dimension = frozenset({("%", 1)})


def read_unit(text: str) -> tuple[Unit | None, str]:
    """The unit that a text begins with, and the words behind it: `km/h on average` -> (km/h, "on average").

    Understands `m/s`, `miles per hour`, `mph`, `square feet`, `sq ft`, `cm²`, `ft^2`, `meters squared`. The unit is
    None where the text begins with no known one.
    """
    text = text.replace("²", "^2").replace("³", "^3").replace("**", "^").strip(" -\t")
    tokens = [(_lower(match[0]), match.end()) for match in _TOKEN.finditer(text[:_LONGEST])]
    found, end, position, sign = _ONE, 0, 0, 1
    while position < len(tokens):
        factor, after = _factor(tokens, position)
        if factor is None:
            break
        found = _times(found, factor, sign)
        if tokens[after - 1][0] == "in" and after < len(tokens):
            break  # "5 in total" is no length
        position, end = after, tokens[after - 1][1]
        if position < len(tokens) and tokens[position][0] in ("/", "per", "*", "·"):
            sign = -1 if tokens[position][0] in ("/", "per") else sign
            position += 1
        else:
            break
    return (found if end else None), text[end:].strip(" \t.,()")


def _factor(tokens: list[tuple[str, int]], position: int) -> tuple[Unit | None, int]:
    """One unit with its power, from a position on, and the position behind it."""
    power, word = 1, tokens[position][0]
    if word in _POWERS and word not in ("squared", "cubed") and position + 1 < len(tokens):
        power, position = _POWERS[word], position + 1
        word = tokens[position][0]
    unit = _named(word)
    if unit is None:
        return None, position
    position += 1
    if position < len(tokens) and tokens[position][0] in ("squared", "cubed"):
        power, position = _POWERS[tokens[position][0]], position + 1
    elif position + 1 < len(tokens) and tokens[position][0] == "^" and tokens[position + 1][0] in ("2", "3"):
        power, position = int(tokens[position + 1][0]), position + 2
    return _times(_ONE, unit, power), position


def _lower(word: str) -> str:
    """A word in lower case; of single letters, only symbols of units are names: `N` is newton, `M` nothing."""
    if len(word) == 1 and word.isupper():
        return _SYMBOLS.get(word, word)
    return word.casefold()


def _named(word: str) -> Unit | None:
    word = word.removesuffix(".")
    if word in _COMPOUND:
        return read_unit(_COMPOUND[word])[0]
    for name in (word, word.removesuffix("s")):
        if name in _UNITS:
            return _UNITS[name]
    return None


def _times(left: Unit, right: Unit, power: int) -> Unit:
    powers = dict(left.dimension)
    for dimension, exponent in right.dimension:
        powers[dimension] = powers.get(dimension, 0) + exponent * power
    return Unit(
        frozenset((name, exponent) for name, exponent in powers.items() if exponent), left.size * right.size**power
    )
