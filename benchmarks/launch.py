"""What launching a job on this machine costs: `python -m benchmarks.launch --times 5`.

Seconds from the start of `JobLauncher.run`, in a Dagster run, to the first line of the program that it launches; to
the job's end; and beside that the bare start of a Python process here. The lake lies in a temporary folder that is
removed.
"""

import time

FIRST_LINE = time.time()

import argparse  # noqa: E402 - the job's first line comes before anything is loaded
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from resources.lake.opening import open_store  # noqa: E402
from resources.training_jobs.job import FOLDER, LAKE_ROOT, TrainingJob  # noqa: E402


def job() -> None:
    """The program that is launched: it says when it began, and that is its result."""
    open_store(os.environ[LAKE_ROOT]).put(
        f"{os.environ[FOLDER]}/manifest.json", json.dumps({"began": FIRST_LINE}).encode()
    )


def launch(folder: Path, number: int) -> tuple[float, float]:
    """Seconds from the launch to the program's first line, and to the return of `train`."""
    from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, asset, materialize

    from resources.training_jobs.configuration import Timeouts, TrainerConfiguration
    from resources.training_jobs.launcher import open_job_launcher
    from resources.training_jobs.local import LocalConfiguration

    store, times = open_store(str(folder / "lake")), []
    configuration = TrainerConfiguration(
        backend=LocalConfiguration(folder=folder / "jobs"), timeouts=Timeouts(poll_seconds=0.05)
    )
    job = TrainingJob("bench", f"checkpoints/bench/{number}", {}, "benchmarks.launch")

    @asset
    def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
        times.append(time.time())
        open_job_launcher(configuration, store).run(context, job)
        times.append(time.time())
        return MaterializeResult()

    with DagsterInstance.ephemeral() as instance:
        materialize([checkpoint], instance=instance)
    began = json.loads(store.get(f"{job.folder}/manifest.json"))["began"]
    return began - times[0], times[1] - times[0]


def bare_start() -> float:
    """Seconds until a Python process here says something."""
    started = time.time()
    said = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"], check=True, capture_output=True, text=True
    )
    return float(said.stdout) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    bare = statistics.median(bare_start() for _ in range(times))
    with tempfile.TemporaryDirectory() as folder:
        launches = [launch(Path(folder), number) for number in range(times)]
    first, whole = (statistics.median(column) for column in zip(*launches, strict=True))
    print(
        f"median of {times}: {first:.2f} s from the launch to the program's first line, of which {bare:.2f} s is the "
        f"start of Python; {whole:.2f} s until the result was known"
    )


if __name__ == "__main__":
    if FOLDER in os.environ:
        job()
    else:
        main()
