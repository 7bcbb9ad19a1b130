"""Fine-tuning jobs for the program, in a lake of their own."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.training_programs.recipe import BaseModel, Recipe
from assets.training_programs.specification import DataFile, Specification, TrainingData, specify
from resources.lake.opening import open_store
from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import Store
from resources.training_jobs.job import ATTEMPT, FOLDER, LAKE_ROOT, SPECIFICATION, attempt_folder

PROJECT = Path(__file__).parents[1]
MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
SCHEMAS = {
    "conversation": pa.schema(
        {
            "conversations": pa.list_(pa.struct({"from": pa.string(), "value": pa.string()})),
            "system": pa.string(),
            "trains": pa.list_(pa.bool_()),
        }
    ),
    "preference": pa.schema(dict.fromkeys(("prompt", "chosen", "rejected"), MESSAGES)),
    "labelled": pa.schema({"prompt": MESSAGES, "completion": MESSAGES, "label": pa.bool_()}),
}
RECIPE = {
    "learning_rate": 1e-2,
    "batch_size": 2,
    "effective_batch": 4,
    "max_tokens": 128,
    "save_steps": 1,
    "evaluate_steps": 3,
    "gradient_checkpointing": False,
}
Row = Mapping[str, Any]


def conversation(*texts: str, trains: Sequence[bool] | None = None, system: str = "") -> Row:
    """A row: human and gpt by turns."""
    turns = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(texts)]
    flags = [turn["from"] == "gpt" for turn in turns] if trains is None else list(trains)
    return {"conversations": turns, "system": system, "trains": flags}


def pair(question: str, chosen: str, rejected: str) -> Row:
    """A preference pair."""
    answers = {
        name: [{"role": "assistant", "content": text}] for name, text in (("chosen", chosen), ("rejected", rejected))
    }
    return {"prompt": [{"role": "user", "content": question}], **answers}


def labelled(question: str, answer: str, *, good: bool) -> Row:
    """An answer with its label."""
    completion = [{"role": "assistant", "content": answer}]
    return {"prompt": [{"role": "user", "content": question}], "completion": completion, "label": good}


def pairs(first: int, count: int) -> list[Row]:
    """Easy pairs."""
    return [
        pair(f"What is {number} plus one?", f"{number} plus one is {number + 1}.", f"It is {number}.")
        for number in range(first, first + count)
    ]


def labelled_answers(first: int, count: int) -> list[Row]:
    """Easy answers, good and bad by turns."""
    return [
        labelled(f"What is {number} plus one?", f"It is {number + number % 2}.", good=bool(number % 2))
        for number in range(first, first + count)
    ]


def sums(first: int, count: int) -> list[Row]:
    """Easy conversations."""
    return [
        conversation(f"What is {number} plus one?", f"{number} plus one is {number + 1}.")
        for number in range(first, first + count)
    ]


@dataclass
class Workplace:
    """A lake and the jobs that are asked for in it."""

    root: str
    base: BaseModel

    @property
    def store(self) -> Store:
        return open_store(self.root)

    def ask(
        self,
        train: Sequence[Row],
        validation: Sequence[Row] = (),
        base: BaseModel | None = None,
        form: str = "conversation",
        **recipe: Any,
    ) -> Specification:
        """Write data and specification; recipe keys as in the YAML file."""
        splits = {"train": train, "validation": validation}
        files = {split: (self._write(split, rows, form),) for split, rows in splits.items() if rows}
        data = TrainingData(
            variant="ori",
            form=form,
            id=hashlib.sha256(json.dumps(splits, default=list).encode()).hexdigest()[:16],
            release="release",
            rows={split: len(rows) for split, rows in splits.items() if rows},
            files=files,
        )
        specification = specify(base or self.base, "ori", Recipe.model_validate(RECIPE | recipe), data, "local")
        self.store.put(f"{specification.folder}/{SPECIFICATION}", json_bytes(specification.model_dump(mode="json")))
        return specification

    def _write(self, split: str, rows: Sequence[Row], form: str) -> DataFile:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[form]), sink)
        data = sink.getvalue().to_pybytes()
        digest = hashlib.sha256(data).hexdigest()
        path = f"training_sets/ori/{digest[:8]}/data/{split}-00000.parquet"
        self.store.put(path, data)
        return DataFile(path=path, bytes=len(data), sha256=digest)

    def environment(self, specification: Specification, attempt: int = 1) -> dict[str, str]:
        """Of a process of the program."""
        here = {LAKE_ROOT: self.root, FOLDER: specification.folder, ATTEMPT: str(attempt)}
        return {**os.environ, **here, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}

    def start(self, specification: Specification, attempt: int = 1, **environment: str) -> subprocess.Popen[str]:
        """The program as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "assets.training_programs.fine_tuning"],
            env=self.environment(specification, attempt) | environment,
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, specification: Specification, attempt: int = 1, **changes: Any) -> int:
        """The program in this process; its exit code."""
        from assets.training_programs.fine_tuning.program import run
        from assets.training_programs.fine_tuning.task import Task

        task = Task(
            store=changes.pop("store", self.store),
            folder=specification.folder,
            attempt=attempt,
            orphan_minutes=None,
            rank=0,
            processes=1,
            started=time.monotonic(),
        )
        return run(replace(task, **changes))

    def manifest(self, specification: Specification) -> dict[str, Any]:
        """Of the result. Raises FileNotFoundError where it is not finished."""
        found: dict[str, Any] = json.loads(self.store.get(f"{specification.folder}/{MANIFEST}"))
        return found

    def losses(self, specification: Specification) -> list[float]:
        """Of each step."""
        lines = self.store.get(f"{specification.folder}/metrics.jsonl").splitlines()
        return [row["loss"] for row in map(json.loads, lines) if "loss" in row]

    def adapter(self, specification: Specification) -> str:
        """Hash of the result's weights."""
        data = self.store.get(f"{specification.folder}/adapter/adapter_model.safetensors")
        return hashlib.sha256(data).hexdigest()

    def keep_only_the_specification(self, specification: Specification) -> None:
        """Delete everything but the specification from its folder."""
        for file in self.store.list(specification.folder):
            if not file.path.endswith(SPECIFICATION):
                self.store.delete(file.path)

    def failure(self, specification: Specification, attempt: int = 1) -> dict[str, Any]:
        """The failure that the attempt recorded."""
        path = f"{attempt_folder(specification.folder, attempt)}/failure.json"
        found: dict[str, Any] = json.loads(self.store.get(path))
        return found
