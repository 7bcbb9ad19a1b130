"""Whether a written partition is made of what it would be made of now. One rule for all assets that cost money.

The runs, the release, the estimate, the nightly schedule and the UI all ask here. A caller with a rule of its own would
pay for a partition twice, or never make it.
"""

from typing import Literal

from resources.lake.tables import PartitionRecord

NotCurrent = Literal["missing", "failed", "stale"]
_WORST_FIRST: tuple[NotCurrent, ...] = ("missing", "failed", "stale")


def why_not_current(
    written: PartitionRecord | None, fingerprint: str | None, made_from: PartitionRecord | None = None
) -> NotCurrent | None:
    """Why a partition is to be made, or None where it is current.

    Args:
        written: what the lake holds of it; None: nothing.
        fingerprint: what it would have if it were made now; None: it cannot be made now.
        made_from: the partition whose rows it was made from, where these can change under the same fingerprint.

    Returns:
        `missing`: it was never written. `failed`: its gate failed. `stale`: it was made by other plans, prompts, models
        or rules than the present ones, or is older than the rows that it was made from.
    """
    if written is None:
        return "missing"
    if written.gate == "failed":
        return "failed"
    older = made_from is not None and written.written_at < made_from.written_at
    return "stale" if older or written.fingerprint != fingerprint else None


def worst(*reasons: NotCurrent | None) -> NotCurrent | None:
    """The reason of a partition that several tables hold: `missing` before `failed` before `stale`."""
    return min((reason for reason in reasons if reason), key=_WORST_FIRST.index, default=None)
