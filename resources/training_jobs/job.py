"""A piece of work for a trainer, and the names of the files in its folder of the lake.

<folder>/specification.json            what to do; whoever asks first writes it (If-None-Match)
<folder>/attempts/0001/claim.json      who submits this attempt, at which place, under which job name
<folder>/attempts/0001/context.json    Dagster Pipes: what the run tells the job
<folder>/attempts/0001/messages/1.json Dagster Pipes: what the job tells the run, in numbered chunks
<folder>/attempts/0001/heartbeat.json  the job is alive: time, step (every HEARTBEAT_SECONDS)
<folder>/attempts/0001/parent.json     the run that waits for it is alive: time, run id (every HEARTBEAT_SECONDS)
<folder>/attempts/0001/failure.json    the job's own account of its failure: exit, message, retryable
<folder>/attempts/0001/end.json        how the attempt ended, as a run saw it: state, reason
<folder>/progress/…                    the program's own checkpoints, to resume from
<folder>/manifest.json                 the result; the work is done when it is there
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPECIFICATION = "specification.json"
CLAIM = "claim.json"
CONTEXT = "context.json"
MESSAGES = "messages"
HEARTBEAT = "heartbeat.json"
PARENT = "parent.json"
FAILURE = "failure.json"
END = "end.json"
HEARTBEAT_SECONDS = 15
# What the program is given in its environment, beside Dagster Pipes' own two variables.
LAKE_ROOT = "MASTER_LAKE_ROOT"
FOLDER = "MASTER_WORK_FOLDER"  # relative to the lake's root
ATTEMPT = "MASTER_WORK_ATTEMPT"  # 1, 2, …
ORPHAN_MINUTES = "MASTER_ORPHAN_MINUTES"  # absent where the job goes on without its run
# How the program ends, beside 0 (done) and 2 (its own fault).
EXIT_INTERRUPTED = 75  # asked to end; it saved a checkpoint first
EXIT_ORPHANED = 76  # nobody waits for it any more


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a trainer is asked for. The same work always has the same folder and the same id."""

    name: str  # of its jobs, each attempt adds its own ending: letters, digits and hyphens, at most 50
    folder: str  # in the lake, relative to its root
    specification: Mapping[str, Any]  # plain JSON; its `id` tells one piece of work from another
    program: str  # a module of this project that runs without Dagster: "assets.training_programs.fine_tuning"
    processes: int = 1


def attempt_folder(folder: str, attempt: int) -> str:
    """`<folder>/attempts/0001`."""
    return f"{folder}/attempts/{attempt:04d}"
