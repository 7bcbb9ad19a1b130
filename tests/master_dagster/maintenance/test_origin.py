"""Runs of the command line belong to the code location, so that the UI's first screen shows them."""

from dagster import DagsterInstance, RunsFilter

from master_dagster.graph import build_definitions
from master_dagster.steps import run_step
from tests.sample_project import SampleProject


def test_runs_of_the_command_line_have_the_origin_of_the_code_location(
    project: SampleProject, instance: DagsterInstance
) -> None:
    run_step(build_definitions(project.deployment), instance, ["raw_seeds"], ["sums"])
    (run,) = instance.get_runs(RunsFilter(tags={".dagster/repository": "__repository__@master_dagster"}))
    assert run.is_success
    assert run.remote_job_origin
    assert run.remote_job_origin.repository_origin.get_label() == "__repository__@master_dagster"
