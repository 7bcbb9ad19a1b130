"""What `make demo-train` does and prints."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from rich.console import Console

from assets.boost_qa.release import RELEASES
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.report.making import REPORTS
from master_dagster import demo_training
from master_dagster.settings import Deployment, load_deployment
from tests.sample_project import SampleProject
from tests.tiny_model import make_tiny_model

PROJECT = Path(__file__).parents[2]
QUESTION = {"kind": "multiple_choice", "form": "fields", "max_tokens": 20}
FIELDS = {"id": "id", "question": "question", "options": "options", "answer": "answer"}


@pytest.fixture
def demo(finished_project: SampleProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The finished project, a tiny base model to fine-tune on this machine, and five questions for the endpoint."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    make_tiny_model(tmp_path / "model", context_tokens=2048)
    rows = [{"id": f"q{n}", "question": f"{n} + 1?", "options": [str(n + 1), "0"], "answer": "A"} for n in range(5)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = {**QUESTION, "name": "sums", "rows": {"file": "questions.jsonl"}, "fields": FIELDS}
    recipe = {"epochs": 1, "batch_size": 1, "effective_batch": 4, "max_tokens": 2048}
    base = {"name": "tiny", "model": str(tmp_path / "model"), "template": "chatml", "context_tokens": 2048}
    files: Mapping[str, Any] = {
        "training": {"bases": [base], "recipe": recipe},
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
    settings = finished_project.settings.model_copy(update={name: str(tmp_path / f"{name}.yaml") for name in files})
    return load_deployment(settings)


def test_it_tunes_scores_and_reports_and_says_that_a_small_run_shows_nothing_about_the_method(
    demo: Deployment, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(demo_training, "console", terminal)
    monkeypatch.setattr("master_dagster.steps.console", terminal)
    monkeypatch.setattr(demo_training, "load_deployment", lambda: demo)
    monkeypatch.setattr(DagsterInstance, "get", lambda: instance)
    code = demo_training.main()
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert code == 0, shown
    lake = demo.lake()
    scored = {record.keys["variant"]: record.keys for record in lake.records(BENCHMARK_SCORES)}
    assert set(scored) == set(demo_training.TUNED)
    assert all(lake.read(BENCHMARK_SCORES, [keys])["accuracy"].to_list() == [1.0] for keys in scored.values())
    assert REPORTS.latest(lake).manifest["too_small"]
    assert "So small a run shows nothing about the method" in shown
    assert re.search(r"\d\.\d{3} → \d\.\d{3}", shown)
    assert "not which model is better" in shown  # the caption of the losses
    assert RELEASES.latest(lake).id in shown
