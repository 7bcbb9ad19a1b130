"""Fine-tune what a specification in the lake asks for: `python -m assets.checkpoints.trainer`.

On several GPUs of one node: `torchrun --nproc_per_node N -m assets.checkpoints.trainer`.
"""

import time

STARTED = time.monotonic()  # before the imports, which take seconds

import sys  # noqa: E402

from assets.checkpoints.trainer.task import task_of_command_line  # noqa: E402


def main() -> int:
    """The program's exit code; see `faults`."""
    task = task_of_command_line("assets.checkpoints.trainer", __doc__, STARTED)
    from assets.checkpoints.trainer.program import run

    return run(task)


if __name__ == "__main__":
    sys.exit(main())
