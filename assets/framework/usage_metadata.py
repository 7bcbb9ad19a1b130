"""What the UI shows of a partition's calls of models, and what its footer keeps of them."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from assets.framework.ui_metadata import COLOURS, counts_markdown, new_figure, picture, table_markdown
from resources.chat.calls import Usage

PLOTTED_CALLS = 20  # fewer are not worth a picture
BINS = 30
SUMMED = ("calls", "replayed", "prompt_tokens", "completion_tokens", "cost", "wait_seconds")


def usage_facts(usage: Usage) -> dict[str, float]:
    """What a partition's footer keeps of its calls."""
    return {name: getattr(usage, name) for name in SUMMED}


def total_usage(usages: Iterable[Usage]) -> Usage:
    """The usage of several scopes as one."""
    total = Usage()
    for usage in usages:
        for field in fields(Usage):
            setattr(total, field.name, getattr(total, field.name) + getattr(usage, field.name))
    return total


def calls_metadata(usage: Usage | None, *, plotted: bool = False) -> dict[str, Any]:
    """Whether this run made the partition, and what its calls cost.

    Args:
        usage: of this run; None where the partition was current and no model was called.
        plotted: whether to draw the calls over time, which takes 0.15 s of CPU.
    """
    if usage is None:
        return {"made": "earlier: already there"}
    counts = {
        "paid for now": usage.calls,
        "from the journal": usage.replayed,
        "retried": usage.retries,
        "refused for a time": usage.throttled,
        "wasted": usage.wasted,
    }
    latencies = [{"calls": f"{share:.0%}", "at most": usage.percentile(share)} for share in (0.5, 0.9, 0.99)]
    shown: dict[str, Any] = {
        "made": "now",
        "cost in US dollars": MetadataValue.float(float(usage.cost)),
        "calls": counts_markdown("what", "calls", counts),
        "seconds per call": table_markdown(latencies),
    }
    return shown | ({"calls over time": _plot(usage)} if plotted and usage.calls >= PLOTTED_CALLS else {})


def _plot(usage: Usage) -> MarkdownMetadataValue:
    """How long calls took, and how many were answered per second from the first to the last."""
    figure = new_figure(7.2, 2.6)
    latencies, throughput = figure.subplots(1, 2)
    latencies.hist(usage.latencies, bins=BINS, color=COLOURS[0])
    latencies.set_xlabel("seconds per call")
    latencies.set_ylabel("calls")
    begin, end = min(usage.moments), max(usage.moments)
    per_second = usage.calls / len(usage.moments) * BINS / max(end - begin, 1e-3)  # of each sampled call in a bin
    moments = [moment - begin for moment in usage.moments]
    weights = [per_second] * len(moments)
    throughput.hist(moments, bins=BINS, weights=weights, histtype="step", color=COLOURS[3], linewidth=1.5)
    throughput.set_xlabel("seconds since the first answer")
    throughput.set_ylabel("calls per second")
    return picture(figure, "Latency of the calls, and calls per second over time")
