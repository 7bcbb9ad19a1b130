"""Keys, tokens and passwords in generated text, by detect-secrets' patterns. In memory; nothing is verified online."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

RANDOM_BITS = 3.0  # entropy per character; words and placeholders lie below
RANDOM_LENGTH = 12
SHORTEST = 8  # characters of a line; no secret is shorter
PIECE, OVERLAP = 1000, 200  # some patterns take time with the square of a line's length


def count_secrets(text: str) -> int:
    """How many different secrets `text` holds; lines are looked at one by one, long ones in pieces that overlap."""
    found: set[str] = set()
    for piece in _pieces(text):
        for plugin, needs_random in _plugins():
            # Not `analyze_line`: it asks the key's issuer over the network whether the key is good.
            found.update(value for value in plugin.analyze_string(piece) if not needs_random or _looks_random(value))
    return len(found)


def _pieces(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if len(line) >= SHORTEST:
            for start in range(0, max(1, len(line) - OVERLAP), PIECE - OVERLAP):
                yield line[start : start + PIECE]


def _looks_random(value: str) -> bool:
    if len(value) < RANDOM_LENGTH or " " in value or not any(character.isdigit() for character in value):
        return False
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= RANDOM_BITS


@cache
def _plugins() -> tuple[tuple["BasePlugin", bool], ...]:
    """Every pattern, and whether only random values of it count. They are many: loaded when the first text comes."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.basic_auth import BasicAuthDetector
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
    from detect_secrets.plugins.ip_public import IPPublicDetector
    from detect_secrets.plugins.keyword import KeywordDetector

    # Addresses are no secrets, and bare entropy fires on every hash of a programming answer.
    left_out = (HighEntropyStringsPlugin, IPPublicDetector)
    # `password = "secret"` and `user:password@host` are examples in most answers; only random values count.
    need_random_value = (KeywordDetector, BasicAuthDetector)
    classes: Iterable[type[BasePlugin]] = get_mapping_from_secret_type_to_class().values()
    return tuple((kind(), issubclass(kind, need_random_value)) for kind in classes if not issubclass(kind, left_out))
