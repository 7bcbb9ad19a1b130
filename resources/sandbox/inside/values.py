"""Plain values as flat JSON: what the tests and the code under test send each other.

A value is `[root, nodes]`. A child is a JSON scalar (None, bool, int, float, str) or `[position]` of a node; a node is
`[name, ...]`. No JSON is deeper than four levels whatever the value's depth, and one object that occurs twice is one
node. Objects of a subclass are sent as their built-in base, so decoded values have exactly the types that are listed
here: comparing them runs no method of the sender. Everything else is exported, see `connection.py`.
"""

import builtins
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Node = list[Any]
MUTABLE: Mapping[str, Callable[[], Any]] = {
    kind.__name__: kind for kind in (Counter, OrderedDict, dict, list, deque, set)
}
IMMUTABLE = {"tuple": tuple, "frozenset": frozenset}
_CONTAINERS: Mapping[str, Any] = {**MUTABLE, **IMMUTABLE}
# Sent as the arguments of their constructor.
CONSTRUCTED = {
    "builtins": ("range", "slice"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "datetime": ("date", "datetime", "time", "timedelta"),
}
LARGEST_INT = 10**300  # a larger one is sent as hexadecimal: Python limits the digits of decimal ones
_SCALARS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__),
    (float, float.__pos__),
    (str, str.__str__),
)
_DTYPE = re.compile(r"[<>|=][biufU][0-9]+")


def encode(value: object, export: Callable[[object], Node]) -> tuple[list[Any], list[Any]]:
    """The JSON form of a value, and the object of each node.

    Args:
        value: of any type and depth; it may contain itself.
        export: the node of an object that is not plain.
    """
    objects: list[Any] = []
    positions: dict[int, int] = {}

    def child(value: Any) -> Any:
        value = _scalar(value)
        kind = type(value)
        if value is None or kind in (bool, float, str) or (kind is int and -LARGEST_INT < value < LARGEST_INT):
            return value
        if id(value) not in positions:
            positions[id(value)] = len(objects)
            objects.append(value)
        return [positions[id(value)]]

    root = child(value)
    return [root, [_node(one, child) or export(one) for one in objects]], objects  # objects grows while it is read


def _scalar(value: Any) -> Any:
    """A value of a subclass of a scalar, or NumPy's scalar, as the built-in scalar; any other value as it is."""
    for kind, convert in _SCALARS:
        if isinstance(value, kind):
            return value if type(value) in (kind, bool) else convert(value)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _node(value: Any, child: Callable[[Any], Any]) -> Node | None:
    kind = type(value)
    for name, base in _CONTAINERS.items():
        if isinstance(value, base):
            if isinstance(value, dict):
                return [name, [child(part) for pair in dict.items(value) for part in pair]]
            return [name, [child(part) for part in base.__iter__(value)]]
    if kind is int:
        return ["int", hex(value)]
    if kind in (bytes, bytearray):
        return [kind.__name__, value.hex()]
    if kind is complex:
        return ["complex", value.real, value.imag]
    if kind.__name__ in CONSTRUCTED.get(kind.__module__, ()):
        return [f"{kind.__module__}.{kind.__name__}", [child(part) for part in value.__reduce__()[1]]]
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and _DTYPE.fullmatch(value.dtype.str):
        return ["array", value.dtype.str, value.shape, value.ravel().tolist()]
    if isinstance(value, type) and value.__module__ == "builtins" and hasattr(builtins, value.__name__):
        return ["builtin", value.__name__]
    return None


def decode(form: list[Any], imported: Callable[[Node], Any], reuse: Mapping[int, Any] | None = None) -> list[Any]:
    """The objects of all nodes, and last the value.

    Args:
        form: what `encode` returned; where it comes from untrusted code it may be anything.
        imported: the object of a node that is not plain.
        reuse: by position, containers that get the new contents.

    Raises:
        Exception: of any class, if the form is not one that `encode` returns.
    """
    root, nodes = form
    made: dict[int, Any] = {}
    for position, node in enumerate(nodes):
        if node[0] in MUTABLE:
            made[position] = _container(node[0], (reuse or {}).get(position))

    def value(child: Any) -> Any:
        if isinstance(child, dict):
            raise TypeError("a JSON object is not a value")
        return made[child[0]] if isinstance(child, list) else child

    for position in range(len(nodes)):
        _make(position, nodes, made, value, imported)
    for position, (name, *content) in enumerate(nodes):
        if name in MUTABLE:
            _fill(made[position], [value(child) for child in content[0]])
    return [*(made[position] for position in range(len(nodes))), value(root)]


def _container(name: str, reused: Any) -> Any:
    if reused is None:
        return MUTABLE[name]()
    if not isinstance(reused, MUTABLE[name]):  # type: ignore[arg-type]
        raise TypeError(f"a {type(reused).__name__} cannot become a {name}")
    reused.clear()
    return reused


def _fill(container: Any, parts: list[Any]) -> None:
    if isinstance(container, dict):
        for key, part in zip(parts[::2], parts[1::2], strict=True):
            container[key] = part  # not update(): a Counter adds
    elif isinstance(container, set):
        container.update(parts)
    else:
        container.extend(parts)


def _make(
    start: int,
    nodes: list[Node],
    made: dict[int, Any],
    value: Callable[[Any], Any],
    imported: Callable[[Node], Any],
) -> None:
    """Make the immutable object of a node after those that it contains, without recursion."""
    waiting, begun = [start], set()
    while waiting:
        position = waiting[-1]
        name, *content = nodes[position]
        parts = content[0] if name in IMMUTABLE or "." in name else []
        missing = [part[0] for part in parts if isinstance(part, list) and part[0] not in made]
        if position in made:
            waiting.pop()
        elif not missing:
            made[waiting.pop()] = _immutable(name, content, [value(part) for part in parts], imported)
        elif position in begun:
            raise ValueError("an immutable object cannot contain itself")
        else:
            begun.add(position)
            waiting += missing


def _immutable(name: str, content: list[Any], parts: list[Any], imported: Callable[[Node], Any]) -> Any:
    if name in IMMUTABLE:
        return IMMUTABLE[name](parts)
    if name == "int":
        return int(content[0], 16)
    if name in ("bytes", "bytearray"):
        return (bytes if name == "bytes" else bytearray).fromhex(content[0])
    if name == "complex":
        return complex(*content)
    if name == "array" and _DTYPE.fullmatch(content[0]):
        return import_module("numpy").array(content[2], dtype=content[0]).reshape(content[1])
    if name == "builtin" and isinstance(getattr(builtins, content[0]), type):
        return getattr(builtins, content[0])
    module, _, kind = name.partition(".")
    if kind in CONSTRUCTED.get(module, ()):
        return getattr(import_module(module), kind)(*parts)
    return imported([name, *content])
