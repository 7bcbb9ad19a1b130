"""What the report's numbers say, in sentences, and whether a run is large enough for them to say anything."""

from collections.abc import Sequence

from assets.report.formatting import Numbers, Row, added_title, between, find, points, seeds_between, title, whole
from assets.report.published import Published
from assets.report.scored_answers import OURS

FEWEST_ROWS = 1000  # conversations to train on; a twentieth of the paper's
LEVEL = 0.05


def too_small(numbers: Numbers, published: Published) -> list[str]:
    """Reasons why a run says nothing about the method; none where it is large enough."""
    reasons = []
    release = numbers["release"]
    trained = [row["rows"] for row in numbers["partitions"] if row["variant"] == OURS and row["rows"] is not None]
    fewest = min(trained, default=release["rows"].get("train", 0) if release else 0)
    if fewest < FEWEST_ROWS:
        reasons.append(f"BOOST-QA has {fewest:,} conversations to train on, the paper's {published.seeds:,}")
    ours = [row for row in numbers["by_variant"] if row["variant"] == OURS]
    if ours and all(_is_too_wide(row, published.smallest_gain) for row in ours):
        known = min(_half_width(row) for row in ours)
        reasons.append(
            f"the difference is known to within {100 * known:.1f} points at best, and the paper's smallest average "
            f"gain is {100 * published.smallest_gain:.1f}"
        )
    return reasons


def _half_width(row: Row) -> float:
    return float(row["high"] - row["low"]) / 2


def _is_too_wide(row: Row, gain: float) -> bool:
    """Whether an interval holds zero, and is so wide that it would also hold zero with a gain of that size."""
    return bool(row["low"] <= 0 <= row["high"] and _half_width(row) > gain)


def findings(numbers: Numbers, small: Sequence[str]) -> list[str]:
    """What the comparisons say, one sentence per base model, and which scenarios helped, where ablations were scored.

    Args:
        numbers: of the report.
        small: why the run says nothing about the method; then nothing is concluded.
    """
    sentences = []
    for base in numbers["bases"]:
        row = find(numbers["by_variant"], base=base, variant=OURS)
        if row is None:
            sentences.append(f"{base}: BOOST-QA and the original answers cannot be compared yet; see what is missing.")
            continue
        over = "on one benchmark" if row["benchmarks"] == 1 else f"on average over {row['benchmarks']} benchmarks"
        measured = (
            f"{points(row['difference'])} points ({between(row, points)}) {over}, {whole(row['items'])} questions"
        )
        measured += f", mean over {seeds}" if (seeds := seeds_between(row, points)) else ""
        conclusion = "At this size that says nothing." if small else _conclusion(row, numbers["paper"]["smallest_gain"])
        sentences.append(f"{base}: BOOST-QA against the original answers: {measured}. {conclusion}")
        if not small:
            sentences.append(f"{base}: {_scenarios(numbers, base)}")
    return sentences


def _conclusion(row: Row, gain: float) -> str:
    significant = row["p_holm"] < LEVEL
    if row["low"] > 0:
        return "It helped." if significant else "It seems to have helped, but not significantly after correction."
    if row["high"] < 0:
        return "It did harm." if significant else "It seems to have done harm, but not significantly after correction."
    if _is_too_wide(row, gain):
        return f"No detectable difference; a gain as small as the paper's smallest ({points(gain)}) is not detectable."
    return "No detectable difference."


def _scenarios(numbers: Numbers, base: str) -> str:
    rows = [row for row in numbers["scenarios"] if row["base"] == base]
    if not rows:
        return "which scenario helped is not known, for no ablation was scored."
    helped = "; ".join(
        f"{added_title(numbers, row)} added to {title(numbers, row['against'])} ({between(row, points)} points)"
        for row in rows
        if row["low"] > 0 and row["p_holm"] < LEVEL
    )
    return f"these helped: {helped}." if helped else "no scenario helped detectably beside the others."
