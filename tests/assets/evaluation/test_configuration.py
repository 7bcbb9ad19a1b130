"""The benchmarks configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.evaluation.configuration import CONFIGURATIONS, load_benchmarks
from resources.configuration import ConfigurationError

ONE: dict[str, Any] = {"name": "a", "kind": "multiple_choice", "form": "arc", "rows": {"file": "a.jsonl"}}
TASK: dict[str, Any] = {"name": "a", "kind": "lm_eval", "lm_eval": {"task": "sums"}}
CODE: dict[str, Any] = {"name": "a", "kind": "code", "form": "fields", "rows": {"file": "a.jsonl"}}


def load(folder: Path, *benchmarks: dict[str, Any], **more: Any) -> Any:
    file = folder / "benchmarks.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "benchmarks": list(benchmarks), **more}))
    return load_benchmarks(str(file))


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml")))
def test_what_is_shipped_is_valid(name: str) -> None:
    assert load_benchmarks(name).name == name


def test_the_paper_asks_without_shots_code_at_temperature_0_and_all_else_at_0_2() -> None:
    asked = load_benchmarks("paper").benchmarks
    assert {(one.kind == "code", one.temperature, one.shots) for one in asked} == {(True, 0.0, 0), (False, 0.2, 0)}


def test_paths_are_relative_to_the_configuration_file(tmp_path: Path) -> None:
    task = {**TASK, "name": "b", "lm_eval": {"task": "sums", "include_path": "tasks"}}
    rows, tasks = load(tmp_path, ONE, task).benchmarks
    assert (rows.rows.file, tasks.lm_eval.include_path) == (str(tmp_path / "a.jsonl"), str(tmp_path / "tasks"))


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({**ONE, "form": "human_eval"}, r"form: Input should be 'fields', .*\(given: 'human_eval'\)"),
        ({**ONE, "form": "fields"}, "`fields` belongs to form `fields`"),
        ({**ONE, "form": "fields", "fields": {"question": "q", "answer": "a"}}, "fields.options: has to be given"),
        ({**ONE, "shots": 2}, "shots needs shot_rows"),
        ({**ONE, "rows": {"file": "a.jsonl", "hub": {"id": "x/y"}}}, "give one of hub, file and package"),
        ({**ONE, "rows": {}}, "give one of hub, file and package"),
        ({"name": "a", "kind": "judged", "form": "math"}, "rows: has to be given"),
        ({**ONE, "lm_eval": {"task": "sciq"}}, "multiple_choice.lm_eval: there is no such key"),
        ({**ONE, "kind": "choice"}, "there is no kind 'choice'; kinds: code, judged, lm_eval, multiple_choice"),
        ({**CODE, "fields": {"question": "q", "answer": "a"}}, "fields.tests: has to be given"),
        ({**CODE, "form": "mbpp", "shots": 1, "shot_rows": {"file": "b.jsonl"}}, "code is asked without shots"),
        ({"name": "a", "kind": "lm_eval"}, "lm_eval.lm_eval: has to be given"),
        ({**ONE, "answers_of": "a"}, "answers_of names no earlier benchmark: 'a'"),
        ({**TASK, "form": "arc"}, "lm_eval.form: there is no such key.*keys here: .*sample, "),
        ({**TASK, "lm_eval": {"taks": "sums"}}, "there is no such key; is task meant"),
        ({**TASK, "shot_rows": {"file": "a.jsonl"}}, "shot_rows and where need rows"),
        ({**TASK, "where": {"subject": ["law"]}}, "shot_rows and where need rows"),
    ],
)
def test_a_fault_of_a_benchmark_is_named(tmp_path: Path, benchmark: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, benchmark)


def test_names_of_benchmarks_are_checked(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"two benchmarks are called 'a'; exchange\.benchmarks: there is no 'b'"
    ):
        load(tmp_path, ONE, ONE, exchange={"benchmarks": ["b"]})
