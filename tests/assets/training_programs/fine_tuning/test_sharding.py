"""FSDP: each process keeps a share of the model. Two processes on CPUs run it."""

import subprocess
import sys
from typing import Any

import pytest

from assets.training_programs.fine_tuning.errors import DONE, TrainingProgramError
from assets.training_programs.recipe import Recipe
from assets.training_programs.specification import Specification
from resources.training_jobs.backend import BackendJob
from tests.assets.training_programs.fine_tuning import sharded_on_cpu
from tests.trainer_work import PROJECT, Workplace, sums


def ask(workplace: Workplace, **recipe: Any) -> Specification:
    """Six steps on two processes."""
    return workplace.ask(sums(0, 12), sums(20, 3), sharding="fsdp", processes=2, batch_size=1, **recipe)


def assert_loads_again(workplace: Workplace, specification: Specification) -> None:
    results = workplace.manifest(specification)["results"]
    assert results["reloaded_loss"] == pytest.approx(results["reference_loss"])


def run(workplace: Workplace, specification: Specification, attempt: int = 1, interrupt: str = "") -> bool:
    """Train on two processes that take the CPU for a GPU; whether they succeeded."""
    job = BackendJob("job", ("-m", sharded_on_cpu.__name__), {}, specification.recipe.processes)
    process = subprocess.run(
        [sys.executable, *job.python_arguments],
        env=workplace.environment(specification, attempt)
        | {"CUDA_VISIBLE_DEVICES": "", sharded_on_cpu.INTERRUPT: interrupt},
        cwd=PROJECT,
        stderr=sys.stderr,
    )
    return process.returncode == DONE


def test_an_adapter_resumes_to_the_same_weights_and_loads_again(workplace: Workplace) -> None:
    specification = ask(workplace, lora={"dropout": 0.1}, gradient_checkpointing=True)

    assert not run(workplace, specification, interrupt="checkpoint-1/manifest.json:SIGTERM")
    assert workplace.failure(specification)["retryable"]
    assert run(workplace, specification, attempt=2)

    resumed = workplace.adapter(specification)
    assert_loads_again(workplace, specification)
    workplace.keep_only_the_specification(specification)
    assert run(workplace, specification)
    assert workplace.adapter(specification) == resumed


def test_all_weights_are_those_of_the_last_checkpoint_after_a_kill(workplace: Workplace) -> None:
    specification = ask(workplace, lora=None, evaluate_steps=4)
    last = f"{specification.folder}/progress/checkpoint-6"

    assert not run(workplace, specification, interrupt="checkpoint-6/manifest.json:SIGKILL")
    assert workplace.store.exists(f"{last}/pytorch_model_fsdp.bin")  # without sharding there is none
    trained = workplace.store.get(f"{last}/model.safetensors")
    assert run(workplace, specification, attempt=2)

    assert workplace.store.get(f"{specification.folder}/model/model.safetensors") == trained
    assert_loads_again(workplace, specification)
    assert workplace.manifest(specification)["results"]["validation"][-1]["step"] == 6


def test_sharding_without_gpus_is_refused() -> None:
    from assets.training_programs.fine_tuning.training import choose_precision

    with pytest.raises(TrainingProgramError, match="sharding is fsdp, which accelerate runs on GPUs only"):
        choose_precision(Recipe(sharding="fsdp", processes=2))
