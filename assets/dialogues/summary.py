"""What the UI shows of a partition of dialogues."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from assets.dialogues.sharegpt_roles import titled
from assets.framework.ui_metadata import COLOURS, new_figure, picture, quoted, table_markdown
from resources.chat.calls import Usage
from resources.lake.tables import Gate

Row = Mapping[str, Any]
SHOWN_CHARACTERS = 800  # of one turn
PLOTTED_CALLS = 20  # fewer are not worth a picture


def describe(rows: Sequence[Row], usage: Usage | None, gate: Gate, gate_reason: str, path: str) -> dict[str, Any]:
    """A partition's metadata, in order of interest.

    Args:
        rows: its rows of `scenario_dialogues`.
        usage: what this run's calls took; None where the partition was already there and nobody was called.
        gate: whether its own gate is passed.
        gate_reason: why not.
        path: its file, relative to the lake.
    """
    complete = [row for row in rows if row["status"] == "complete"]
    shown = (complete or list(rows))[:1]
    first = Counter(row["first_answer"] for row in complete)
    facts: dict[str, Any] = {
        "sample dialogue": dialogue_markdown(shown[0]) if shown else "no seed of this shard is taught this way",
        "dialogues by status": table_markdown(_by_status(rows)),
        "first answers": table_markdown([{"answer": one, "dialogues": first[one]} for one in sorted(first)]),
        "refused utterances": table_markdown(_refused(rows)),
        "gate": gate if gate == "passed" else f"{gate}: {gate_reason}",
        "tokens": sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows),
        "made": "earlier: already there" if usage is None else "now",
    }
    if usage is not None:
        facts |= {
            "cost in US dollars": MetadataValue.float(usage.cost),
            "calls": table_markdown(
                [
                    {"what": "paid for now", "calls": usage.calls},
                    {"what": "from the journal", "calls": usage.replayed},
                    {"what": "retried", "calls": usage.retries},
                    {"what": "refused for a time", "calls": usage.throttled},
                    {"what": "wasted", "calls": usage.wasted},
                ]
            ),
            "seconds a call": table_markdown(
                [{"calls": f"{share:.0%}", "at most": usage.percentile(share)} for share in (0.5, 0.9, 0.99)]
            ),
        }
        if usage.calls >= PLOTTED_CALLS:
            facts["calls over time"] = calls_plot(usage)
    return facts | {"file": path, "dagster/partition_row_count": len(rows)}


def calls_plot(usage: Usage) -> MarkdownMetadataValue:
    """How long calls took, and how many were answered a second from the first to the last."""
    figure = new_figure(7.2, 2.6)
    latencies, throughput = figure.subplots(1, 2)
    latencies.hist(usage.latencies, bins=30, color=COLOURS[0])
    latencies.set_xlabel("seconds a call")
    latencies.set_ylabel("calls")
    begin, end = min(usage.moments), max(usage.moments)
    bins = 30
    a_second = usage.calls / len(usage.moments) * bins / max(end - begin, 1e-3)  # of each sampled call in a bin
    moments = [moment - begin for moment in usage.moments]
    throughput.hist(
        moments, bins=bins, weights=[a_second] * len(moments), histtype="step", color=COLOURS[3], linewidth=1.5
    )
    throughput.set_xlabel("seconds since the first answer")
    throughput.set_ylabel("calls a second")
    return picture(figure, "Latency of the calls, and calls a second over time")


def dialogue_markdown(row: Row) -> MarkdownMetadataValue:
    """A dialogue as Markdown that shows what was said and does nothing."""
    parts = [f"**{titled(turn['speaker'])}**\n\n{quoted(turn['text'], SHOWN_CHARACTERS)}" for turn in row["turns"]]
    if row["status"] != "complete":
        parts.append(f"**Set aside**\n\n{quoted(str(row['status_reason']), SHOWN_CHARACTERS)}")
    return MetadataValue.md("\n\n".join(parts))


def usage_facts(usage: Usage) -> dict[str, float]:
    """What a partition's footer keeps of its calls."""
    return {
        "calls": usage.calls,
        "replayed": usage.replayed,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost": usage.cost,
        "wait_seconds": usage.wait_seconds,
    }


def _by_status(rows: Sequence[Row]) -> list[dict[str, Any]]:
    counts = Counter((row["status"], str(row["status_reason"] or "").partition(":")[0]) for row in rows)
    return [
        {"status": status.replace("_", " "), "reason": reason, "dialogues": count}
        for (status, reason), count in sorted(counts.items())
    ]


def _refused(rows: Sequence[Row]) -> list[dict[str, Any]]:
    counts = Counter(discarded["reason"] for row in rows for discarded in row["discarded"])
    return [{"reason": reason, "utterances": count} for reason, count in counts.most_common()]
