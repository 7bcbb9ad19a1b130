"""Whether a written partition is made of what it would be made of now. One rule for all assets that cost money.

The runs, the release, the estimate, the nightly schedule and the UI all ask here. A caller with a rule of its own would
pay for a partition twice, or never make it.
"""

from typing import Literal

from resources.lake.records import PartitionRecord

NotCurrent = Literal["missing", "failed", "stale"]
_WORST_FIRST: tuple[NotCurrent, ...] = ("missing", "failed", "stale")


def why_not_current(
    written: PartitionRecord | None, fingerprint: str | None, made_from: PartitionRecord | None = None
) -> NotCurrent | None:
    """Why a partition is to be made, or None where it is current. Its rows are known by their content, not by a time.

    Args:
        written: what the lake holds of it; None: nothing.
        fingerprint: what it would have if it were made now; None: it cannot be made now.
        made_from: the partition whose rows it was made from, where these can change under the same fingerprint.

    Returns:
        `missing`: it was never written. `failed`: its gate failed. `stale`: it was made by other plans, prompts, models
        or rules than the present ones, or from other rows than the present ones.
    """
    if written is None:
        return "missing"
    if written.gate == "failed":
        return "failed"
    return "stale" if was_made_from_others(written, made_from) or written.fingerprint != fingerprint else None


def was_made_from_others(written: PartitionRecord, made_from: PartitionRecord | None) -> bool:
    """Whether a partition was made from other rows than those that `made_from` has now."""
    if made_from is None:
        return False
    if not (made_from.content or written.content):  # both were written by an earlier version, which compared times
        return written.written_at < made_from.written_at
    return written.made_from != made_from.content


def worst(*reasons: NotCurrent | None) -> NotCurrent | None:
    """The reason of a partition that several tables hold: `missing` before `failed` before `stale`."""
    return min((reason for reason in reasons if reason), key=_WORST_FIRST.index, default=None)
