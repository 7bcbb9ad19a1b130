"""What a trainer does with work, whatever the place."""

import contextlib
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterExecutionInterruptedError, DagsterInstance

from resources.lake.opening import open_store
from resources.lake.store import Store, StoreError
from resources.training_jobs.attempts import claim_attempt, newest_attempt, record_end, write_parent
from resources.training_jobs.backend import Backend, BackendUnreachable, Job, JobState, JobStatus
from resources.training_jobs.launcher import CLAIMER_GONE_SECONDS, JobLauncher
from resources.training_jobs.local import LocalBackend
from tests.resources.training_jobs.launching import Clock, Runs, World, trainer, work
from tests.waiting import until

FOLDER = "checkpoints/tiny/1"


def test_work_is_taken_to_its_manifest(world: World, runs: Runs) -> None:
    result = runs(world.trainer(), work())
    assert result.success, runs.failure(result)
    assert json.loads(world.store.get(f"{FOLDER}/manifest.json")) == {"sum": 3}


def test_nothing_runs_when_the_work_is_done(local: World, runs: Runs) -> None:
    runs(local.trainer(), work())
    assert local.running() == []


def test_progress_reaches_the_runs_log(local: World, runs: Runs) -> None:
    assert "step 2" in runs.lines(runs(local.trainer(), work()))


def test_lost_messages_are_told_and_not_waited_for(local: World, runs: Runs) -> None:
    lines = runs.lines(runs(local.trainer(), work(loses=[3])))
    assert "messages 3 to 3 of the job were lost" in lines
    assert "step 2" in lines


def test_done_work_launches_nothing(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/manifest.json", b"{}")
    assert runs(local.trainer(), work()).success
    assert newest_attempt(local.store, FOLDER) is None


def test_an_interrupted_job_goes_on_where_it_was(world: World, runs: Runs) -> None:
    result = runs(world.trainer(), work(behave=[[1, "interrupted"]], attempts=[1]))
    assert result.success, runs.failure(result)
    assert world.progress() == [1, 2, 2]


def test_tries_are_limited_and_their_end_is_told(local: World, runs: Runs) -> None:
    failure = runs.failure(runs(local.trainer(), work(behave=[[1, "interrupted"]])))
    assert "3 jobs were interrupted or never started" in failure
    assert len(local.attempts()) == 3


def test_waits_between_tries_double(local: World, runs: Runs) -> None:
    clock = Clock()
    runs(local.trainer(clock, retry_seconds=7), work(behave=[[1, "interrupted"]]))
    assert [seconds for seconds in clock.slept if seconds >= 7] == [7, 14]


def test_a_job_that_fails_by_its_own_fault_is_not_tried_again(local: World, runs: Runs) -> None:
    assert not runs(local.trainer(), work(behave=[[1, "fail"]])).success
    assert [end["state"] for end in local.attempts()] == ["failed"]


def test_a_failure_tells_the_jobs_own_reason_once_and_its_last_lines(world: World, runs: Runs) -> None:
    failure = runs.failure(runs(world.trainer(), work(behave=[[1, "fail"]])))
    assert failure.count("the loss is NaN") == 1
    assert "step 7: NaN" in failure


def test_asking_again_after_a_failure_tries_anew(local: World, runs: Runs) -> None:
    failing = work(behave=[[1, "fail"]], attempts=[1])
    runs(local.trainer(), failing)
    assert runs(local.trainer(), failing).success
    assert local.progress() == [1, 2, 2]


def test_a_failure_that_the_job_calls_passing_is_tried_again(local: World, runs: Runs) -> None:
    assert runs(local.trainer(), work(behave=[[1, "out of reach"]], attempts=[1])).success


def test_a_job_that_ends_well_without_a_manifest_is_an_error(local: World, runs: Runs) -> None:
    failure = runs.failure(runs(local.trainer(), work(forgets_manifest=True)))
    assert "ended well, but left no manifest.json" in failure


def test_other_work_in_the_folder_is_an_error(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "2", "steps": 3}')
    assert "asks for 2, this run for 1" in runs.failure(runs(local.trainer(), work()))


def test_the_same_work_asked_for_in_another_way_is_done_in_that_way(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "1", "steps": 9}')
    result = runs(local.trainer(), work())
    assert result.success, runs.failure(result)
    assert local.progress() == [1, 1, 1]


def test_done_work_asked_for_in_another_way_stays_as_it_is(local: World, runs: Runs) -> None:
    local.store.put(f"{FOLDER}/specification.json", b'{"id": "1", "steps": 9}')
    local.store.put(f"{FOLDER}/manifest.json", b"{}")
    assert runs(local.trainer(), work()).success
    assert local.store.get(f"{FOLDER}/specification.json") == b'{"id": "1", "steps": 9}'


def test_two_launches_at_the_same_moment_are_one_job(world: World) -> None:
    together = threading.Barrier(2)

    def launch() -> bool:
        with DagsterInstance.ephemeral() as instance:
            together.wait()
            return Runs(instance)(world.trainer(), work(seconds=0.3)).success

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(launch) for _ in range(2)]
        assert [result.result() for result in results] == [True, True]
    assert world.progress() == [1, 1, 1]


