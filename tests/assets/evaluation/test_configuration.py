"""The benchmarks configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.evaluation.configuration import CONFIGURATIONS, load_benchmarks
from resources.configuration import ConfigurationError

ONE: dict[str, Any] = {"name": "a", "kind": "multiple_choice", "form": "arc", "rows": {"file": "a.jsonl"}}
TASK: dict[str, Any] = {"name": "a", "kind": "lm_eval", "lm_eval": {"task": "sums"}}


def load(folder: Path, *benchmarks: dict[str, Any], **more: Any) -> Any:
    file = folder / "benchmarks.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "benchmarks": list(benchmarks), **more}))
    return load_benchmarks(str(file))


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml")))
def test_what_is_shipped_is_valid(name: str) -> None:
    assert load_benchmarks(name).name == name


def test_the_paper_asks_code_at_temperature_0_and_all_else_at_0_2() -> None:
    assert {(one.kind == "code", one.temperature) for one in load_benchmarks("paper").benchmarks} == {
        (True, 0.0),
        (False, 0.2),
    }


def test_the_paper_asks_without_shots() -> None:
    assert {one.shots for one in load_benchmarks("paper").benchmarks} == {0}


def test_files_lie_beside_the_configuration(tmp_path: Path) -> None:
    assert load(tmp_path, ONE).benchmarks[0].rows.file == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"form": "human_eval"}, "form 'human_eval' is of kind 'code'"),
        ({"form": "fields"}, "`fields` belongs to form `fields`"),
        ({"form": "fields", "fields": {"question": "q", "answer": "a"}}, "multiple choice needs fields.options"),
        ({"shots": 2}, "shots needs shot_rows"),
        ({"rows": {"file": "a.jsonl", "hub": {"id": "x/y"}}}, "give one of hub, file and package"),
        ({"rows": {}}, "give one of hub, file and package"),
        ({"rows": None}, "kind 'multiple_choice' needs form and rows"),
        ({"form": None}, "kind 'multiple_choice' needs form and rows"),
        ({"lm_eval": {"task": "sciq"}}, "`lm_eval` belongs to kind `lm_eval`"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, {**ONE, **fault})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"lm_eval": None}, "kind `lm_eval` needs `lm_eval`, with a task"),
        ({"form": "arc"}, "leave out form and fields"),
        ({"shot_rows": {"file": "a.jsonl"}}, "shot_rows and where need rows"),
        ({"where": {"subject": ["law"]}}, "shot_rows and where need rows"),
    ],
)
def test_what_does_not_fit_a_task_of_lm_eval_is_named(tmp_path: Path, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, {**TASK, **fault})


def test_a_folder_of_tasks_lies_beside_the_configuration(tmp_path: Path) -> None:
    task = {**TASK, "lm_eval": {"task": "sums", "include_path": "tasks"}}
    assert load(tmp_path, task).benchmarks[0].lm_eval.include_path == str(tmp_path / "tasks")


def test_two_benchmarks_of_one_name_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two benchmarks are called 'a'"):
        load(tmp_path, ONE, ONE)


def test_an_exchange_of_no_benchmark_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"exchange\.benchmarks: there is no 'b'"):
        load(tmp_path, ONE, exchange={"benchmarks": ["b"]})
