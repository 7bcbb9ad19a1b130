"""A lake with checkpoints, small benchmarks as files, and models that the fake endpoint plays."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assets.checkpoints.checkpoint import CHECKPOINTS, Checkpoint, publish_untuned
from assets.evaluation.configuration import Benchmarks
from assets.evaluation.evaluate_checkpoints import CheckpointEvaluation
from assets.evaluation.runs import EvaluatedPartition, Evaluation, read_all_questions
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partition_run import Outcomes, Written, run_partitions
from assets.training_programs.recipe import Training, load_training
from resources.chat.budget import Budget
from resources.chat.profile import Profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService, run_async
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving
from resources.model_servers.tuned.serving import ModelUnderTest
from resources.progress import Update
from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox
from tests.fake_endpoint import FakeEndpoint

BASE = "smollm2-135m"


@dataclass
class WatchedEvaluation(CheckpointEvaluation):
    """An evaluation of one checkpoint that keeps what it made; None where nothing was due."""

    made: EvaluatedPartition | None = None

    def write(self, key: str, inputs: ModelUnderTest, made: EvaluatedPartition) -> Written:
        self.made = made
        return CheckpointEvaluation.write(self, key, inputs, made)


@dataclass
class Board:
    """Evaluates checkpoints of one lake by benchmarks that the test writes."""

    folder: Path
    endpoint: FakeEndpoint
    lake: Lake
    training: Training = field(default_factory=lambda: load_training("laptop"))
    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)  # of the benchmarks configuration
    budget: Budget | None = None
    roles: tuple[str, ...] = ("mentor", "benchmark_judge")  # of the profile
    price: dict[str, float] | None = None  # of the model under test
    serving: dict[str, Any] | None = None  # of the model under test; by default the fake endpoint
    update: Update = lambda done, total, detail="", parts=tuple, share=None: None

    def add(self, benchmark: dict[str, Any], rows: list[Any], **values: Any) -> None:
        """A benchmark with these rows; a row that is a string stands in the file as it is."""
        name = values.get("name", benchmark["name"])
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (self.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        self.benchmarks.append({**benchmark, "rows": {"file": str(self.folder / f"{name}.jsonl")}, **values})

    def make_checkpoint(self, variant: str = "untuned", identity: str = "0123456789abcdef") -> Checkpoint:
        """A checkpoint that is there, and the latest."""
        run = CHECKPOINTS.begin(self.lake, BASE, variant)
        if variant == "untuned":
            return publish_untuned(run, self.training.base(BASE))
        with run.temporary_folder() as empty:
            return run.publish(empty, identity, {"recipe": {"lora": {"rank": 8}}})

    @property
    def profile(self) -> Profile:
        """Every role on the fake endpoint, under its own name."""
        cast = {role: {"endpoint": "fake", "model": role, "temperature": 0, "max_tokens": 50} for role in self.roles}
        endpoints = {"fake": {"base_url": self.endpoint.base_url}}
        return Profile.model_validate({"name": "played", "endpoints": endpoints, "roles": cast})

    @property
    def evaluation(self) -> Evaluation:
        """All of it."""
        retries = RetryPolicy(attempts=2, first_wait=0.001)
        endpoint = {"base_url": self.endpoint.base_url}
        at_endpoint = {"kind": "endpoint", "endpoint": endpoint, "price": self.price}
        serving = Serving.model_validate(self.serving or at_endpoint)
        configuration = {"name": "small", "benchmarks": self.benchmarks, **self.more}
        return Evaluation(
            self.lake,
            ChatService(self.profile, self.lake.store, self.budget, retries),
            serving,
            Benchmarks.model_validate(configuration),
            self.training,
        )

    def evaluate(self, variant: str = "untuned") -> EvaluatedPartition:
        """Evaluate its latest checkpoint."""
        evaluation, key = self.evaluation, f"{BASE}|{variant}"
        work = WatchedEvaluation(evaluation, read_all_questions(evaluation), lambda _: nullcontext(self.update))
        address = self.lake.store.uri(BENCHMARK_SCORES.name)
        run_async(run_partitions(work, Outcomes([key]), address=address, look_seconds=0.01))
        return work.made or work.written(key)

    def rows(self, variant: str = "untuned") -> list[dict[str, Any]]:
        """The answers of an evaluation, by question, stage and sample."""
        found = self.evaluate(variant).answers.to_dicts()
        return sorted(found, key=lambda row: (row["benchmark"], row["item_id"], row["stage"], row["sample"]))


@pytest.fixture
def sandbox() -> None:
    """Skips the test where no sandbox works."""
    try:
        require_sandbox()
    except NoSandbox as error:
        pytest.skip(f"no sandbox works here: {error}")


@pytest.fixture
def board(tmp_path: Path, fake_endpoint: FakeEndpoint) -> Board:
    """An empty lake with the untuned model."""
    made = Board(tmp_path, fake_endpoint, Lake.at(str(tmp_path / "lake")))
    made.make_checkpoint()
    return made
