"""Every check on a checkpoint that fails it. What passes is in test_assets."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from dagster import ExecuteInProcessResult

from assets.checkpoints.checkpoint import CHECKPOINTS
from assets.checkpoints.checks import incomplete, other_data
from assets.training_programs.recipe import Training

Run = Callable[[str], ExecuteInProcessResult]


def failed(result: ExecuteInProcessResult) -> set[str]:
    return {evaluation.check_name for evaluation in result.get_asset_check_evaluations() if not evaluation.passed}


def test_training_that_stopped_early_fails(run: Run, trainer: Any) -> None:
    trainer.steps = (1, 2)
    assert failed(run("boost_qa")) == {"all_steps"}


def test_a_state_of_another_step_fails(run: Run, trainer: Any) -> None:
    trainer.state_step = 1
    assert failed(run("boost_qa")) == {"all_steps"}


@pytest.mark.parametrize(
    "halves", [{"A": (8, 16)}, {"A": (4, 16), "B": (16, 4)}, {}], ids=["half missing", "other rank", "empty"]
)
def test_weights_that_are_not_lora_of_the_recipes_rank_fail(run: Run, trainer: Any, halves: Any) -> None:
    trainer.halves = halves
    assert failed(run("boost_qa")) == {"adapter_loads"}


def test_an_adapter_that_says_another_rank_fails(run: Run, trainer: Any) -> None:
    trainer.rank = 4
    assert failed(run("boost_qa")) == {"adapter_loads"}


@pytest.mark.parametrize("loss", [math.nan, 3.5])
def test_a_loss_that_is_not_finite_or_rose_fails(run: Run, trainer: Any, loss: float) -> None:
    trainer.metrics[-1]["loss"] = loss
    assert failed(run("boost_qa")) == {"learned"}


@pytest.mark.parametrize("reloaded", [None, 2.0])
def test_an_adapter_that_did_not_load_or_scored_otherwise_fails(run: Run, trainer: Any, reloaded: float | None) -> None:
    trainer.results["reloaded_loss"] = reloaded
    assert failed(run("boost_qa")) == {"adapter_loads"}


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_file_that_is_not_what_the_manifest_says_fails(run: Run, trainer: Any, training: Training, harm: str) -> None:
    run("boost_qa")
    made = CHECKPOINTS.latest(trainer.lake, training.bases[0].name, "boost_qa")
    path = f"{made.folder}/adapter/adapter_model.safetensors"
    if harm == "missing":
        trainer.lake.store.delete(path)
    else:
        trainer.lake.store.put(path, trainer.lake.store.get(path)[:-1] + b"x")
    assert len(incomplete(trainer.lake, made)) == 1


def test_a_training_set_that_is_gone_fails(run: Run, trainer: Any, training: Training) -> None:
    run("ori")
    made = CHECKPOINTS.latest(trainer.lake, training.bases[0].name, "ori")
    trainer.lake.store.delete(f"training_sets/ori/{made.manifest['training_set']['id']}/manifest.json")
    assert "is missing" in other_data(trainer.lake, made)[0]


def test_metrics_of_another_form_fail(run: Run, trainer: Any) -> None:
    trainer.metrics[0]["step"] = -1
    result = run("boost_qa")
    assert not result.success
