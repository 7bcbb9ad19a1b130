"""Reports in the lake, and the asset with its checks in Dagster."""

from dataclasses import replace
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_browser.publishing import make_browser
from assets.dialogues.schema import DIALOGUES
from assets.framework.publication import NotPublished
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.schema import SCORED
from assets.report.assets import experiment_report
from assets.report.checks import CHECKS, changes, not_reproduced
from assets.report.inputs import read_inputs
from assets.report.making import REPORTS, paid_by
from assets.training_programs.recipe import Training, load_training
from resources.lake.published_folders import list_files
from tests.shipped_scenarios import SCENARIOS

CHECK_NAMES = ("complete", "current", "numbers_reproducible", "loads_nothing")


def run(marks: Any, training: Training | None = None) -> ExecuteInProcessResult:
    return materialize(
        [experiment_report, *CHECKS],
        instance=DagsterInstance.ephemeral(),
        resources={"lake": marks.lake, "training": training or load_training("laptop"), "scenarios": SCENARIOS},
        raise_on_error=False,
    )


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def changed(marks: Any, scenarios: Scenarios = SCENARIOS, **manifest: Any) -> list[dict[str, str]]:
    """What is different since the latest report; a part of its manifest may be replaced."""
    report = REPORTS.latest(marks.lake)
    report = replace(report, manifest={**report.manifest, **manifest})
    return changes(report, read_inputs(marks.lake, scenarios, report.numbers["bases"]))


def test_there_is_no_report_before_one_is_made(marks: Any) -> None:
    with pytest.raises(NotPublished, match="materialise experiment_report first"):
        REPORTS.latest(marks.lake)


def test_the_same_rows_give_the_same_report_and_other_rows_another_one(whole: Any) -> None:
    first = REPORTS.latest(whole.lake)
    names = {file["path"] for file in first.manifest["files"]}
    assert names == {"numbers.json", "report.html", "report.md", "scores.parquet"}
    folder = whole.lake.store.local_path(first.folder)
    before = list_files(folder)
    assert whole.report().folder == first.folder
    assert list_files(folder) == before
    whole.answer("untuned", "more", [True])
    assert whole.report().id != first.id
    assert whole.lake.store.exists(f"{first.folder}/report.html")


def test_the_asset_shows_findings_accuracy_a_picture_and_the_page_and_its_checks_pass(whole: Any) -> None:
    result = run(whole)
    (event,) = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert "So small a run shows nothing" in shown["findings"].value
    assert "llama-3-8b, BOOST-QA" in shown["accuracy in percent"].value
    assert "data:image/png" in shown["BOOST-QA against the original answers"].value
    assert whole.lake.store.exists(shown["page"].value)
    assert checks(result) == dict.fromkeys(CHECK_NAMES, True)


def test_without_scores_the_asset_says_what_to_do(marks: Any) -> None:
    failures = [event for event in run(marks).all_node_events if event.is_step_failure]
    assert "materialise benchmark_scores first" in str(failures[0].event_specific_data)


def test_the_checks_of_a_report_over_training_seeds_pass(marks: Any) -> None:
    for base in ("smollm2-135m", "smollm2-135m-seed1"):
        marks.answer("ori", "sums", [True, False], base=base)
    marks.write()
    training = load_training("laptop")
    first = training.bases[0]
    again = first.model_copy(update={"name": "smollm2-135m-seed1", "seed_of": first.name, "seed": 1})
    assert checks(run(marks, training.model_copy(update={"bases": (first, again)}))) == dict.fromkeys(CHECK_NAMES, True)
    assert REPORTS.latest(marks.lake).numbers["bases"] == ["smollm2-135m"]


def test_a_changed_number_is_found(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    path = f"{report.folder}/numbers.json"
    text = whole.lake.store.get(path).decode()
    whole.lake.store.put(path, text.replace('"accuracy": 0.', '"accuracy": 0.9', 1).encode())
    (row,) = not_reproduced(REPORTS.latest(whole.lake), read_inputs(whole.lake, SCENARIOS, report.numbers["bases"]))
    assert row["part"] == "scores"


def test_what_was_made_since_makes_a_report_out_of_date(whole: Any) -> None:
    assert changed(whole) == []
    assert [row["what"] for row in changed(whole, format=1)] == ["experiment_report"]
    fewer = Scenarios([SCENARIOS["debate"], SCENARIOS["analogy"]])
    assert [row["what"] for row in changed(whole, fewer)] == ["scenarios"]
    make_browser(whole.lake)
    assert [row["what"] for row in changed(whole)] == ["dialogue_browser"]
    whole.answer("cot", "small_choice", [True], title="Small multiple choice")
    whole.write()
    assert "smollm2-135m|cot" in {row["what"] for row in changed(whole)}


def test_a_report_links_to_no_browser_of_another_release(whole: Any) -> None:
    folder = make_browser(whole.lake).folder
    path = f"{folder}/manifest.json"
    whole.lake.store.put(path, whole.lake.store.get(path).replace(b'"release": "', b'"release": "0'))
    assert "index.html" not in whole.page(whole.report())


UNDISTURBED = {"calls": 3, "prompt_tokens": 30, "completion_tokens": 12, "cost": 0.3}
KILLED = {
    **{"calls": 2, "prompt_tokens": 20, "completion_tokens": 8, "cost": 0.2},
    **{"replayed": 1, "replayed_prompt_tokens": 10, "replayed_completion_tokens": 4, "replayed_cost": 0.1},
    "replayed_of": "a run that ended before it wrote the partition",
}


def test_the_id_does_not_depend_on_which_run_paid(whole: Any) -> None:
    reports = []
    for usage in (UNDISTURBED, KILLED):
        for table in (DIALOGUES, SCORED):
            for record in whole.lake.records(table):
                rows, facts = whole.lake.read(table, [record.keys]), whole.lake.facts(table, record.keys)
                whole.lake.write(
                    table, record.keys, rows, fingerprint=record.fingerprint, facts={**facts, "usage": usage}
                )
        reports.append(whole.report())
    undisturbed = reports[0]
    partitions = len(whole.lake.records(SCORED))
    costs = [next(row for row in report.numbers["costs"] if row["scenario"] == "all") for report in reports]
    assert [(cost["cost"], cost["judge_tokens"]) for cost in costs] == [
        (pytest.approx(0.6 * partitions), 42 * partitions)
    ] * 2
    assert len({report.id for report in reports}) == 1
    assert undisturbed.manifest["paid"] == {"the run that wrote the partition": pytest.approx(0.6 * partitions)}
    assert paid_by(read_inputs(whole.lake, SCENARIOS, undisturbed.numbers["bases"])) == {
        "the run that wrote the partition": pytest.approx(0.4 * partitions),
        "a run that ended before it wrote the partition": pytest.approx(0.2 * partitions),
    }
