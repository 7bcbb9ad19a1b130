"""The asset publishes what its checks then find right; checks find what was tampered with."""

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


def run(tiny_lake: TinyLake) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [dialogue_browser, *CHECKS], instance=instance, raise_on_error=False, resources={"lake": tiny_lake.lake}
        )


def verdicts(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def path_of(tiny_lake: TinyLake, browser: Browser, name: str) -> Path:
    return Path(tiny_lake.lake.store.uri(f"{browser.folder}/{name}"))


def rewrite(tiny_lake: TinyLake, browser: Browser, name: str, change: Callable[[Any], Any]) -> None:
    """Write a published data file otherwise, which nothing in the project ever does."""
    path = path_of(tiny_lake, browser, f"{name}.js")
    path.write_bytes(data_file(name, change(read_data_file(path.read_bytes()))))


def faults(tiny_lake: TinyLake, browser: Browser) -> str:
    return str(misplaced(tiny_lake.lake, browser, tiny_lake.release()))


def test_the_asset_publishes_and_its_checks_pass(tiny_lake: TinyLake) -> None:
    tiny_lake.release(retracted=[tiny_lake.taught["eggs"].seed_id])
    result = run(tiny_lake)
    assert result.success
    assert verdicts(result) == {"complete": True, "counts_reconcile": True, "every_dialogue_once": True}


def test_the_ui_shows_where_the_page_lies(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    (event,) = run(tiny_lake).get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert str(shown["page"].value).startswith(f"dialogue_browser/{release.id}/")
    assert Path(tiny_lake.lake.store.uri(str(shown["page"].value))).is_file()


def test_without_a_release_it_says_what_to_do(tiny_lake: TinyLake) -> None:
    result = run(tiny_lake)
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    assert "materialise boost_qa first" in str(event.step_failure_data)


def test_a_browser_that_is_there_is_found_again(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    assert make_browser(tiny_lake.lake) == make_browser(tiny_lake.lake)


def test_a_folder_without_manifest_is_completed(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
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


def test_on_s3_it_is_published_too(tiny_s3_lake: TinyLake) -> None:
    release = tiny_s3_lake.release()
    browser = make_browser(tiny_s3_lake.lake)
    assert misplaced(tiny_s3_lake.lake, browser, release) == []


def test_a_dialogue_that_is_gone_is_found(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    rewrite(tiny_lake, browser, "dialogues/00000", lambda rows: rows[:-1])
    assert "is missing" in faults(tiny_lake, browser)


def test_a_dialogue_that_is_there_twice_is_found(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    rewrite(tiny_lake, browser, "dialogues/00000", lambda rows: [*rows[:-1], rows[0]])
    assert "is there twice" in faults(tiny_lake, browser)


def test_dialogues_in_another_order_than_the_index_are_found(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    rewrite(tiny_lake, browser, "dialogues/00000", lambda rows: rows[::-1])
    assert "stands where the index lists" in faults(tiny_lake, browser)


def test_another_verdict_is_found(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    browser = make_browser(tiny_lake.lake)

    def all_accepted(index: dict[str, Any]) -> dict[str, Any]:
        return {**index, "columns": {**index["columns"], "verdict": [0] * index["dialogues"]}}

    rewrite(tiny_lake, browser, "index", all_accepted)
    found = unreconciled(tiny_lake.lake, browser, release)
    assert [fault["verdict"] for fault in found] == ["accepted", "rejected"]


def test_a_damaged_file_is_found(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    browser = make_browser(tiny_lake.lake)
    path_of(tiny_lake, browser, "index.js").write_bytes(b"no longer")
    assert set(verdicts(run(tiny_lake)).values()) == {False}
