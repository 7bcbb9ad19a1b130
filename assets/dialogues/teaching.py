"""Many partitions through one chat: dialogues as coroutines, so many of them open that no call slot stays idle.

Partitions follow one another without a gap, and each is handed over as soon as its last dialogue is done.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assets.dialogues.inputs import InputsError, PartitionInputs
from assets.dialogues.screening import REFUSED_REASONS
from assets.dialogues.task import DialogueTask
from assets.dialogues.turn_loop import RETRACTED, Dialogue, TurnLoop, teach
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.claims import PartitionClaim
from resources.lake.store import StoreError
from resources.lake.tables import Gate, TableError
from resources.progress import PartitionProgress

LOOK_SECONDS = 1.0  # after which it is tried again whether another run is done with a partition
# The chat's codes (see `resources.chat.replies`) for calls that another hour may answer.
POISONED_SHARE = 0.02  # of a partition's dialogues: so many unanswered ones are bad seeds, more are a bad hour
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
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Dialogues of one partition."""

    total: int
    done: int = 0
    set_aside: int = 0


@dataclass(slots=True)
class Progress:
    """Where a run stands. It is updated as the run goes on."""

    keys: Sequence[str]  # every partition of the run
    failed: dict[str, str] = field(default_factory=dict)  # could not be taught or written, and why
    dialogues: int = 0  # that are known of: partitions are read shortly before they are taught
    done: int = 0
    set_aside: int = 0
    under_way: dict[str, "Counts"] = field(default_factory=dict)  # the partitions that are taught just now
    elsewhere: list[str] = field(default_factory=list)  # another run of this machine is making them

    def parts(self) -> list[PartitionProgress]:
        """The partitions that are taught just now."""
        return [
            PartitionProgress(
                key, counts.done, counts.total, f"{counts.set_aside} set aside" if counts.set_aside else ""
            )
            for key, counts in self.under_way.items()
        ]


@dataclass(slots=True)
class _Open:
    """A partition while it is taught."""

    inputs: PartitionInputs
    claim: PartitionClaim
    rows: dict[str, Row] = field(default_factory=dict)  # by dialogue_id


async def teach_partitions(
    progress: Progress,
    read: Callable[[str], PartitionInputs],
    room: TurnLoop,
    scope: Callable[[str], str],
    written: Callable[[PartitionInputs, list[Row]], None],
    show: Callable[[Progress], None],
    claim: Callable[[str], PartitionClaim | None],
) -> None:
    """Teach every partition of `progress.keys`. Those that another run is teaching come last, when it is done.

    Args:
        progress: which partitions; updated on the way, and what is done when an exception ends the run.
        read: a partition's inputs. Called in a thread, shortly before its dialogues begin.
        room: what tasks are played with.
        scope: a partition's name in the journal and the usage.
        written: takes a finished partition's rows, in order of seed_id. Called in a thread.
        show: called after each dialogue.
        claim: gives the right to teach a partition; None while another run of this machine has it.

    Raises:
        BudgetSpent, EndpointUnusable: with the chat's own words.
        Exception: whatever `read` (other than InputsError) and `written` (other than TableError) raise.
    """
    size = max(1, room.chat.target_concurrency)
    queue: asyncio.Queue[tuple[_Open, DialogueTask] | None] = asyncio.Queue(maxsize=size)
    writing: set[asyncio.Task[None]] = set()
    claims: set[PartitionClaim] = set()

    async def hand_over(partition: _Open) -> None:
        inputs = partition.inputs
        rows = [partition.rows[task.dialogue_id] for task in inputs.tasks]
        task = asyncio.create_task(asyncio.to_thread(written, inputs, rows))
        task.add_done_callback(lambda ended: _note(ended, progress, inputs.key))
        writing.add(task)
        # A partition that is finished is written even when the run is stopped just now.
        with contextlib.suppress(TableError):  # `_note` has it
            await asyncio.shield(task)
        progress.under_way.pop(inputs.key, None)
        partition.claim.release()
        claims.discard(partition.claim)

    async def begin(key: str, claimed: PartitionClaim) -> None:
        claims.add(claimed)
        try:
            inputs = await asyncio.to_thread(read, key)
        except InputsError as error:
            progress.failed[key] = str(error)
            claimed.release()
            return
        if inputs.current:
            claimed.release()
            return
        partition = _Open(inputs, claimed, dict(inputs.held))
        waiting = [task for task in inputs.tasks if task.dialogue_id not in inputs.held]
        progress.dialogues += len(waiting)
        progress.under_way[key] = Counts(len(waiting))
        if not waiting:
            await hand_over(partition)
        for task in waiting:
            await queue.put((partition, task))

    async def feed() -> None:
        for key in progress.keys:
            if claimed := claim(key):
                await begin(key, claimed)
            else:
                logger.warning("%s is being made by another run; this one comes back to it", key)
                progress.elsewhere.append(key)
        while progress.elsewhere:  # what is our own goes on meanwhile
            for key in list(progress.elsewhere):
                if claimed := claim(key):
                    progress.elsewhere.remove(key)
                    await begin(key, claimed)
            if progress.elsewhere:
                await asyncio.sleep(LOOK_SECONDS)
        for _ in range(size):
            await queue.put(None)

    async def work() -> None:
        while (item := await queue.get()) is not None:
            partition, task = item
            row = (await _teach(task, room, scope(partition.inputs.key))).row()
            partition.rows[task.dialogue_id] = row
            progress.done += 1
            progress.set_aside += row["status"] == "set_aside"
            counts = progress.under_way[partition.inputs.key]
            counts.done += 1
            counts.set_aside += row["status"] == "set_aside"
            show(progress)
            if len(partition.rows) == len(partition.inputs.tasks):
                await hand_over(partition)

    tasks = [asyncio.create_task(feed()), *(asyncio.create_task(work()) for _ in range(size))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *writing, return_exceptions=True)
        for claimed in claims:
            claimed.release()


async def _teach(task: DialogueTask, room: TurnLoop, scope: str) -> Dialogue:
    """Play one task; a fault of our own sets aside that task and no more."""
    try:
        return await teach(task, room, scope)
    except (BudgetSpent, EndpointUnusable, StoreError):
        raise
    except Exception as error:
        logger.exception("dialogue %s of %s was set aside because of a fault", task.dialogue_id, scope)
        dialogue = Dialogue(task)
        dialogue.set_aside("fault", f"{type(error).__name__}: {error}")
        return dialogue


def _note(ended: "asyncio.Task[None]", progress: Progress, key: str) -> None:
    if ended.cancelled():
        return
    error = ended.exception()
    if isinstance(error, TableError):
        progress.failed[key] = str(error)


def gate(rows: Sequence[Row], limit: float, minimum: int) -> tuple[Gate, str]:
    """Whether a partition's own gate is passed, and if not, why.

    Dialogues set aside for a transient reason fail it from a share of `POISONED_SHARE` on, so that the partition stays
    due. What is complete is held meanwhile, and a later run pays only for the rest. Fewer are lost for good: a seed
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
