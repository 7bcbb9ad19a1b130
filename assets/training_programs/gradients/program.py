"""The program: rows and model from the lake, their gradient features back into it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from assets.training_programs.fine_tuning.base_models import fetch, load_tokenizer
from assets.training_programs.fine_tuning.data import read_rows, tokenize
from assets.training_programs.fine_tuning.errors import Stop, TrainingProgramError
from assets.training_programs.fine_tuning.heartbeat import Heartbeat
from assets.training_programs.fine_tuning.pipes import Reporter
from assets.training_programs.fine_tuning.program import versions
from assets.training_programs.fine_tuning.saving import progress_folder
from assets.training_programs.fine_tuning.task import Task, read_specification, run_task
from assets.training_programs.fine_tuning.templates import set_chat_template
from assets.training_programs.gradients.specification import FEATURES, FORMAT, GradientSpecification
from assets.training_programs.recipe import BaseModel, Lora, Recipe
from resources.configuration import describe_faults, fault_list
from resources.lake.published_folders import MANIFEST, publish
from resources.lake.store import Store

COPIED_AT_ONCE = 4096  # rows


def run(task: Task) -> int:
    """Compute the features that the work's folder asks for; the exit code."""
    return run_task(task, _compute)


def _compute(task: Task, stop: Stop, reporter: Reporter, heartbeat: Heartbeat | None, scratch: Path) -> None:
    """Everything between the specification and the manifest.

    Raises:
        TrainingProgramError: it cannot be done, or somebody asked to end.
    """
    specification = read_specification(task, GradientSpecification, FORMAT)
    if task.store.exists(f"{task.folder}/{MANIFEST}"):
        reporter.say("done already")
        return
    from assets.training_programs.fine_tuning import metrics, training
    from assets.training_programs.gradients.features import ProgressCallbacks, gradient_features

    settings, data = specification.model, specification.data
    base, recipe = _base_and_recipe(specification)
    weights = fetch(base, scratch)
    tokenizer = load_tokenizer(weights)
    set_chat_template(tokenizer, base.template)
    examples, left_out = _tokenized(task.store, specification, tokenizer)
    stop.look()
    precision = training.choose_precision(recipe)
    model = training.make_model(weights, recipe, precision).to("cpu" if precision.cpu else "cuda")
    model.eval()  # the adapter has no dropout; nothing of the base is to have any either
    shape = (data.rows, settings.dimensions)
    sums = np.lib.format.open_memmap(scratch / "sums.npy", mode="w+", dtype=np.float32, shape=shape)
    watch = ProgressCallbacks(reporter.say, stop.look)
    kept = PartialFeatures(task.store, task.folder, settings.dimensions)
    losses = gradient_features(model, examples, settings, specification.seed, precision.bf16, sums, kept, watch)
    (scratch / "staged").mkdir()
    _write_half(sums, scratch / "staged" / FEATURES)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": "gradient_features",
        "id": specification.id,
        "base_weights": weights.identity,
        "rows": data.rows,
        "left_out": left_out,
        "dimensions": settings.dimensions,
        "warm_up_losses": losses,
        "device": metrics.device_name(),
        "precision": "bf16" if precision.bf16 else "fp32",
        "versions": versions(),
    }
    publish(task.store, scratch / "staged", task.folder, manifest)
    kept.clear()
    reporter.say(f"done: {task.store.uri(task.folder)}")


def _base_and_recipe(specification: GradientSpecification) -> tuple[BaseModel, Recipe]:
    """The model and the recipe of the warm-up. Raises TrainingProgramError where the model cannot be used."""
    settings = specification.model
    try:
        base = BaseModel(
            name="gradients",
            model=settings.model,
            revision=settings.revision,
            template=settings.template,
            context_tokens=settings.max_tokens,
        )
    except ValidationError as error:
        faults = describe_faults(error, BaseModel)
        raise TrainingProgramError(fault_list("the model of tagcos.features cannot be used:", faults)) from None
    recipe = Recipe(
        batch_size=1,
        effective_batch=settings.batch,
        max_tokens=settings.max_tokens,
        lora=Lora(rank=settings.rank, alpha=settings.alpha),
        seed=specification.seed,
    )
    return base, recipe


def _tokenized(
    store: Store, specification: GradientSpecification, tokenizer: Any
) -> tuple[list[tuple[list[int], list[int]] | None], dict[str, int]]:
    """Token ids and labels of each row, None for a row that trains nothing, and how many of those there are by reason.

    Raises:
        TrainingProgramError: the files do not have the specified rows, or none of them can be used.
    """
    settings, data = specification.model, specification.data
    examples: list[tuple[list[int], list[int]] | None] = []
    left_out: dict[str, int] = {}
    for row in read_rows(store, data.files):
        found = tokenize([row], tokenizer, settings.max_tokens)
        examples.extend((row["input_ids"], row["labels"]) for row in found.rows)
        if not found.rows:
            examples.append(None)
        for reason in found.left_out:
            left_out[reason] = left_out.get(reason, 0) + 1
    if len(examples) != data.rows:
        raise TrainingProgramError(
            f"the files of {data.id} hold {len(examples)} rows, {data.rows} are specified; make the pool again"
        )
    if not any(examples):
        raise TrainingProgramError(
            f"none of {data.rows} rows of {data.id} can be trained on: {left_out}; raise max_tokens, or see them"
        )
    return examples, left_out


class PartialFeatures:
    """Projected gradients in the lake while the work goes on: `progress/gradients-<epoch>-<part>.npy`."""

    def __init__(self, store: Store, folder: str, dimensions: int) -> None:
        self._store, self._home, self._dimensions = store, progress_folder(folder), dimensions

    def read(self, epoch: int, part: int, rows: int) -> NDArray[np.float16] | None:
        """What an earlier attempt kept, if it is whole."""
        try:
            found: NDArray[np.float16] = np.load(io.BytesIO(self._store.get(self._path(epoch, part))))
        except (FileNotFoundError, ValueError, EOFError):
            return None
        return found if found.shape == (rows, self._dimensions) else None

    def write(self, epoch: int, part: int, units: NDArray[np.float16]) -> None:
        """Keep them."""
        buffer = io.BytesIO()
        np.save(buffer, units)
        self._store.put(self._path(epoch, part), buffer.getvalue())

    def clear(self) -> None:
        """Nobody needs them any more."""
        for file in self._store.list(self._home):
            self._store.delete(file.path)

    def _path(self, epoch: int, part: int) -> str:
        return f"{self._home}/gradients-{epoch}-{part:05d}.npy"


def _write_half(features: Any, path: Path) -> None:
    """The same numbers as float16, a bounded part in memory at a time."""
    half = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=features.shape)
    for start in range(0, len(features), COPIED_AT_ONCE):
        half[start : start + COPIED_AT_ONCE] = features[start : start + COPIED_AT_ONCE]
    half.flush()
