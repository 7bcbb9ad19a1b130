"""Runs of the command line belong to the code location, so that the UI's first screen shows them."""

from dagster import DagsterRunStatus, RunsFilter

from tests.sample_project import FinishedProject


def test_runs_of_the_command_line_have_the_origin_of_the_code_location(finished: FinishedProject) -> None:
    runs = finished.instance.get_runs()
    assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
    labels = {run.remote_job_origin and run.remote_job_origin.repository_origin.get_label() for run in runs}
    assert labels == {"__repository__@master_dagster"}
    ours = RunsFilter(tags={".dagster/repository": "__repository__@master_dagster"})
    assert finished.instance.get_runs_count(ours) == len(runs)
