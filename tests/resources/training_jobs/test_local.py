"""This machine as a backend: processes are found again, and none is left behind."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from resources.training_jobs.backend import BackendError, BackendJob, JobState, JobStatus
from resources.training_jobs.local import LocalBackend
from tests.resources.training_jobs.launching import Jobs
from tests.waiting import until

# Starts a child with a session of its own, as torchrun does, and creates a file when it has.
FAMILY = """
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path({ready!r}).touch()
{then}
"""
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def job(code: str, name: str = "a-1", **environment: str) -> BackendJob:
    return BackendJob(name, ("-c", code), environment)


def ended(backend: LocalBackend, name: str = "a-1") -> JobStatus:
    def status() -> JobStatus | None:
        found = backend.status(name)
        return found if found and found.ended else None

    found: JobStatus = until(status)
    return found


def family(jobs: Jobs, then: str = "time.sleep(600)", **options: float) -> LocalBackend:
    """A backend with a running job whose child has a session of its own."""
    backend, ready = jobs.backend(**options), jobs.folder.parent / "ready"
    backend.submit(job(FAMILY.format(ready=str(ready), then=then)))
    until(ready.exists)
    return backend


def test_missing_packages_are_named_with_the_command_that_installs_them(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.training_jobs.local.TRAINING_PACKAGES", ("json", "no_such_package"))
    with pytest.raises(BackendError, match=r"not installed \(no_such_package\): `make install-training`"):
        jobs.backend().submit(job("pass"))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", JobStatus(JobState.SUCCEEDED)),
        ("raise SystemExit(2)", JobStatus(JobState.FAILED, "exit code 2")),
        ("raise SystemExit(75)", JobStatus(JobState.INTERRUPTED, "it ended itself (exit code 75)")),
        ("raise SystemExit(76)", JobStatus(JobState.INTERRUPTED, "it ended itself (exit code 76)")),
        (
            "import os; os.kill(os.getpid(), 9)",
            JobStatus(JobState.FAILED, "killed by SIGKILL, as the kernel does when memory runs out"),
        ),
    ],
)
def test_the_exit_code_decides_the_state(jobs: Jobs, code: str, status: JobStatus) -> None:
    backend = jobs.backend()
    backend.submit(job(code))
    assert ended(backend) == status
    backend.stop("a-1", "test")
    assert backend.status("a-1") == status, "a job that has ended cannot be stopped"


def test_an_unknown_job_has_no_status_and_no_lines(jobs: Jobs) -> None:
    assert jobs.backend().status("a-1") is None
    assert jobs.backend().last_lines("a-1") == []


def test_a_job_has_its_environment_and_its_last_lines_are_kept(jobs: Jobs) -> None:
    backend = jobs.backend()
    backend.submit(job("import os; print('first'); print(os.environ['STEP'])", STEP="7"))
    ended(backend)
    assert backend.last_lines("a-1", 1) == ["7"]


@pytest.mark.parametrize(
    ("then", "grace_seconds", "stop", "state"),
    [
        ("sys.exit(0)", 5, False, JobState.SUCCEEDED),
        ("time.sleep(600)", 5, True, JobState.STOPPED),
        (IGNORES_SIGTERM, 0.1, True, JobState.STOPPED),
    ],
    ids=["it ends by itself", "it is stopped", "it ignores SIGTERM"],
)
def test_no_process_of_an_ended_job_is_left(
    jobs: Jobs, then: str, grace_seconds: float, stop: bool, state: JobState
) -> None:
    backend = family(jobs, then, grace_seconds=grace_seconds)
    if stop:
        another = jobs.backend()
        assert another.status("a-1") == JobStatus(JobState.RUNNING), "another process finds the job"
        another.stop("a-1", "test")
    assert ended(backend).state is state
    assert jobs.processes() == []


def test_no_process_is_left_when_the_supervisor_is_killed(jobs: Jobs) -> None:
    backend = family(jobs)
    psutil.Process(int((jobs.folder / "a-1" / "supervisor.pid").read_text())).kill()
    assert ended(backend).state is JobState.INTERRUPTED
    assert jobs.processes() == []


def test_no_process_is_left_when_the_process_that_submitted_it_is_killed(jobs: Jobs) -> None:
    submitting = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from resources.training_jobs.local import LocalBackend\n"
        "from resources.training_jobs.backend import BackendJob\n"
        "LocalBackend(Path(sys.argv[1]), 5).submit(BackendJob('a-1', ('-c', 'import time; time.sleep(600)')))\n"
        "print('submitted', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", submitting, str(jobs.folder)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
    assert ended(jobs.backend()) == JobStatus(JobState.INTERRUPTED, "the Dagster process that started it ended")
    assert jobs.processes() == []


def test_one_name_is_one_job_however_often_it_is_submitted(jobs: Jobs) -> None:
    counted = jobs.folder.parent / "count"
    counting = job(f"open({str(counted)!r}, 'a').write('x'); import time; time.sleep(0.3)")
    backends = [jobs.backend() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda backend: backend.submit(counting), backends))
    ended(backends[0])
    backends[0].submit(counting)
    assert counted.read_text() == "x"


def test_torchrun_starts_several_processes() -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert BackendJob("a-1", ("-m", "program"), processes=2).python_arguments == (*torchrun, "-m", "program")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match=r"cannot start a-1 on this machine: .*make that writable"):
        LocalBackend(tmp_path / "file").submit(job("pass"))
