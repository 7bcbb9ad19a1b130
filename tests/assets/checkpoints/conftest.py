"""A lake with training sets, and a trainer that leaves what it is told to leave, without training."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize
from safetensors.numpy import save_file

from assets.checkpoints.assets import checkpoint_asset
from assets.checkpoints.checks import CHECKS
from assets.framework.partitions import tunings
from assets.training_programs.recipe import Training, load_training
from assets.training_sets.ablations import tuned_variants
from assets.training_sets.variants import make_boost_qa, make_ori
from resources.lake.published_folders import publish, write_json
from resources.lake.tables import Lake
from resources.training_jobs.configuration import TrainerConfiguration, load_trainer_configuration
from resources.training_jobs.job import TrainingJob
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake

RESULTS: Mapping[str, Any] = {
    "first_loss": 3.0,
    "last_loss": 1.0,
    "validation_loss": 1.5,
    "best_validation_loss": 1.4,
    "reference_loss": 1.0,
    "reloaded_loss": 1.0,
    "tokens": 1200,
    "seconds": 90.0,
    "tokens_per_second": 13.3,
    "peak_memory_bytes": 2**30,
    "mfu": None,
    "device": "cpu",
    "processes": 1,
}


def metric(step: int, loss: float | None, validation: float | None = None) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    return {"step": step, "epoch": step / 2, "loss": loss, "validation_loss": validation, "learning_rate": 1e-4}


@dataclass
class ScriptedLauncher:
    """Takes work as a trainer does and publishes a result at once; tests change what it will be."""

    lake: Lake
    results: dict[str, Any] = field(default_factory=lambda: dict(RESULTS))
    metrics: list[dict[str, Any]] = field(default_factory=lambda: [metric(1, 3.0), metric(2, 1.0, 1.5)])
    steps: tuple[int, int] = (2, 2)
    state_step: int = 2
    rank: int = 8
    halves: dict[str, tuple[int, int]] = field(default_factory=lambda: {"A": (8, 16), "B": (16, 8)})
    fails: Exception | None = None
    image: str = "local"
    configuration: TrainerConfiguration = field(default_factory=lambda: load_trainer_configuration("local"))
    taken: list[TrainingJob] = field(default_factory=list)

    def run(self, context: Any, work: TrainingJob) -> None:
        self.taken.append(work)
        if self.fails:
            raise self.fails
        told = work.specification
        with TemporaryDirectory() as name:
            staged = Path(name)
            (staged / "adapter").mkdir()
            save_file(
                {f"q_proj.lora_{half}.weight": np.zeros(shape, np.float32) for half, shape in self.halves.items()},
                staged / "adapter/adapter_model.safetensors",
            )
            write_json(staged / "adapter/adapter_config.json", {"r": self.rank})
            write_json(staged / "trainer_state.json", {"global_step": self.state_step})
            (staged / "README.md").write_text("card", encoding="utf-8")
            lines = "".join(json.dumps(line) + "\n" for line in self.metrics)
            (staged / "metrics.jsonl").write_text(lines, encoding="utf-8")
            data = told["data"]
            content = {
                "format": 1,
                "kind": "checkpoints",
                "id": told["id"],
                "base": told["base"],
                "variant": told["variant"],
                "recipe": told["recipe"],
                "training_set": {"id": data["id"], "release": data["release"]},
                "global_step": self.steps[0],
                "max_steps": self.steps[1],
                "results": self.results,
            }
            publish(self.lake.store, staged, work.folder, content)


@pytest.fixture
def sets(tiny_lake: TinyLake) -> TinyLake:
    """A lake with both training sets of one release."""
    release = tiny_lake.release()
    make_boost_qa(tiny_lake.lake, release)
    make_ori(tiny_lake.lake, release)
    return tiny_lake


@pytest.fixture
def training() -> Training:
    """The laptop's configuration."""
    return load_training("laptop")


@pytest.fixture
def trainer(sets: TinyLake) -> ScriptedLauncher:
    """A trainer whose results are scripted."""
    return ScriptedLauncher(sets.lake)


@pytest.fixture
def run(
    trainer: ScriptedLauncher, training: Training, instance: DagsterInstance
) -> Callable[[str], ExecuteInProcessResult]:
    """Materialises one variant of the laptop's base model, with its checks."""

    def materialised(variant: str) -> ExecuteInProcessResult:
        base = training.bases[0].name
        return materialize(
            [checkpoint_asset(tunings([base], tuned_variants(SCENARIOS))), *CHECKS],
            instance=instance,
            partition_key=f"{base}|{variant}",
            resources={"lake": trainer.lake, "training": training, "scenarios": SCENARIOS, "job_launcher": trainer},
            raise_on_error=False,
        )

    return materialised
