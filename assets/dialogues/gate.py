"""Whether a partition of dialogues passes its own gate: were enough of them generated to the end?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from assets.dialogues.screening import REFUSED_REASONS
from assets.dialogues.turn_loop import RETRACTED
from resources.lake.records import Gate

POISONED_SHARE = 0.02  # of a partition's dialogues: so few unanswered ones are bad seeds; more are an outage
# The chat's codes (see `resources.chat.replies`) for calls that may be answered later.
TRANSIENT_REASONS = frozenset(
    {
        "unreachable",
        "connection_lost",
        "timeout",
        "throttled",
        "server_error",
        "malformed_body",
        "empty_choices",
        "empty_message",
    }
)

Row = Mapping[str, Any]


def gate(rows: Sequence[Row], limit: float, minimum: int) -> tuple[Gate, str]:
    """Whether a partition's own gate is passed, and if not, why.

    Dialogues set aside for a transient reason fail it from a share of `POISONED_SHARE` on, so that the partition stays
    due. What is complete stays, and a later run pays only for the rest. Fewer do not fail it: one seed
    that no endpoint can answer does not keep all the others out of the release.

    Args:
        rows: the partition's rows of `scenario_dialogues`.
        limit: the greatest share of dialogues that may be set aside (0..1).
        minimum: fewer set aside than this fail no partition, a tiny one says nothing; unless the models' endpoint
            answered none of its dialogues, which has little to do with chance.
    """
    asked = [row for row in rows if not _is_retracted(row)]
    reasons = Counter(str(row["status_reason"]).partition(":")[0] for row in asked if row["status"] == "set_aside")
    refused = sum(reasons.values())
    unanswered = sum(count for reason, count in reasons.items() if reason not in REFUSED_REASONS)
    transient = Counter({reason: count for reason, count in reasons.items() if reason in TRANSIENT_REASONS})
    few = refused < minimum or refused <= limit * len(asked)
    if not few or (asked and unanswered == len(asked)):
        why = f"{refused} of {len(asked)} dialogues were set aside (allowed: {limit:.0%}): {_most_common(reasons)}"
    elif transient.total() > POISONED_SHARE * len(asked):
        why = f"{transient.total()} of {len(asked)} dialogues got no answer this time: {_most_common(transient)}"
    else:
        return "passed", ""
    first = next(str(row["status_reason"]) for row in asked if row["status"] == "set_aside")
    why = f"{why} (the first: {first})"
    return "failed", f"{why}; the same command again asks only for those" if transient else why


def _most_common(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))


def _is_retracted(row: Row) -> bool:
    return str(row["status_reason"]).startswith(f"{RETRACTED}:")
