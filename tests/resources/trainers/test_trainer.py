import json

from resources.store import Store
from tests.resources.trainers.launching import Jobs, Runs, trainer, work


def test_work_is_taken_to_its_manifest(store: Store, jobs: Jobs, runs: Runs) -> None:
    result = runs(trainer(store, jobs.place()), work())
    assert result.success, runs.failure(result)
    assert json.loads(store.get("checkpoints/tiny/1/manifest.json")) == {"sum": 3}
    assert jobs.processes() == []


def test_progress_reaches_the_runs_log(store: Store, jobs: Jobs, runs: Runs) -> None:
    result = runs(trainer(store, jobs.place()), work())
    assert "step 2" in runs.lines(result)
