"""What `make demo-train` shows of its checkpoints."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from master_dagster import demo_training


def test_below_the_losses_it_is_said_that_they_do_not_compare_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {"first_loss": 2.5, "last_loss": 1.25, "validation_loss": 1.5, "seconds": 90}

    def latest(lake: Any, base: str, variant: str) -> Any:
        return SimpleNamespace(results={} if variant == "untuned" else results, manifest={"global_step": 6})

    monkeypatch.setattr(demo_training, "latest_checkpoint", latest)
    training: Any = SimpleNamespace(bases=[SimpleNamespace(name="smollm2-135m")])
    paper = Console(file=io.StringIO(), width=80)
    paper.print(demo_training.results_table(None, training))  # type: ignore[arg-type]
    shown = paper.file.getvalue()  # type: ignore[attr-defined]
    assert "2.500 → 1.250" in shown
    assert "not which model is better" in shown
