"""Statistics of scores, from counts alone."""

import math

Z95 = 1.959963984540054


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


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Unbiased estimate of pass@k for one problem (Chen et al. 2021, equation 1): that one of k answers is right."""
    if samples - right < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / number for number in range(samples - right + 1, samples + 1))
