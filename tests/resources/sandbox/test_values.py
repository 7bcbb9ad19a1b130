"""Values that cross between the processes: exact built-in types, whatever the sender had."""

import enum
import json
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.sandbox.inside.values import MUTABLE, decode, encode

Pair = namedtuple("Pair", "first second")
Colour = enum.IntEnum("Colour", "RED BLUE")


PLAIN_MODULES = {"builtins", "collections", "decimal", "datetime", "numpy"}


class EqualToAll(dict[str, int]):
    """A dict that claims to be equal to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def sent(value: object) -> Any:
    """The value as the other process gets it."""
    form, _ = encode(value, lambda one: ["remote", repr(one)])
    return decode(json.loads(json.dumps(form)), lambda node: node)[-1]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.recursive(scalars, lambda parts: st.tuples(parts, parts) | st.frozensets(parts), max_leaves=5)
values = st.recursive(
    keys, lambda parts: st.lists(parts) | st.dictionaries(keys, parts) | st.sets(keys) | st.tuples(parts, parts)
)


@given(values)
def test_plain_values_arrive_as_they_are(value: object) -> None:
    assert repr(sent(value)) == repr(value) or sent(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *(10**5000, -1, 1.5, float("inf"), 1j, "\ud800", bytearray(b"a"), range(3), int, deque([1]), Counter("aab")),
        *(OrderedDict(a=1), Decimal("1.50"), Fraction(1, 3), date(2020, 1, 2), datetime(2020, 1, 2, 3), timedelta(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_arrive_as_they_are(value: object) -> None:
    assert type(sent(value)) is type(value)
    assert sent(value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (EqualToAll(a=1), {"a": 1}),
        (Pair(1, 2), (1, 2)),
        (Colour.BLUE, 2),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (numpy.float64(2.5), 2.5),
        (numpy.int64(3), 3),
        (numpy.bool_(True), True),
    ],
    ids=["own comparison", "named tuple", "enum", "defaultdict", "float64", "int64", "bool_"],
)
def test_objects_of_a_subclass_arrive_as_their_built_in_base(value: object, plain: object) -> None:
    assert type(sent(value)) is type(plain)
    assert plain == sent(value)


def test_an_array_arrives_as_an_array() -> None:
    array = numpy.array([[1.0, 2.5]])
    assert sent(array).dtype == array.dtype
    assert (sent(array) == array).all()


def test_a_value_of_any_depth_and_with_cycles_arrives() -> None:
    deep: Any = ()
    for _ in range(20_000):
        deep = (deep,)
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    arrived = sent([deep, cyclic, cyclic])
    assert arrived[1] is arrived[2] is arrived[1][0]


def test_containers_can_be_filled_in_place() -> None:
    given, form = [1, {2}], encode([3, {4}], lambda one: [])[0]
    decode(form, lambda node: node, {0: given})
    assert given == [3, {4}]


children = scalars.filter(lambda value: not isinstance(value, bytes)) | st.lists(st.integers(-1, 4), max_size=2)
names = st.sampled_from(
    [*MUTABLE, "tuple", "frozenset", "int", "bytes", "complex", "array", "builtin", "datetime.date", "decimal.Decimal"]
)
contents = children | st.lists(children, max_size=4) | st.sampled_from(["ff", "<f8", "eval", "type", "list"])
nodes = st.lists(st.tuples(names, contents, contents).map(list) | st.tuples(names, contents).map(list), max_size=5)


@given(children, nodes)
def test_whatever_is_sent_only_plain_values_arrive(root: Any, nodes: list[Any]) -> None:
    try:
        decoded = decode(json.loads(json.dumps([root, nodes])), lambda node: None)
    except Exception:
        return
    assert {type(value).__module__ for value in decoded} <= PLAIN_MODULES
    assert all(isinstance(value, type) for value in decoded if callable(value))


@pytest.mark.parametrize(
    "form",
    [
        *([], [0], [[0], []], [[5], [["list", []]]], [{}, []], [[0], [["tuple", [[0]]]]], [[0], [["list", [{}]]]]),
        *([[0], [["builtin", "eval"]]], [[0], [["os.system", ["ls"]]]], [[0], [["dict", [1]]]], [[0], [["int", "z"]]]),
        *([[0], [["array", "O", [1], [1]]]], [[0], [["set", [[1]]], ["list", []]]], None, 7),
    ],
    ids=json.dumps,
)
def test_what_is_no_value_is_refused(form: Any) -> None:
    def refuse(node: Any) -> None:
        raise ValueError(node)

    with pytest.raises((ValueError, TypeError, LookupError)):
        decode(form, refuse)
