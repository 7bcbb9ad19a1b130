"""A training job, and the names of the files in its folder of the lake.

<folder>/specification.json            the input; the first run that asks for the job writes it (If-None-Match)
<folder>/attempts/0001/launched.json   which run launched the attempt, when, where, at what price (If-None-Match)
<folder>/attempts/0001/context.json    Dagster Pipes, from the run to the job
<folder>/attempts/0001/messages/1.json Dagster Pipes, from the job to the run, in numbered files
<folder>/attempts/0001/heartbeat.json  the job is alive: time, step, seconds that it ran (every HEARTBEAT_SECONDS)
<folder>/attempts/0001/parent.json     the run that waits for it is alive: time, run id (every HEARTBEAT_SECONDS)
<folder>/attempts/0001/failure.json    why the job failed, written by the job: exit, message, retryable
<folder>/attempts/0001/end.json        how the attempt ended, written by a run: state, reason
<folder>/progress/…                    checkpoints of the program, to resume from
<folder>/manifest.json                 the result; the job is done when it exists
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.identity import stable_hash

SPECIFICATION = "specification.json"
LAUNCHED = "launched.json"
CONTEXT = "context.json"
MESSAGES = "messages"
HEARTBEAT = "heartbeat.json"
PARENT = "parent.json"
FAILURE = "failure.json"
END = "end.json"
HEARTBEAT_SECONDS = 15
# The program's environment, beside the two variables of Dagster Pipes.
LAKE_ROOT = "MASTER_LAKE_ROOT"
FOLDER = "MASTER_WORK_FOLDER"  # relative to the lake's root
ATTEMPT = "MASTER_WORK_ATTEMPT"  # 1, 2, …
ORPHAN_MINUTES = "MASTER_ORPHAN_MINUTES"  # absent where the job continues without its run
# Exit codes of the program, beside 0 (done) and 2 (bad input).
EXIT_INTERRUPTED = 75  # asked to end; it saved a checkpoint first
EXIT_ORPHANED = 76  # no run waits for it


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training job as an asset asks for it. The same job always has the same folder and the same id."""

    name: str  # first part of the names of its attempts: letters, digits and hyphens, at most 50
    folder: str  # in the lake, relative to its root
    specification: Mapping[str, Any]  # plain JSON; its `id` identifies the job
    program: str  # a module of this project that runs without Dagster: "assets.training_programs.fine_tuning"
    processes: int = 1  # on each node
    nodes: int = 1

    def attempt_name(self, lake_root: str, attempt: int) -> str:
        """The attempt's name on a backend: the same for every run, another one for the same job in another lake."""
        return f"{self.name}-{attempt}-{stable_hash(lake_root, self.folder)[:6]}"


def attempt_folder(folder: str, attempt: int) -> str:
    """`<folder>/attempts/0001`."""
    return f"{folder}/attempts/{attempt:04d}"
