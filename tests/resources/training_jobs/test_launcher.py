"""What a launcher does with a training job, whatever the backend."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from resources.lake.opening import open_store
from resources.lake.store import Store, StoreError
from resources.training_jobs.attempts import open_attempt, read_attempt_times
from resources.training_jobs.backend import Backend, BackendJob, BackendUnreachable, JobState, JobStatus
from resources.training_jobs.following import LAUNCHER_GONE_SECONDS
from resources.training_jobs.local import LocalBackend
from tests.resources.training_jobs.launching import FOLDER, Clock, Runs, World, job, launcher

ELSEWHERE = "local:elsewhere"


# -- one run -----------------------------------------------------------------------------------------------------------


def test_a_job_runs_until_its_manifest_is_there(world: World, runs: Runs) -> None:
    result = runs(world.launcher(), job())
    assert result.success, runs.failure(result)
    assert json.loads(world.store.get(f"{FOLDER}/manifest.json")) == {"sum": 3}
    assert "step 2" in runs.lines(result)
    assert list(world.running()) == []


def test_a_job_that_is_done_is_not_launched(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/manifest.json", b"{}")
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "1", "steps": 9}')
    assert runs(local.launcher(), job()).success
    assert local.store.list(f"{FOLDER}/attempts") == []
    assert local.store.get(f"{FOLDER}/specification.json") == b'{"id": "1", "steps": 9}'


@dataclass
class Case:
    """Outcome of a job that does something at step 1."""

    behaves: dict[str, Any]
    ends: list[str]
    failure: str | None = None


@pytest.mark.parametrize(
    "case",
    [
        Case({"behave": [[1, "interrupted"]]}, ["interrupted"] * 3, "3 attempts were interrupted or never started"),
        Case({"behave": [[1, "interrupted"]], "attempts": [1]}, ["interrupted", "succeeded"]),
        Case({"behave": [[1, "out of reach"]], "attempts": [1]}, ["interrupted", "succeeded"]),
        Case({"behave": [[1, "killed"]]}, ["failed"], "killed by SIGKILL"),
        Case({"behave": [[1, "fail"]]}, ["failed"], "the loss is NaN"),
        Case({"forgets_manifest": True}, ["succeeded"], "succeeded, but left no manifest.json"),
    ],
    ids=lambda case: "-".join(case.ends),
)
def test_another_attempt_follows_where_it_may_help(local: World, runs: Runs, case: Case) -> None:
    result = runs(local.launcher(), job(**case.behaves))
    assert result.success == (case.failure is None)
    assert [end["state"] for end in local.ends()] == case.ends
    assert case.failure is None or case.failure in runs.failure(result)


def test_an_interrupted_job_resumes_from_its_progress(world: World, runs: Runs) -> None:
    result = runs(world.launcher(), job(behave=[[1, "interrupted"]], attempts=[1]))
    assert result.success, runs.failure(result)
    assert world.progress() == [1, 2, 2]


def test_every_attempt_has_a_time_with_the_price_of_the_machines(world: World, runs: Runs) -> None:
    launching = world.launcher()
    launching.configuration = launching.configuration.model_copy(update={"usd_per_hour": 2.5})
    result = runs(launching, job(behave=[[1, "interrupted"]], attempts=[1]))
    assert result.success, runs.failure(result)
    times = read_attempt_times(world.store, "checkpoints")
    assert len({time.name for time in times}) == 2
    assert {(time.folder, time.run_id, time.usd_per_hour) for time in times} == {(FOLDER, result.run_id, 2.5)}


def test_waits_between_attempts_double(local: World, runs: Runs) -> None:
    clock = Clock()
    runs(local.launcher(clock, retry_seconds=7), job(behave=[[1, "interrupted"]]))
    assert [seconds for seconds in clock.slept if seconds >= 7] == [7, 14]


def test_a_failure_holds_the_jobs_own_reason_once_and_its_last_lines(world: World, runs: Runs) -> None:
    failure = runs.failure(runs(world.launcher(), job(behave=[[1, "fail"]])))
    assert failure.count("the loss is NaN") == 1
    assert "step 7: NaN" in failure


@pytest.mark.parametrize("recorded", [True, False], ids=["end recorded", "end not seen by any run"])
def test_a_new_run_after_a_failure_is_a_new_attempt(local: World, runs: Runs, recorded: bool) -> None:
    failing = job(behave=[[1, "fail"]], attempts=[1])
    runs(local.launcher(), failing)
    if not recorded:
        local.store.delete(f"{FOLDER}/attempts/0001/end.json")
    assert runs(local.launcher(), failing).success
    assert local.progress() == [1, 2, 2]
    assert [end["state"] for end in local.ends()] == ["failed", "succeeded"]


def test_a_folder_that_was_deleted_gets_a_new_job(local: World, runs: Runs) -> None:
    runs(local.launcher(), job())
    for file in local.store.list(FOLDER):
        local.store.delete(file.path)
    assert runs(local.launcher(), job()).success
    assert local.progress() == [2, 2, 2]


def test_a_folder_of_another_job_is_refused(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "2", "steps": 3}')
    assert "is the specification of job 2, this run asks for 1" in runs.failure(runs(local.launcher(), job()))


def test_a_changed_specification_of_the_same_id_is_written_again(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "1", "steps": 9}')
    assert runs(local.launcher(), job()).success
    assert local.progress() == [1, 1, 1]


# -- several runs ------------------------------------------------------------------------------------------------------


def test_the_name_of_an_attempt_follows_from_job_lake_and_number() -> None:
    names = {job().attempt_name(root, number) for root in ("s3://a", "s3://b") for number in (1, 2)}
    assert len(names) == 4
    assert job().attempt_name("s3://a", 1) == job().attempt_name("s3://a", 1)


def test_two_launches_at_the_same_moment_are_one_job(world: World) -> None:
    together = threading.Barrier(2)

    def launch() -> bool:
        with DagsterInstance.ephemeral() as instance:
            together.wait()
            return Runs(instance)(world.launcher(), job(seconds=0.3)).success

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(launch) for _ in range(2)]
        assert [result.result() for result in results] == [True, True]
    assert world.progress() == [1, 1, 1]
    assert len(world.ends()) == 1


def test_a_run_that_died_before_it_submitted_is_replaced_after_a_while(local: World, runs: Runs) -> None:
    clock = Clock()
    launched = open_attempt(local.store, job(), local.launcher().backend.name, "other", clock())
    waited: list[bool] = []

    def jump_later() -> None:
        waited.append(local.running() == [])
        if len(waited) == 5:
            clock.jumped = LAUNCHER_GONE_SECONDS + 1

    clock.meanwhile = jump_later
    assert runs(local.launcher(clock), job()).success
    assert waited[:5] == [True] * 5
    assert (local.folder / launched.name).exists()
    assert local.progress() == [1, 1, 1]


def test_a_silent_job_is_described_stopped_and_tried_again(world: World, runs: Runs) -> None:
    clock = Clock()

    def jump_once_it_waits() -> None:
        if not world.ends() and clock.jumped < 1800 and len(world.progress()) == 1:
            clock.jumped += 600

    clock.meanwhile = jump_once_it_waits
    result = runs(world.launcher(clock), job(behave=[[1, "wait"]], attempts=[1], silent=True))
    assert result.success, runs.failure(result)
    [line] = [line for line in runs.lines(result) if "no heartbeat for 15 minutes" in line and "last lines" in line]
    assert line.splitlines()[-1] == "step 0"
    assert world.progress() == [1, 2, 2]


@pytest.mark.parametrize(
    ("age", "happens", "progress", "ends"),
    [
        (0, "manifest", [], ["succeeded"]),
        (0, "end", [2, 2, 2], ["interrupted", "succeeded"]),
        (3600, "nothing", [2, 2, 2], ["interrupted", "succeeded"]),
    ],
)
def test_a_job_on_another_backend_is_followed_by_its_files(
    local: World, runs: Runs, age: float, happens: str, progress: list[int], ends: list[str]
) -> None:
    clock = Clock()
    attempt = open_attempt(local.store, job(), ELSEWHERE, "other", clock() - age)

    def happen() -> None:
        assert len(clock.slept) < 50, "its end is not seen"
        if happens == "manifest":
            local.store.put(f"{FOLDER}/manifest.json", b"{}")
        elif happens == "end":
            attempt.record_end(JobStatus(JobState.INTERRUPTED))

    clock.meanwhile = happen
    assert runs(local.launcher(clock), job()).success
    assert local.progress() == progress
    assert [end["state"] for end in local.ends()] == ends


# -- bad days ----------------------------------------------------------------------------------------------------------


class UnreliableBackend:
    """A backend that does not list a job at first, does not answer, or accepts a job without an answer."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.unanswered: Counter[str] = Counter()  # calls by operation that are not answered
        self.unlisted = 0  # status calls that do not see the job yet

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def _answer(self, operation: str) -> None:
        if self.unanswered[operation] > 0:
            self.unanswered[operation] -= 1
            raise BackendUnreachable(f"{operation} is throttled")

    def submit(self, job: BackendJob) -> None:
        self.backend.submit(job)
        self._answer("submit")

    def status(self, name: str) -> JobStatus | None:
        self._answer("status")
        if self.unlisted > 0:
            self.unlisted -= 1
            return None
        return self.backend.status(name)

    def stop(self, name: str, why: str) -> None:
        if self.unlisted == 0:
            self.backend.stop(name, why)


