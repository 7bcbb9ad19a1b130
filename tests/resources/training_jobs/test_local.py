"""This machine as a place: processes are found again, and none is left behind."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from resources.training_jobs.backend import BackendError, Job, JobState, JobStatus
from resources.training_jobs.local import LocalBackend
from tests.resources.training_jobs.launching import Jobs
from tests.waiting import until

# Starts a child with a session of its own, as torchrun does, and tells when it has.
FAMILY = """
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path({ready!r}).touch()
{then}
"""


def job(code: str, name: str = "a-1", **environment: str) -> Job:
    return Job(name, ("-c", code), environment)


def ended(place: LocalBackend, name: str = "a-1") -> JobStatus:
    def status() -> JobStatus | None:
        found = place.status(name)
        return found if found and found.ended else None

    found: JobStatus = until(status)
    return found


def family(jobs: Jobs, then: str = "time.sleep(600)", **options: float) -> LocalBackend:
    """A place where a job runs whose child has left its group."""
    place, ready = jobs.place(**options), jobs.folder.parent / "ready"
    place.submit(job(FAMILY.format(ready=str(ready), then=then)))
    until(ready.exists)
    return place


def keeper(jobs: Jobs) -> psutil.Process:
    return psutil.Process(json.loads((jobs.folder / "a-1" / "keeper.json").read_bytes())["pid"])


def test_a_job_that_ends_well_has_succeeded(jobs: Jobs) -> None:
    place = jobs.place()
    place.submit(job("pass"))
    assert ended(place).state is JobState.SUCCEEDED


def test_what_a_job_leaves_behind_is_ended_with_it(jobs: Jobs) -> None:
    ended(family(jobs, then="sys.exit(0)"))
    assert jobs.processes() == []


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        ("raise SystemExit(2)", JobState.FAILED, "exit code 2"),
        ("raise SystemExit(75)", JobState.INTERRUPTED, "it ended itself (exit code 75)"),
        ("raise SystemExit(76)", JobState.INTERRUPTED, "it ended itself (exit code 76)"),
        (
            "import os; os.kill(os.getpid(), 9)",
            JobState.FAILED,
            "killed by SIGKILL, as the kernel does when memory runs out",
        ),
    ],
)
def test_an_exit_code_says_how_a_job_ended(jobs: Jobs, code: str, state: JobState, reason: str) -> None:
    place = jobs.place()
    place.submit(job(code))
    assert ended(place) == JobStatus(state, reason)


def test_a_job_that_nobody_submitted_is_unknown(jobs: Jobs) -> None:
    assert jobs.place().status("a-1") is None


def test_a_job_has_its_environment_and_its_last_lines_are_kept(jobs: Jobs) -> None:
    place = jobs.place()
    place.submit(job("import os; print('first'); print(os.environ['STEP'])", STEP="7"))
    ended(place)
    assert place.last_lines("a-1", 1) == ["7"]


def test_another_process_finds_a_running_job(jobs: Jobs) -> None:
    place = family(jobs)
    assert jobs.place().status("a-1") == JobStatus(JobState.RUNNING)
    place.stop("a-1", "enough")


def test_a_stopped_job_leaves_no_process(jobs: Jobs) -> None:
    place = family(jobs)
    jobs.place().stop("a-1", "enough")
    assert ended(place).state is JobState.STOPPED
    assert jobs.processes() == []


def test_a_job_that_does_not_end_when_asked_is_killed(jobs: Jobs) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    place = family(jobs, then=stubborn, grace_seconds=0.1)
    place.stop("a-1", "enough")
    assert ended(place).state is JobState.STOPPED
    assert jobs.processes() == []


def test_stopping_what_has_ended_does_nothing(jobs: Jobs) -> None:
    place = jobs.place()
    place.submit(job("pass"))
    ended(place)
    place.stop("a-1", "enough")
    assert ended(place).state is JobState.SUCCEEDED


def test_nothing_is_left_when_the_keeper_is_killed(jobs: Jobs) -> None:
    place = family(jobs)
    keeper(jobs).kill()
    assert ended(place).state is JobState.INTERRUPTED
    until(lambda: not jobs.processes())


def test_nothing_is_left_when_the_runner_is_killed(jobs: Jobs) -> None:
    place = family(jobs)
    [runner] = keeper(jobs).children()
    runner.kill()
    assert ended(place).state is JobState.INTERRUPTED
    assert jobs.processes() == []


def test_nothing_is_left_when_the_process_that_submitted_it_is_killed(jobs: Jobs) -> None:
    submitting = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from resources.training_jobs.local import LocalBackend\n"
        "from resources.training_jobs.backend import Job\n"
        "LocalBackend(Path(sys.argv[1]), 5).submit(Job('a-1', ('-c', 'import time; time.sleep(600)')))\n"
        "print('submitted', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", submitting, str(jobs.folder)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
    assert ended(jobs.place()) == JobStatus(JobState.INTERRUPTED, "the Dagster process that had started it was gone")
    assert jobs.processes() == []


def test_one_name_is_one_job_however_often_it_is_submitted(jobs: Jobs) -> None:
    counted = jobs.folder.parent / "count"
    counting = job(f"open({str(counted)!r}, 'a').write('x'); import time; time.sleep(0.3)")
    places = [jobs.place() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda place: place.submit(counting), places))
    ended(places[0])
    places[0].submit(counting)
    assert counted.read_text() == "x"


def test_several_processes_are_started_by_torchrun() -> None:
    assert Job("a-1", ("-m", "program"), processes=2).python_arguments == (
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "program"),
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match=r"cannot start a-1 on this machine: .*make that writable"):
        LocalBackend(tmp_path / "file").submit(job("pass"))
