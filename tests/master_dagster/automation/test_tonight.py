"""What the night shows is what the schedule launches; what is due in the other stages; the command and the asset."""

import json

import pytest
from dagster import AssetKey, DagsterInstance, TableMetadataValue

from assets.seeds.schema import READINGS
from master_dagster.automation.schedule import TONIGHT
from master_dagster.cli.estimate import estimate_planned
from master_dagster.graph import build_definitions
from master_dagster.steps import run_step
from master_dagster.terminal import console
from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import SampleProject

Output = pytest.CaptureFixture[str]


def steps_of(capsys: Output) -> dict[str, list[dict[str, object]]]:
    """What `night --json` prints, by stage."""
    capsys.readouterr()
    assert run_command("night", "--json") == 0
    found: dict[str, list[dict[str, object]]] = {}
    for step in json.loads(capsys.readouterr().out)["steps"]:
        found.setdefault(step["stage"], []).append(step)
    return found


def test_a_new_project_has_a_source_to_read(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(project, monkeypatch)
    (step,) = steps_of(capsys)["seeds"]
    assert (step["what"], step["why"]) == ("sums", "never read")
    assert (step["launched_by"], step["on"]) == ("read_changed_sources", False)
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command("night") == 0
    assert "│ seeds │ sums │ never read │ read_changed_sources (off) │" in output_of(capsys)


def test_a_problem_with_a_source_is_shown_as_it_is(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(project, monkeypatch)
    seeds = project.folder / "seeds.yaml"
    seeds.write_text(seeds.read_text().replace("sums.jsonl", "'[a-z].jsonl'"))
    (step,) = steps_of(capsys)["seeds"]
    monkeypatch.setattr(console, "width", 400)
    assert run_command("night") == 0
    assert f" {step['why']} │ nothing " in output_of(capsys)
    assert "/[a-z].jsonl: there is no such file" in str(step["why"])


def test_planned_partitions_have_reasons_and_both_prices(
    planned_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(planned_project, monkeypatch)
    expected, _ = estimate_planned(planned_project.deployment)
    steps = steps_of(capsys)["dialogues"]
    assert {key for step in steps for key in step["partitions"]} == {  # type: ignore[attr-defined]
        f"{scenario}|sums-0000" for scenario in planned_project.deployment.scenarios
    }
    assert {step["why"] for step in steps} == {"not made yet"}
    assert sum(int(str(step["dialogues"])) for step in steps) == 12
    assert expected.live_cost > 0
    for name in ("live_cost", "batch_cost", "calls"):
        assert sum(float(str(step[name])) for step in steps) == pytest.approx(getattr(expected, name), rel=0.05)
    assert run_command("night") == 0
    assert "nightly_partitions (off)" in output_of(capsys)
    assert planned_project.endpoint.requests == []


def test_a_finished_project_has_nothing_to_generate_and_its_new_rows_to_read(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished_project, monkeypatch)
    recorded = finished_project.deployment.lake().facts(READINGS, {"source": "sums"})
    assert recorded["listing"]
    found = steps_of(capsys)
    assert "dialogues" not in found
    assert {step["what"] for step in found["training"]} == {
        f"{base.name}|{variant}"
        for base in finished_project.deployment.training.bases
        for variant in ("untuned", "boost_qa", "ori", *finished_project.deployment.training.variants)
    } - {f"{finished_project.deployment.training.bases[0].name}|untuned"}
    assert [step["why"] for step in found["evaluation"]] == ["not scored yet"]


def test_the_asset_has_the_table_in_the_ui(planned_project: SampleProject, instance: DagsterInstance) -> None:
    run_step(build_definitions(planned_project.deployment), instance, [TONIGHT], None)
    found = instance.get_latest_materialization_event(AssetKey(TONIGHT))
    assert found is not None and found.asset_materialization is not None
    table = found.asset_materialization.metadata["night"]
    assert isinstance(table, TableMetadataValue)
    assert {record.data["stage"] for record in table.records} == {"seeds", "dialogues", "release"}
    assert planned_project.endpoint.requests == []
