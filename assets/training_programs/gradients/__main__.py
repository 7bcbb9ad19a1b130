"""Gradient features of what a specification in the lake asks for: `python -m assets.training_programs.gradients`."""

import sys
import time

from assets.training_programs.fine_tuning.task import task_of_command_line


def main() -> int:
    """The program's exit code; see `assets.training_programs.fine_tuning.errors`."""
    task = task_of_command_line("assets.training_programs.gradients", __doc__, time.monotonic())
    from assets.training_programs.gradients.program import run

    return run(task)


if __name__ == "__main__":
    sys.exit(main())
