"""FSDP: each process keeps a share of the model. Two nodes with CPUs run it."""

from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.errors import TrainingProgramError
from assets.training_programs.recipe import Recipe
from assets.training_programs.specification import Specification
from tests.assets.training_programs.fine_tuning import sharded_on_cpu
from tests.trainer_nodes import Nodes
from tests.trainer_work import Workplace, sums


@pytest.fixture
def nodes(workplace: Workplace, tmp_path: Path) -> Nodes:
    return Nodes(workplace, tmp_path, sharded_on_cpu.__name__)


def ask(workplace: Workplace, **recipe: Any) -> Specification:
    """Six steps on two nodes."""
    return workplace.ask(sums(0, 12), sums(20, 3), sharding="fsdp", nodes=2, batch_size=1, **recipe)


def assert_loads_again(workplace: Workplace, specification: Specification) -> None:
    results = workplace.manifest(specification)["results"]
    assert results["reloaded_loss"] == pytest.approx(results["reference_loss"])


def interrupt(nodes: Nodes, specification: Specification, checkpoint: int, signal: str) -> None:
    """Start a job, and send its first process a signal when a checkpoint is in the lake."""
    when = {sharded_on_cpu.INTERRUPT: f"checkpoint-{checkpoint}/manifest.json:{signal}"}
    assert nodes.wait(nodes.start(specification, environments=(when, {}))) == [False, False]
    assert nodes.workplace.failure(specification)["retryable"]


def test_an_adapter_trains_and_resumes_as_in_one_process_and_loads_again(workplace: Workplace, nodes: Nodes) -> None:
    alone = workplace.ask(sums(0, 12), sums(20, 3))
    workplace.run(alone)
    specification = ask(workplace, gradient_checkpointing=True)

    interrupt(nodes, specification, 1, "SIGTERM")
    nodes.run(specification, attempt=2)

    assert workplace.losses(specification) == pytest.approx(workplace.losses(alone), rel=1e-4)
    assert_loads_again(workplace, specification)


def test_all_weights_are_those_of_the_last_checkpoint_after_a_kill(workplace: Workplace, nodes: Nodes) -> None:
    specification = ask(workplace, lora=None, evaluate_steps=4)
    last = f"{specification.folder}/progress/checkpoint-6"

    interrupt(nodes, specification, 6, "SIGKILL")
    assert workplace.store.exists(f"{last}/pytorch_model_fsdp.bin")  # without sharding there is none
    trained = workplace.store.get(f"{last}/model.safetensors")
    nodes.run(specification, attempt=2)

    assert workplace.store.get(f"{specification.folder}/model/model.safetensors") == trained
    assert_loads_again(workplace, specification)
    assert workplace.manifest(specification)["results"]["validation"][-1]["step"] == 6


def test_sharding_without_gpus_is_refused() -> None:
    from assets.training_programs.fine_tuning.training import choose_precision

    with pytest.raises(TrainingProgramError, match="sharding is fsdp, which accelerate runs on GPUs only"):
        choose_precision(Recipe(sharding="fsdp", processes=2))
