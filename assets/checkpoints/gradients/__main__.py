"""Gradient features of what a specification in the lake asks for: `python -m assets.checkpoints.gradients`."""

import argparse
import os
import sys
import time

from resources.trainers.work import ATTEMPT, FOLDER, LAKE_ROOT


def main() -> int:
    """The program's exit code; see `assets.checkpoints.trainer.faults`."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m assets.checkpoints.gradients", description=__doc__)
    environment = os.environ
    parser.add_argument(
        "--lake-root", default=environment.get(LAKE_ROOT), help=f"folder or s3:// prefix (${LAKE_ROOT})"
    )
    parser.add_argument("--folder", default=environment.get(FOLDER), help=f"of the work, below the root (${FOLDER})")
    parser.add_argument("--attempt", type=int, default=int(environment.get(ATTEMPT, "1")), help=f"1, 2, … (${ATTEMPT})")
    options = parser.parse_args()
    for name, given in ((LAKE_ROOT, options.lake_root), (FOLDER, options.folder)):
        if not given:
            parser.error(f"{name} is not set")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    environment.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one process, one GPU
    from assets.checkpoints.gradients.program import run
    from assets.checkpoints.trainer.program import task_of

    return run(task_of(options.lake_root, options.folder, options.attempt, started))


if __name__ == "__main__":
    sys.exit(main())
