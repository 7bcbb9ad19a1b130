"""Values with their 95 % intervals."""

import math
from dataclasses import dataclass

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its 95 % interval, and how these were found."""

    value: float
    low: float
    high: float
    by: str
    few_sources: int = 0  # sources that questions share, where they are too few and questions count as independent


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % by default.

    Args:
        successes: how many succeeded; means over several samples of an item may be fractions.
        n: how many were tried.
        z: the normal quantile.

    Returns:
        Lower and upper end; (0, 1) without any trial.
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    below = 1 + z * z / n
    # the share itself where rounding would put an end on its other side
    return max(0.0, min(share, (centre - spread) / below)), min(1.0, max(share, (centre + spread) / below))