class UnreliableStore:
    """A store that cannot be read or written for a while."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.failing_reads = 0
        self.unwritable = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        if self.unwritable:
            raise StoreError("PutObject failed: no network")
        return self.store.put_if_absent(path, data)

    def get(self, path: str) -> bytes:
        if self.failing_reads > 0:
            self.failing_reads -= 1
            raise StoreError("GetObject failed: no network")
        return self.store.get(path)


@pytest.mark.parametrize("trouble", ["backend throttled", "lake unwritable", "submission unanswered"])
def test_a_cancelled_job_is_stopped_on_a_bad_day(local: World, runs: Runs, trouble: str) -> None:
    backend, store, clock = UnreliableBackend(local.launcher().backend), UnreliableStore(local.store), Clock()
    backend.unanswered["submit"] = int(trouble == "submission unanswered")

    def bad_luck() -> None:
        backend.unanswered["status"] = 2 * (trouble == "backend throttled")
        backend.unlisted = 3 * (trouble == "submission unanswered")
        store.unwritable = trouble == "lake unwritable"

    clock.cancel_once(local.has_begun, bad_luck)
    runs.cancelled(launcher(store, backend, clock), job(behave=[[1, "wait"]]))
    assert local.running() == []
    assert [end["state"] for end in local.ends()] == ([] if store.unwritable else ["stopped"])


def test_a_lake_that_is_unreachable_for_a_while_is_logged_once_and_tolerated(tmp_path: Path, local: World) -> None:
    store, clock = UnreliableStore(open_store(str(tmp_path / "lake"))), Clock()

    def break_once() -> None:
        if local.progress() and not clock.jumped:
            clock.jumped, store.failing_reads = 1, 4

    clock.meanwhile = break_once
    with DagsterInstance.ephemeral() as instance:
        runs = Runs(instance)
        result = runs(launcher(store, LocalBackend(tmp_path / "jobs"), clock), job(seconds=0.2))
        assert result.success, runs.failure(result)
        assert sum("trying again until it answers" in line for line in runs.lines(result)) == 1
