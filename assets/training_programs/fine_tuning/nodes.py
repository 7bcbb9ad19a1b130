"""Several processes on one or more nodes: the first process of each node prepares, and all must have the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.training_programs.fine_tuning.base_models import Weights
from assets.training_programs.fine_tuning.errors import CRASHED, NodeFailed
from assets.training_programs.fine_tuning.task import Failure, Task, explain


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the first process of a node brings to it for all its processes."""

    specification: dict[str, Any]
    weights: Weights
    scratch: str
    resume: str | None
    data: dict[str, Any]  # counts, see `program._counts`

    @property
    def start(self) -> str:
        """What training starts from; the same on every node."""
        checkpoint = f" and {Path(self.resume).name}" if self.resume else " and no checkpoint"
        return self.weights.identity + checkpoint


Outcome = Prepared | Failure | None  # None: the job is done already


def prepare_every_node(task: Task, prepare: Callable[[], Prepared | None]) -> Prepared | None:
    """Call `prepare` in the first process of each node; returns what this node has, None where the job is done already.

    Raises:
        NodeFailed: see `own_of`.
    """
    from accelerate.utils import gather_object  # type: ignore[import-untyped]

    if task.processes == 1:
        return prepare()
    outcome: Outcome = None
    if task.local_rank == 0:
        try:
            outcome = prepare()
        except Exception as error:
            outcome = explain(error)
    return own_of(gather_object([(task.local_rank, outcome)]), task.rank)


def own_of(outcomes: Sequence[tuple[int, Outcome]], rank: int) -> Prepared | None:
    """What the node of a process has; None where the job is done already.

    Args:
        outcomes: rank on its node, and outcome, of every process; that of the first of a node counts.
        rank: of the process.

    Raises:
        NodeFailed: a node failed, or they differ in what they train from.
    """
    nodes = {process: found for process, (local_rank, found) in enumerate(outcomes) if local_rank == 0}
    if failed := [(node, found) for node, found in enumerate(nodes.values()) if isinstance(found, Failure)]:
        node, failure = failed[0]
        where = f"node {node}: " if len(nodes) > 1 else ""
        raise NodeFailed(where + failure.message, failure.exit, failure.retryable)
    prepared = {process: found for process, found in nodes.items() if isinstance(found, Prepared)}
    if len(prepared) < len(nodes):
        return None
    if len({found.start for found in prepared.values()}) > 1:
        starts = "; ".join(f"node {node} has {found.start}" for node, found in enumerate(prepared.values()))
        raise NodeFailed(
            f"the nodes differ in what they would train from ({starts}): launch the job again, "
            "and name a commit as the base model's revision",
            CRASHED,
            retryable=True,
        )
    return prepared[max(process for process in prepared if process <= rank)]
