"""The sensor that watches the sources: what it launches when files change, and what it leaves for the next tick."""

from dataclasses import dataclass

import pytest
from dagster import AssetKey, DagsterInstance, RunRequest, build_sensor_context

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.seeds.intake import take_in
from assets.seeds.schema import SEEDS
from master_dagster.automation.sources import sources_sensor
from master_dagster.graph import build_definitions
from tests.sample_project import SampleProject


@dataclass
class Watched:
    """A project whose sources the sensor watches, with the sensor's cursor."""

    project: SampleProject
    instance: DagsterInstance
    cursor: str | None = None

    def tick(self) -> list[RunRequest] | str:
        """The runs that a tick launches, or why it launches none."""
        ours = self.project.deployment
        resources = {"lake": ours.lake(), "seeds_configuration": ours.seeds}
        with build_sensor_context(self.instance, self.cursor, resources=resources) as context:
            result = sources_sensor().evaluate_tick(context)
        self.cursor = result.cursor
        return list(result.run_requests or []) or str(result.skip_message)

    def launched(self) -> RunRequest:
        """The single run that a tick launches."""
        (request,) = self.tick()
        assert isinstance(request, RunRequest)
        return request

    def execute(self, request: RunRequest) -> None:
        job = build_definitions(self.project.deployment).resolve_job_def(str(request.job_name))
        assert job.execute_in_process(instance=self.instance, tags=request.tags).success


@pytest.fixture
def watched(project: SampleProject, instance: DagsterInstance) -> Watched:
    return Watched(project, instance)


def test_new_files_become_seeds_and_plans_without_a_click(watched: Watched) -> None:
    assert watched.tick() == "source 'sums' is read if it is unchanged at the next tick"
    reading = watched.launched()
    assert (reading.job_name, reading.tags["master/due"]) == ("read_seeds", "never read")
    watched.execute(reading)
    planning = watched.launched()
    assert (planning.job_name, planning.tags["dagster/partition"]) == ("plan_dialogues", "sums-0000")
    watched.execute(planning)
    assert watched.tick() == "no source changed"
    lake = watched.project.deployment.lake()
    assert [record.rows for record in lake.records(SEEDS)] == [12]
    assert [record.rows for record in lake.records(DIALOGUE_PLANS)] == [12]
    watched.project.write_seeds(range(15))
    watched.tick()
    watched.execute(watched.launched())
    watched.execute(watched.launched())
    assert [record.rows for record in lake.records(DIALOGUE_PLANS)] == [12, 3]
    assert watched.instance.get_materialized_partitions(AssetKey("dialogue_plans")) == {"sums-0000", "sums-0001"}


def test_a_file_that_grows_between_two_ticks_waits_for_the_next(watched: Watched) -> None:
    for rows in (12, 13, 14):
        watched.project.write_seeds(range(rows))
        assert watched.tick() == "source 'sums' is read if it is unchanged at the next tick"
    assert watched.launched().job_name == "read_seeds"


def test_seeds_whose_embedding_failed_are_embedded_by_another_run(watched: Watched) -> None:
    watched.tick()
    ours = watched.project.deployment
    take_in(ours.lake(), ours.seeds, "sums")
    request = watched.launched()
    assert request.tags["master/due"] == "it has seeds without embeddings"
    watched.execute(request)
    assert watched.launched().job_name == "plan_dialogues"


def test_a_reading_is_launched_once_for_the_same_files(watched: Watched) -> None:
    """Dagster launches one run per run key."""
    watched.tick()
    assert watched.launched().run_key == watched.launched().run_key


def test_an_unreachable_source_is_named_and_is_no_error(watched: Watched) -> None:
    (watched.project.folder / "sums.jsonl").unlink()
    assert "sums.jsonl: there is no such file" in str(watched.tick())
    watched.project.write_seeds(range(12))
    watched.tick()
    assert watched.launched().job_name == "read_seeds"
