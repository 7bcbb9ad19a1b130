"""Stable hashes and reproducible draws: the same on every machine and in every Python version."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def stable_hash(*parts: Any) -> str:
    """32 hex digits of SHA-256 over the parts' canonical JSON. Parts are plain JSON values, order matters."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def draw(*parts: Any) -> float:
    """A number in [0, 1) that depends on the parts alone: a reproducible random number."""
    return int(stable_hash("draw", *parts)[:13], 16) / 16**13


def draw_index(shares: Sequence[float], *parts: Any) -> int:
    """The index of the share that the draw falls into. `shares` need not add up to one."""
    point = draw(*parts) * sum(shares)
    for index, share in enumerate(shares):
        point -= share
        if point < 0:
            return index
    return len(shares) - 1


def draw_one(items: Sequence[Item], *parts: Any) -> Item:
    """One of `items`, each equally likely. Raises IndexError if there is none."""
    return items[int(draw(*parts) * len(items))]
