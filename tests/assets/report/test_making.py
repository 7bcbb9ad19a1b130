"""Reports in the lake, and the asset with its checks in Dagster."""

from dataclasses import replace
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_browser.publishing import make_browser
from assets.framework.publication import NotPublished
from assets.report.assets import experiment_report
from assets.report.checks import changes, experiment_report_checks, not_reproduced
from assets.report.inputs import read_inputs
from assets.report.making import REPORTS
from assets.training_programs.recipe import Training, load_training
from resources.lake.published_folders import list_files


def run(marks: Any, training: Training | None = None) -> ExecuteInProcessResult:
    return materialize(
        [experiment_report, experiment_report_checks],
        instance=DagsterInstance.ephemeral(),
        resources={"lake": marks.lake, "training": training or load_training("laptop")},
        raise_on_error=False,
    )


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def test_a_report_is_complete_and_the_latest(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    names = {file["path"] for file in report.manifest["files"]}
    assert names == {"numbers.json", "report.html", "report.md", "scores.parquet"}


def test_the_same_rows_give_the_same_report(whole: Any) -> None:
    first = REPORTS.latest(whole.lake)
    folder = whole.lake.store.local_path(first.folder)
    before = list_files(folder)
    assert whole.report().folder == first.folder
    assert list_files(folder) == before


def test_other_rows_give_another_report_and_the_first_one_stays(whole: Any) -> None:
    first = REPORTS.latest(whole.lake)
    whole.answer("untuned", "more", [True])
    second = whole.report()
    assert second.id != first.id
    assert whole.lake.store.exists(f"{first.folder}/report.html")


def test_there_is_no_report_before_one_is_made(marks: Any) -> None:
    with pytest.raises(NotPublished, match="materialise experiment_report first"):
        REPORTS.latest(marks.lake)


def test_the_asset_shows_findings_accuracy_a_picture_and_the_place(whole: Any) -> None:
    result = run(whole)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert "So small a run shows nothing" in shown["findings"].value
    assert "llama-3-8b, BOOST-QA" in shown["accuracy in percent"].value
    assert "data:image/png" in shown["BOOST-QA against the original answers"].value
    assert whole.lake.store.exists(shown["page"].value)


def test_the_checks_of_a_fresh_report_pass(whole: Any) -> None:
    assert checks(run(whole)) == dict.fromkeys(("complete", "current", "numbers_reproducible", "loads_nothing"), True)


def test_without_scores_the_asset_says_what_to_do(marks: Any) -> None:
    result = run(marks)
    assert not result.success
    (event,) = [event for event in result.all_node_events if event.is_step_failure and "report" in str(event.step_key)][
        :1
    ]
    assert "materialise benchmark_scores first" in str(event.event_specific_data)


def test_a_changed_number_is_found(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    path = f"{report.folder}/numbers.json"
    text = whole.lake.store.get(path).decode()
    whole.lake.store.put(path, text.replace('"accuracy": 0.', '"accuracy": 0.9', 1).encode())
    assert not_reproduced(REPORTS.latest(whole.lake), read_inputs(whole.lake, report.numbers["bases"])) == [
        {"part": "scores", "fault": "the stored rows give another value"}
    ]


def test_a_report_of_another_version_is_out_of_date(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    earlier = replace(report, manifest={**report.manifest, "format": 1})
    assert [row["what"] for row in changes(earlier, read_inputs(whole.lake, report.numbers["bases"]))] == [
        "experiment_report"
    ]


def test_the_checks_of_a_report_over_training_seeds_pass(marks: Any) -> None:
    for base in ("smollm2-135m", "smollm2-135m-seed1"):
        marks.answer("ori", "sums", [True, False], base=base)
    marks.write()
    training = load_training("laptop")
    first = training.bases[0]
    again = first.model_copy(update={"name": "smollm2-135m-seed1", "seed_of": first.name, "seed": 1})
    result = run(marks, training.model_copy(update={"bases": (first, again)}))
    assert checks(result) == dict.fromkeys(("complete", "current", "numbers_reproducible", "loads_nothing"), True)
    assert REPORTS.latest(marks.lake).numbers["bases"] == ["smollm2-135m"]


def test_scores_of_a_later_day_make_a_report_out_of_date(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    whole.answer("cot", "small_choice", [True], title="Small multiple choice")
    whole.write()
    found = changes(report, read_inputs(whole.lake, report.numbers["bases"]))
    assert {"what": "smollm2-135m|cot", "change": "scored since, or scored anew"} in found


def test_a_browser_that_was_made_since_makes_a_report_out_of_date(whole: Any) -> None:
    report = REPORTS.latest(whole.lake)
    make_browser(whole.lake)
    (found,) = changes(report, read_inputs(whole.lake, report.numbers["bases"]))
    assert found["what"] == "dialogue_browser"


def test_a_report_links_to_no_other_releases_browser(whole: Any) -> None:
    folder = make_browser(whole.lake).folder
    path = f"{folder}/manifest.json"
    whole.lake.store.put(path, whole.lake.store.get(path).replace(b'"release": "', b'"release": "0'))
    assert "index.html" not in whole.page(whole.report())
