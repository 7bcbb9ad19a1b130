"""Gradient features of what a specification in the lake asks for: `python -m assets.checkpoints.gradients`."""

import sys
import time

from assets.checkpoints.trainer.task import task_of_command_line


def main() -> int:
    """The program's exit code; see `assets.checkpoints.trainer.faults`."""
    task = task_of_command_line("assets.checkpoints.gradients", __doc__, time.monotonic())
    from assets.checkpoints.gradients.program import run

    return run(task)


if __name__ == "__main__":
    sys.exit(main())
