"""`master-dagster train`, `evaluate` and `report`, which are also `make demo-train`."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.boost_qa.release import RELEASES
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import TUNED_BY_DEFAULT, UNTUNED
from assets.report.making import REPORTS
from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import SampleProject
from tests.tiny_model import make_tiny_model

PROJECT = Path(__file__).parents[3]
QUESTION = {"kind": "multiple_choice", "form": "fields", "max_tokens": 20}
FIELDS = {"id": "id", "question": "question", "options": "options", "answer": "answer"}


@pytest.fixture
def small(finished_project: SampleProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """The finished project, a tiny base model to fine-tune on this machine, and five questions for the endpoint."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    make_tiny_model(tmp_path / "model", context_tokens=2048)
    rows = [{"id": f"q{n}", "question": f"{n} + 1?", "options": [str(n + 1), "0"], "answer": "A"} for n in range(5)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = {**QUESTION, "name": "sums", "rows": {"file": "questions.jsonl"}, "fields": FIELDS}
    recipe = {"epochs": 1, "batch_size": 1, "effective_batch": 4, "max_tokens": 2048}
    base = {"name": "tiny", "model": str(tmp_path / "model"), "template": "chatml", "context_tokens": 2048}
    files: Mapping[str, Any] = {
        "training": {"bases": [base], "recipe": recipe, "variants": {"dpo": {}}},
        "trainer": {
            "backend": {"kind": "local", "folder": str(tmp_path / "jobs")},
            "timeouts": {"poll_seconds": 0.1},
        },
        "benchmarks": {"name": "sums", "benchmarks": [questions]},
        "served": {"kind": "endpoint", "endpoint": {"base_url": finished_project.endpoint.base_url}},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    finished_project.endpoint.answer_with(lambda request: "The answer is [A].")
    set_environment(finished_project, monkeypatch)
    for name in files:
        monkeypatch.setenv(f"MASTER_{name.upper()}", str(tmp_path / f"{name}.yaml"))
    return finished_project


def test_a_small_run_is_tuned_scored_and_reported_and_shows_nothing_about_the_method(
    small: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["train", "--yes"], ["evaluate", "--yes"], ["report"]):
        assert run_command(*command) == 0, output_of(capsys)
    shown = output_of(capsys)
    lake = small.deployment.lake()
    scored = {record.keys["variant"]: record.keys for record in lake.records(BENCHMARK_SCORES)}
    assert set(scored) == {UNTUNED, *TUNED_BY_DEFAULT}
    assert all(lake.read(BENCHMARK_SCORES, [keys])["accuracy"].to_list() == [1.0] for keys in scored.values())
    assert REPORTS.latest(lake).manifest["too_small"]
    assert "So small a run shows nothing about the method" in shown
    assert re.search(r"\d\.\d{3} → \d\.\d{3}", shown)
    assert "not which model is better" in shown  # the caption of the losses
    assert RELEASES.latest(lake).id in shown
    assert "tiny|dpo is left out: the recipe of 'dpo' has method sft" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--base", "llama"], "no base model is called llama; there are tiny"),
        (["evaluate", "--variant", "all"], "no training set for fine-tuning is called all; there are boost_qa, ori"),
        (["train"], "give --yes"),
    ],
    ids=["base model", "training set", "no terminal"],
)
def test_what_cannot_start_is_one_message(
    small: SampleProject, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_command(*arguments) == 1
    assert message in output_of(capsys)
