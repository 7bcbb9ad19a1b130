"""What the UI shows of a partition's calls of models, and what its footer keeps of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from assets.framework.ui_metadata import COLOURS, counts_markdown, new_figure, picture, table_markdown
from resources.chat.calls import Usage
from resources.lake.tables import Lake, Table

PLOTTED_CALLS = 20  # fewer are not worth a picture
BINS = 30
PRICED = ("prompt_tokens", "completion_tokens", "cost")
REPLAYED, KEPT = "replayed_", "kept_"  # what earlier runs paid: from the journal, and for rows that stay as they are
TOKEN_PARTS = ("cached_tokens", "reasoning_tokens")
SUMMED = ("calls", "replayed", *PRICED, *TOKEN_PARTS, *(f"{REPLAYED}{name}" for name in PRICED), "wait_seconds")
DECIMALS = 12  # of dollars: sums of the same calls in another order are then the same number


def usage_facts(usage: Usage) -> dict[str, Any]:
    """What a partition's footer keeps of its calls."""
    return {name: _exact(getattr(usage, name)) for name in SUMMED}


def partition_usage(
    lake: Lake, table: Table, keys: Mapping[str, str], usage: Usage, kept_share: float
) -> dict[str, Any]:
    """What a partition's footer keeps of its calls, with those of earlier runs for rows that stay.

    Call it before the partition is written.

    Args:
        lake: where the partition is written.
        table: its table.
        keys: its keys.
        usage: of this run.
        kept_share: the share of the rows that are there now for which nothing is asked again.
    """
    facts = usage_facts(usage)
    try:
        before = lake.facts(table, keys).get("usage", {})
    except FileNotFoundError:
        return facts | {"replayed_of": "a run that ended before it wrote the partition"}
    kept = {f"{KEPT}{name}": _exact(kept_share * paid(before, name)) for name in PRICED}
    return facts | kept | {"replayed_of": "an earlier run"}


def paid(usage: Mapping[str, Any], name: str) -> float:
    """What a partition's answers took, whichever run paid. `name` is prompt_tokens, completion_tokens or cost."""
    return math.fsum(usage.get(f"{prefix}{name}", 0) for prefix in ("", REPLAYED, KEPT))


def payers(usage: Mapping[str, Any]) -> dict[str, float]:
    """The dollars of `paid`, by the run that paid them."""
    found = {"the run that wrote the partition": usage.get("cost", 0.0)}
    found[usage.get("replayed_of", "an earlier run")] = usage.get(f"{REPLAYED}cost", 0.0)
    found["an earlier run"] = found.get("an earlier run", 0.0) + usage.get(f"{KEPT}cost", 0.0)
    return {name: dollars for name, dollars in found.items() if dollars}


def _exact(number: float) -> float:
    return round(number, DECIMALS) if isinstance(number, float) else number


def total_usage(usages: Iterable[Usage]) -> Usage:
    """The usage of several scopes as one."""
    total = Usage()
    for usage in usages:
        for field in fields(Usage):
            setattr(total, field.name, getattr(total, field.name) + getattr(usage, field.name))
    return total


def calls_metadata(
    lake: Lake, table: Table, keys: Mapping[str, str], usage: Usage | None, *, plotted: bool = False
) -> dict[str, Any]:
    """Whether this run made the partition, and what its calls cost.

    Args:
        lake: where the partition is written.
        table: its table.
        keys: its keys.
        usage: of this run; None where the partition was current and no model was called. Then the cost is what its
            answers cost earlier, so that the plots of the UI do not fall to nothing.
        plotted: whether to draw the calls over time, which takes 0.15 s of CPU.
    """
    if usage is None:
        earlier = lake.facts(table, keys).get("usage", {})
        scopes = [earlier, *(scope for scope in earlier.values() if isinstance(scope, Mapping))]  # by benchmark, say
        cost = math.fsum(paid(scope, "cost") for scope in scopes)
        return {"made": "earlier: already there", "cost in US dollars": cost}
    counts = {
        "paid for now": usage.calls,
        "from the journal": usage.replayed,
        **({"of these, in batches": usage.batched} if usage.batched else {}),
        "retried": usage.retries,
        "refused for a time": usage.throttled,
        "wasted": usage.wasted,
    }
    latencies = [{"calls": f"{share:.0%}", "at most": usage.percentile(share)} for share in (0.5, 0.9, 0.99)]
    shown: dict[str, Any] = {
        "made": "now",
        "cost in US dollars": MetadataValue.float(float(usage.cost)),
        **({"paid before in US dollars": float(usage.replayed_cost)} if usage.replayed_cost else {}),
        **({"prompt tokens from the provider's cache": hit_rate(usage)} if usage.cached_tokens else {}),
        **({"reasoning tokens": usage.reasoning_tokens} if usage.reasoning_tokens else {}),
        "calls": counts_markdown("what", "calls", counts),
        "seconds per call": table_markdown(latencies),
    }
    return shown | ({"calls over time": _plot(usage)} if plotted and usage.calls >= PLOTTED_CALLS else {})


def hit_rate(usage: Usage) -> str:
    """The share of the prompt tokens that came from the provider's cache."""
    return f"{usage.cached_tokens / usage.prompt_tokens:.0%}" if usage.prompt_tokens else "0%"


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
