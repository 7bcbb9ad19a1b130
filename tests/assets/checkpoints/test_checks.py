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


CASES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda trainer: setattr(trainer, "steps", (1, 2)), "all_steps"),  # stopped early
    (lambda trainer: setattr(trainer, "state_step", 1), "all_steps"),  # the state is of another step
    (lambda trainer: setattr(trainer, "halves", {"A": (8, 16)}), "adapter_loads"),  # one half is missing
    (lambda trainer: setattr(trainer, "halves", {"A": (4, 16), "B": (16, 4)}), "adapter_loads"),  # of another rank
    (lambda trainer: setattr(trainer, "halves", {}), "adapter_loads"),
    (lambda trainer: setattr(trainer, "rank", 4), "adapter_loads"),
    (lambda trainer: trainer.results.update(reloaded_loss=None), "adapter_loads"),
    (lambda trainer: trainer.results.update(reloaded_loss=2.0), "adapter_loads"),
    (lambda trainer: trainer.metrics[-1].update(loss=math.nan), "learned"),
    (lambda trainer: trainer.metrics[-1].update(loss=3.5), "learned"),
]


@pytest.mark.parametrize(("change", "check"), CASES)
def test_a_checkpoint_fails_this_check(run: Run, trainer: Any, change: Callable[[Any], Any], check: str) -> None:
    change(trainer)
    assert failed(run("boost_qa")) == {check}


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
