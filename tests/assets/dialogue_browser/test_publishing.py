"""The asset publishes a browser that passes its checks; the checks find what was changed afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_browser.assets import dialogue_browser
from assets.dialogue_browser.checks import CHECKS, misplaced, unreconciled
from assets.dialogue_browser.files import data_file, read_data_file
from assets.dialogue_browser.publishing import BROWSERS, Browser, make_browser
from assets.framework.publication import NotPublished
from resources.lake.published_folders import MANIFEST
from tests.tiny_lake import TinyLake


def run(tiny_lake: TinyLake, instance: DagsterInstance) -> ExecuteInProcessResult:
    return materialize(
        [dialogue_browser, *CHECKS], instance=instance, raise_on_error=False, resources={"lake": tiny_lake.lake}
    )


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def path_of(tiny_lake: TinyLake, browser: Browser, name: str) -> Path:
    return Path(tiny_lake.lake.store.uri(f"{browser.folder}/{name}"))


def rewrite(tiny_lake: TinyLake, browser: Browser, name: str, change: Callable[[Any], Any]) -> None:
    """Change a published data file, which nothing in the project ever does."""
    path = path_of(tiny_lake, browser, f"{name}.js")
    path.write_bytes(data_file(name, change(read_data_file(path.read_bytes()))))


def test_the_asset_publishes_passes_its_checks_and_shows_where_the_page_is(
    tiny_lake: TinyLake, instance: DagsterInstance
) -> None:
    release = tiny_lake.release(retracted=[tiny_lake.dialogues["eggs"].seed_id])
    result = run(tiny_lake, instance)
    assert checks(result) == {"complete": True, "counts_reconcile": True, "every_dialogue_once": True}
    (event,) = result.get_asset_materialization_events()
    page = str(event.step_materialization_data.materialization.metadata["page"].value)
    assert page.startswith(tiny_lake.lake.store.uri(f"dialogue_browser/{release.id}"))
    assert Path(page).is_file()


def test_without_a_release_the_run_says_what_to_materialise(tiny_lake: TinyLake, instance: DagsterInstance) -> None:
    (event,) = [event for event in run(tiny_lake, instance).all_node_events if event.is_step_failure]
    assert "materialise boost_qa first" in str(event.step_failure_data)


def test_a_complete_browser_is_not_written_again_and_an_incomplete_one_is_completed(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    assert make_browser(tiny_lake.lake) == browser
    path_of(tiny_lake, browser, MANIFEST).unlink()
    with pytest.raises(NotPublished, match="materialise dialogue_browser again"):
        BROWSERS.latest(tiny_lake.lake)
    assert make_browser(tiny_lake.lake).manifest["files"] == browser.manifest["files"]


def test_a_new_release_has_a_folder_of_its_own(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    first = make_browser(tiny_lake.lake)
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    second = make_browser(tiny_lake.lake)
    assert first.folder != second.folder == BROWSERS.latest(tiny_lake.lake).folder
    assert path_of(tiny_lake, first, "index.html").is_file()


def test_on_s3_every_dialogue_is_there_too(tiny_s3_lake: TinyLake) -> None:
    release = tiny_s3_lake.release()
    assert misplaced(tiny_s3_lake.lake, make_browser(tiny_s3_lake.lake), release) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: rows[:-1], "is missing"),
        (lambda rows: [*rows[:-1], rows[0]], "is there twice"),
        (lambda rows: rows[::-1], "is where the index lists"),
    ],
)
def test_dialogues_that_are_missing_repeated_or_in_another_order_are_found(
    tiny_lake: TinyLake, change: Callable[[Any], Any], fault: str
) -> None:
    release = tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    rewrite(tiny_lake, browser, "dialogues/00000", change)
    assert fault in str(misplaced(tiny_lake.lake, browser, release))


def test_another_verdict_is_found(tiny_lake: TinyLake) -> None:
    def all_accepted(index: dict[str, Any]) -> dict[str, Any]:
        return {**index, "columns": {**index["columns"], "verdict": [0] * index["dialogues"]}}

    release = tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    rewrite(tiny_lake, browser, "index", all_accepted)
    found = unreconciled(tiny_lake.lake, browser, release)
    assert [fault["verdict"] for fault in found] == ["accepted", "rejected"]


def test_a_damaged_file_fails_every_check(tiny_lake: TinyLake, instance: DagsterInstance) -> None:
    tiny_lake.release()
    path_of(tiny_lake, make_browser(tiny_lake.lake), "index.js").write_bytes(b"no longer")
    assert set(checks(run(tiny_lake, instance)).values()) == {False}
