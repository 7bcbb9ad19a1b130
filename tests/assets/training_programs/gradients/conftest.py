"""A tiny model with its tokenizer, and a lake with rows whose gradients are asked for."""

import hashlib
import io
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.training_programs.fine_tuning.task import Task
from assets.training_programs.gradients.program import run
from resources.lake.opening import open_store
from resources.lake.published_folders import json_bytes
from resources.lake.store import Store
from tests.tiny_model import make_tiny_model

FOLDER = "training_sets/tagcos/features-abc"
DIMENSIONS = 64


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model's folder."""
    folder = tmp_path_factory.mktemp("tiny-model")
    make_tiny_model(folder)
    return str(folder)


@dataclass
class GradientProgram:
    """A lake with one piece of work."""

    store: Store
    specification: dict[str, Any]

    def ask(self, answers: Sequence[str], **model: Any) -> None:
        """Write rows, a question with each of these answers, and the specification."""
        rows = [
            {
                "conversations": [{"from": "human", "value": "Say it."}, {"from": "gpt", "value": answer}],
                "system": "",
                "trains": [False, True],
            }
            for answer in answers
        ]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        data = buffer.getvalue()
        self.store.put("pool.parquet", data)
        file = {"path": "pool.parquet", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.specification["data"] = {"id": "pool", "rows": len(rows), "files": [file]}
        self.specification["model"] |= model
        self.store.put(f"{FOLDER}/specification.json", json_bytes(self.specification))

    def run(self) -> int:
        """The program's exit code."""
        return run(Task(self.store, FOLDER, 1, None, 0, 1, 0.0))

    def features(self) -> Any:
        """What it left."""
        return np.load(io.BytesIO(self.store.get(f"{FOLDER}/features.npy")))


@pytest.fixture
def program(tmp_path: Path, tiny_model: str) -> Iterator[GradientProgram]:
    """An empty lake on this machine's disk; signals as they were afterwards."""
    import torch

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = {
        "model": tiny_model,
        "template": "chatml",
        "max_tokens": 96,
        "warm_up_share": 0.5,
        "checkpoints": 2,
        "learning_rate": 0.01,
        "batch": 2,
        "rank": 2,
        "alpha": 4,
        "dimensions": DIMENSIONS,
    }
    yield GradientProgram(open_store(str(tmp_path)), {"format": 1, "id": "abc", "seed": 0, "model": model})
    torch.set_num_threads(threads)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def failure(program: GradientProgram) -> Callable[[], dict[str, Any]]:
    """What the program left of its failure."""
    import json

    return lambda: json.loads(program.store.get(f"{FOLDER}/attempts/0001/failure.json"))