def test_a_silent_job_is_described_and_stopped_and_counts_as_lost(world: World, runs: Runs) -> None:
    clock = Clock()

    def jump_once_it_waits() -> None:
        attempt = newest_attempt(world.store, FOLDER)
        if attempt and attempt.number == 1 and clock.jumped < 1800 and len(world.progress()) == 1:
            clock.jumped += 600

    clock.meanwhile = jump_once_it_waits
    result = runs(world.trainer(clock), work(behave=[[1, "wait"]], attempts=[1], silent=True))
    assert result.success, runs.failure(result)
    [told] = [line for line in runs.lines(result) if "no heartbeat for 15 minutes" in line and "last lines" in line]
    assert told.splitlines()[-1] == "step 0"
    assert world.progress() == [1, 2, 2]


def test_a_claim_whose_claimer_died_is_taken_over_under_its_name(local: World, runs: Runs) -> None:
    clock = Clock()
    where = local.trainer().backend.where
    claimed = claim_attempt(local.store, work(), 1, where, "dead", clock() - CLAIMER_GONE_SECONDS - 1)
    result = runs(local.trainer(clock), work())
    assert result.success, runs.failure(result)
    attempt = newest_attempt(local.store, FOLDER)
    assert claimed is not None and attempt is not None
    assert (attempt.number, attempt.job) == (1, claimed.job)


def test_a_claim_is_not_taken_over_while_its_claimer_may_be_about_to_submit(local: World, runs: Runs) -> None:
    clock = Clock()
    claim_attempt(local.store, work(), 1, local.trainer().backend.where, "other", clock())
    waited: list[bool] = []

    def jump_later() -> None:
        waited.append(local.running() == [])
        if len(waited) == 5:
            clock.jumped = CLAIMER_GONE_SECONDS + 1

    clock.meanwhile = jump_later
    assert runs(local.trainer(clock), work()).success
    assert waited[:5] == [True] * 5


def test_an_attempt_that_ended_while_nobody_looked_is_followed_by_the_next(local: World, runs: Runs) -> None:
    runs(local.trainer(), work(behave=[[1, "fail"]], attempts=[1]))
    local.store.delete(f"{FOLDER}/attempts/0001/end.json")
    assert runs(local.trainer(), work(behave=[[1, "fail"]], attempts=[1])).success
    assert [end["state"] for end in local.attempts()] == ["failed", "succeeded"]


def test_a_job_at_a_place_that_cannot_be_asked_is_followed_by_its_heartbeat(local: World, runs: Runs) -> None:
    clock = Clock()
    attempt = claim_attempt(local.store, work(), 1, "local:elsewhere", "other", clock())
    assert attempt is not None
    write_parent(local.store, attempt, "other", clock(), None)

    def finish() -> None:
        assert len(clock.slept) < 20, "its end is not seen"
        local.store.put(f"{FOLDER}/manifest.json", b"{}")

    clock.meanwhile = finish
    assert runs(local.trainer(clock), work()).success
    assert local.progress() == []
    assert [end["state"] for end in local.attempts()] == ["succeeded"]


