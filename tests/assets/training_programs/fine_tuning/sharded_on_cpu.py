"""The program where accelerate takes the CPU for a GPU: FSDP itself runs on CPUs, accelerate starts it on GPUs only.

With INTERRUPT=<ending of a path>:<signal>, the first process gets the signal when it has written that file of the lake.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType

from assets.training_programs.fine_tuning.program import run
from assets.training_programs.fine_tuning.task import task_of_command_line
from resources.training_jobs.job import LAKE_ROOT
from tests.assets.training_programs.fine_tuning.test_program import SignallingStore

INTERRUPT = "INTERRUPT"


def main() -> int:
    """The program's exit code."""
    begin = PartialState.__init__

    def begin_as_gpu(state: PartialState, *arguments: Any, **options: Any) -> None:
        begin(state, *arguments, **options)
        if state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = begin_as_gpu
    task = task_of_command_line("sharded_on_cpu", __doc__, time.monotonic())
    if interrupt := os.environ.get(INTERRUPT):
        ending, name = interrupt.split(":")
        task = replace(task, store=SignallingStore(os.environ[LAKE_ROOT], ending, signal.Signals[name]))
    return run(task)


if __name__ == "__main__":
    sys.exit(main())
