"""Fine-tune what a specification in the lake asks for: `python -m assets.training_programs.fine_tuning`.

On several GPUs, on each node: `torchrun --nproc_per_node N -m assets.training_programs.fine_tuning`.
"""

import time

STARTED = time.monotonic()  # before the imports, which take seconds

import sys  # noqa: E402

from assets.training_programs.fine_tuning.task import task_of_command_line  # noqa: E402


def main() -> int:
    """The program's exit code; see `errors`."""
    task = task_of_command_line("assets.training_programs.fine_tuning", __doc__, STARTED)
    from assets.training_programs.fine_tuning.program import run

    return run(task)


if __name__ == "__main__":
    sys.exit(main())