def test_the_end_that_another_run_noted_of_a_job_elsewhere_counts(local: World, runs: Runs) -> None:
    clock = Clock()
    attempt = claim_attempt(local.store, work(), 1, "local:elsewhere", "other", clock())
    assert attempt is not None

    def be_interrupted() -> None:
        assert len(clock.slept) < 50, "its end is not seen"
        record_end(local.store, attempt, JobStatus(JobState.INTERRUPTED))

    clock.meanwhile = be_interrupted
    assert runs(local.trainer(clock), work()).success
    assert local.progress() == [2, 2, 2]


def test_a_job_at_a_place_that_cannot_be_asked_is_lost_when_it_falls_silent(local: World, runs: Runs) -> None:
    clock = Clock()
    claim_attempt(local.store, work(), 1, "local:elsewhere", "other", clock() - 3600)
    assert runs(local.trainer(clock), work()).success
    assert [end["state"] for end in local.attempts()] == ["interrupted", "succeeded"]


class ShakyPlace:
    """A place that takes a while to know of what it was sent, refuses to answer, or takes a job without answering."""

    def __init__(self, place: Backend) -> None:
        self.backend = place
        self.unanswered: Counter[str] = Counter()  # by operation: so many calls are not answered
        self.unlisted = 0  # so many looks do not see the job yet

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def _answer(self, operation: str) -> None:
        if self.unanswered[operation] > 0:
            self.unanswered[operation] -= 1
            raise BackendUnreachable(f"{operation} is throttled")

    def submit(self, job: Job) -> None:
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


@dataclass
class Asked:
    """A run that is asked to end while its job waits, on a bad day."""

    place: ShakyPlace
    store: "Outage"
    trainer: JobLauncher
    clock: Clock

    def ask_once(self, when: Callable[[], bool], bad_luck: Callable[[], object]) -> None:
        asked: list[bool] = []

        def look() -> None:
            if not asked and when():
                asked.append(True)
                bad_luck()
                os.kill(os.getpid(), signal.SIGTERM)

        self.clock.meanwhile = look


@pytest.fixture
def asked(local: World, tmp_path: Path) -> Asked:
    place, store, clock = ShakyPlace(local.trainer().backend), Outage(local.store), Clock()
    return Asked(place, store, trainer(store, place, clock), clock)


def end(asked: Asked, runs: Runs) -> None:
    with contextlib.suppress(DagsterExecutionInterruptedError):
        runs(asked.trainer, work(behave=[[1, "wait"]]))


def test_a_job_is_stopped_though_the_place_is_throttled(asked: Asked, local: World, runs: Runs) -> None:
    asked.ask_once(local.has_begun, lambda: asked.place.unanswered.update(status=2))
    end(asked, runs)
    assert local.running() == []
    assert [noted["state"] for noted in local.attempts()] == ["stopped"]


def test_a_job_is_stopped_though_the_lake_is_out_of_reach(asked: Asked, local: World, runs: Runs) -> None:
    asked.ask_once(local.has_begun, lambda: setattr(asked.store, "unwritable", True))
    end(asked, runs)
    assert local.running() == []


def test_a_job_whose_submission_was_not_answered_is_stopped_once_it_is_known(
    asked: Asked, local: World, runs: Runs
) -> None:
    asked.place.unanswered.update(submit=1)
    asked.ask_once(lambda: until(local.has_begun), lambda: setattr(asked.place, "unlisted", 3))
    end(asked, runs)
    assert local.running() == []


class Outage:
    """A store that cannot be read for a while."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults = 0
        self.unwritable = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        if self.unwritable:
            raise StoreError("PutObject failed: no network")
        return self.store.put_if_absent(path, data)

    def get(self, path: str) -> bytes:
        if self.faults > 0:
            self.faults -= 1
            raise StoreError("GetObject failed: no network")
        return self.store.get(path)


def test_a_lake_that_is_out_of_reach_for_a_while_is_told_once_and_borne(tmp_path: Path, local: World) -> None:
    store, clock = Outage(open_store(str(tmp_path / "lake"))), Clock()

    def break_once() -> None:
        if local.progress() and not clock.jumped:
            clock.jumped, store.faults = 1, 4

    clock.meanwhile = break_once
    place = LocalBackend(tmp_path / "jobs")
    with DagsterInstance.ephemeral() as instance:
        runs = Runs(instance)
        result = runs(trainer(store, place, clock), work(seconds=0.2))
        assert result.success, runs.failure(result)
        assert sum("trying again until it answers" in line for line in runs.lines(result)) == 1
