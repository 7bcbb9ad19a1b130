"""What the UI shows of a partition of dialogues."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from assets.dialogues.schema import DIALOGUES
from assets.framework.scenarios.scenario import titled
from assets.framework.ui_metadata import (
    ROW_COUNT,
    counts_markdown,
    gate_metadata,
    sample_markdown,
    stored_at,
    table_markdown,
)
from assets.framework.usage_metadata import calls_metadata
from resources.chat.calls import Usage
from resources.lake.records import Gate
from resources.lake.tables import Lake

Dialogue = Mapping[str, Any]  # a row of `scenario_dialogues`


def dialogues_metadata(
    lake: Lake,
    keys: Mapping[str, str],
    rows: Sequence[Dialogue],
    usage: Usage | None,
    gate: Gate = "passed",
    gate_reason: str = "",
) -> dict[str, Any]:
    """A partition's metadata, in order of interest.

    Args:
        lake: where it is written.
        keys: its keys.
        rows: its rows of `scenario_dialogues`.
        usage: see `calls_metadata`.
        gate: whether its own gate passed.
        gate_reason: why not.
    """
    complete = [row for row in rows if row["status"] == "complete"]
    shown = (complete or list(rows))[:1]
    refused = Counter(discarded["reason"] for row in rows for discarded in row["discarded"])
    return {
        "sample dialogue": sample_markdown(*dialogue_parts(shown[0])) if shown else "no plan has this scenario",
        "dialogues by status": table_markdown(_by_status(rows)),
        "first answers": counts_markdown(
            "answer", "dialogues", sorted(Counter(row["first_answer"] for row in complete).items())
        ),
        "refused utterances": counts_markdown("reason", "utterances", refused.most_common()),
        "gate": gate_metadata(gate, gate_reason),
        "tokens": sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows),
        **calls_metadata(lake, DIALOGUES, keys, usage, plotted=True),
        "file": stored_at(lake.store, lake.path(DIALOGUES, keys)),
        ROW_COUNT: len(rows),
    }


def dialogue_parts(row: Dialogue) -> list[tuple[str, str]]:
    """A dialogue for `sample_markdown`: speakers and texts, and why it was set aside."""
    parts = [(titled(turn["speaker"]), turn["text"]) for turn in row["turns"]]
    return parts if row["status"] == "complete" else [*parts, ("Set aside", str(row["status_reason"]))]


def _by_status(rows: Sequence[Dialogue]) -> list[dict[str, Any]]:
    counts = Counter((row["status"], str(row["status_reason"] or "").partition(":")[0]) for row in rows)
    return [
        {"status": status.replace("_", " "), "reason": reason, "dialogues": count}
        for (status, reason), count in sorted(counts.items())
    ]
