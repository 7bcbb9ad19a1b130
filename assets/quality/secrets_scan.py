"""Keys, tokens and passwords in generated text, by detect-secrets' patterns. In memory; nothing is verified online."""

import math
from collections import Counter
from functools import cache

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedPlugin

# Left out: addresses are no secrets, and entropy and keyword patterns fire on every hash and every
# `password = "secret"` of a programming answer. `_looks_random` brings the keywords' real finds back.
_LEFT_OUT = {"IPPublicDetector", "KeywordDetector"}
_KEYWORDS = "KeywordDetector"
RANDOM_BITS = 3.5  # a character; words and placeholders lie below
RANDOM_LENGTH = 16


def count_secrets(text: str) -> int:
    """How many different secrets `text` holds.

    Args:
        text: any text; lines are looked at one by one.
    """
    structured, keywords = _plugins()
    found: set[str] = set()
    for line in text.splitlines():
        for plugin in structured:
            found.update(plugin.analyze_string(line))
        found.update(value for plugin in keywords for value in plugin.analyze_string(line) if _looks_random(value))
    return len(found)


def _looks_random(value: str) -> bool:
    if len(value) < RANDOM_LENGTH or " " in value or not any(character.isdigit() for character in value):
        return False
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) >= RANDOM_BITS


@cache
def _plugins() -> tuple[list[RegexBasedPlugin], list[RegexBasedPlugin]]:
    classes = get_mapping_from_secret_type_to_class().values()
    regex = [kind for kind in classes if issubclass(kind, RegexBasedPlugin)]
    structured = [kind() for kind in regex if kind.__name__ not in _LEFT_OUT]
    return structured, [kind() for kind in classes if kind.__name__ == _KEYWORDS]
