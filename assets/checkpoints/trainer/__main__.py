"""Fine-tune what a specification in the lake asks for: `python -m assets.checkpoints.trainer`.

On several GPUs of one node: `torchrun --nproc_per_node N -m assets.checkpoints.trainer`.
"""

import time

STARTED = time.monotonic()  # before the imports, which take seconds

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from resources.trainers.work import ATTEMPT, FOLDER, LAKE_ROOT  # noqa: E402


def main() -> int:
    """The program's exit code; see `faults`."""
    parser = argparse.ArgumentParser(prog="python -m assets.checkpoints.trainer", description=__doc__)
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
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin on a busy machine cost nine tenths of it
    environment.setdefault("TQDM_DISABLE", "1")  # progress goes to the log as lines
    if "WORLD_SIZE" not in environment:
        environment.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one process, one GPU
    from assets.checkpoints.trainer.program import run, task_of

    return run(task_of(options.lake_root, options.folder, options.attempt, STARTED))


if __name__ == "__main__":
    sys.exit(main())
