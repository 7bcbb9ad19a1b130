"""What a comparison says of an answer."""

from typing import Literal

Verdict = Literal["right", "wrong", "unknown"]


def verdict(equal: bool) -> Verdict:
    """`right` or `wrong`."""
    return "right" if equal else "wrong"
