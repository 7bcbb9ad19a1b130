"""Checkpoints in the lake: the training jobs that make them, and their results."""

import json
import math
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from pandera.errors import SchemaErrors

from assets.boost_qa.forms import CONVERSATION, LABELLED, PREFERENCE, VERIFIABLE
from assets.boost_qa.release import Release
from assets.checkpoints.schema import METRICS
from assets.framework.partitions import TUNED_BY_DEFAULT, UNTUNED
from assets.framework.publication import Manifest, Publication, PublicationRun, wrong_files
from assets.training_programs import fine_tuning
from assets.training_programs.recipe import BaseModel, Method, Recipe, Training
from assets.training_programs.specification import (
    BASE_LABELS,
    FORMAT,
    HOME,
    RECIPE_LABELS,
    DataFile,
    Specification,
    TrainingData,
    specify,
)
from assets.training_sets.variants import TRAINING_SETS, TrainingSet
from resources.configuration import Configuration
from resources.identity import stable_hash
from resources.lake.tables import Lake
from resources.training_jobs.configuration import AnyBackend
from resources.training_jobs.job import TrainingJob

USED_SPLITS = ("train", "validation")
FORM_OF: Mapping[Method, str] = {"sft": CONVERSATION.name, "dpo": PREFERENCE.name, "kto": LABELLED.name}
ADAPTER, MODEL = "adapter", "model"
ROWS = {
    CONVERSATION.name: "conversations",
    PREFERENCE.name: "preference pairs",
    LABELLED.name: "labelled answers",
    VERIFIABLE.name: "verifiable questions",
}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be made, or is not what it claims to be. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A finished checkpoint. That of the variant `untuned` has no files."""

    base: str
    variant: str
    id: str
    folder: str  # relative to the lake's root
    manifest: Manifest

    @property
    def results(self) -> Mapping[str, Any]:
        """Measurements of the training job; empty for `untuned`."""
        found: Mapping[str, Any] = self.manifest.get("results") or {}
        return found

    @property
    def weights(self) -> str | None:
        """The folder of what was tuned: ADAPTER, or MODEL where all weights were; None for `untuned`."""
        if self.variant == UNTUNED:
            return None
        return ADAPTER if self.manifest["recipe"]["lora"] else MODEL


def _parse(lake: Lake, folder: str, manifest: Manifest) -> Checkpoint:
    _, base, variant, identity = folder.split("/")
    return Checkpoint(base, variant, identity, folder, manifest)


CHECKPOINTS = Publication(HOME, "checkpoint", FORMAT, _parse)


def specification_for(lake: Lake, training: Training, base: BaseModel, variant: str, image: str) -> Specification:
    """The job that tunes `base` on the latest training set of `variant`.

    Raises:
        NotPublished: the variant was not made yet, or its release was deleted.
        CheckpointError: it has too few rows, or its files are not what its manifest says.
    """
    made = TRAINING_SETS.latest(lake, variant)
    specification = _specification_of(made, training, base, image)
    wrong = wrong_files(lake, made.data_folder, [file for split in USED_SPLITS for file in _files_of(made, split)])
    if wrong:
        named = ", ".join(f"{fault['file']} {fault['fault']}" for fault in wrong[:5])
        raise CheckpointError(
            f"the training set {variant!r} ({made.id}) in {made.data_folder} is damaged: {named}; restore these files"
        )
    return specification


def planned_specification(
    lake: Lake, release: Release, training: Training, base: BaseModel, variant: str, image: str
) -> Specification:
    """As `specification_for`, of this release alone and without a look at the files.

    Raises:
        CheckpointError: the release has no training set of the variant, or it has too few rows or rows of another form.
    """
    made = TRAINING_SETS.find_latest(lake, variant)
    if made is None or made.manifest["release"] != release.id:
        raise CheckpointError(
            f"release {release.id} has no training set {variant!r}; materialise training_sets, partition {variant!r}: "
            "the run says where there is nothing to make one of"
        )
    return _specification_of(made, training, base, image)


def _specification_of(made: TrainingSet, training: Training, base: BaseModel, image: str) -> Specification:
    data, recipe = training_data(made), training.recipe_of(base.name, made.variant)
    refuse_other_form(data, recipe)
    refuse_few_rows(data, recipe)
    return specify(base, made.variant, recipe, data, image)


def default_variants(training: Training) -> tuple[str, ...]:
    """What base models are tuned on where nothing is named: `TUNED_BY_DEFAULT`, and what the configuration names."""
    return tuple(dict.fromkeys((*TUNED_BY_DEFAULT, *training.variants)))


def what_changed(made: Checkpoint, planned: Specification) -> str:
    """Why a checkpoint is not the one of a specification: `recipe changed (epochs)`."""
    manifest, release = made.manifest, planned.data.release
    if manifest["training_set"]["release"] != release:
        return f"release {release} is newer"
    recipe = _changed(Recipe().model_dump(mode="json") | manifest["recipe"], planned.recipe, RECIPE_LABELS)
    base = _changed(manifest["base"], planned.base, BASE_LABELS)
    reasons = {
        "training set changed": manifest["training_set"]["id"] != planned.data.id,
        f"recipe changed ({', '.join(recipe)})": recipe,
        f"base model changed ({', '.join(base)})": base,
        "trainer's image changed": manifest.get("image") != planned.image,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds) or "the training program changed"


def _changed(was: Mapping[str, Any], now: Configuration, labels: Collection[str]) -> list[str]:
    """The keys whose values differ, without `labels`."""
    values = now.model_dump(mode="json", exclude={*labels})
    return [name for name, value in values.items() if was.get(name) != value]


def training_data(made: TrainingSet) -> TrainingData:
    """A training set as the specification names it: its files of the splits for training and validation."""
    rows: dict[str, int] = made.manifest["rows"]
    files = {
        split: tuple(
            DataFile(path=f"{made.data_folder}/{file['path']}", bytes=file["bytes"], sha256=file["sha256"])
            for file in _files_of(made, split)
        )
        for split in USED_SPLITS
        if rows.get(split)
    }
    return TrainingData(
        variant=made.variant,
        form=made.manifest.get("form", CONVERSATION.name),
        id=made.id,
        release=made.manifest["release"],
        rows=dict(rows),
        files=files,
    )


def _files_of(made: TrainingSet, split: str) -> list[Mapping[str, Any]]:
    return [file for file in made.data_files if file["path"].startswith(f"data/{split}-")]


def refuse_other_form(data: TrainingData, recipe: Recipe) -> None:
    """Raise CheckpointError where the recipe's method cannot train on such rows."""
    methods = {form: method for method, form in FORM_OF.items()}
    if data.form == FORM_OF[recipe.method]:
        return
    advice = (
        f"set variants.{data.variant}.method to {methods[data.form]} in the training file"
        if data.form in methods
        else "it is for reinforcement learning with another trainer: docs/train-on-it.md"
    )
    raise CheckpointError(
        f"the recipe of {data.variant!r} has method {recipe.method}, which trains on {ROWS[FORM_OF[recipe.method]]}; "
        f"the training set has {ROWS[data.form]}: {advice}"
    )


def refuse_misfits(recipe: Recipe, backend: AnyBackend) -> None:
    """Raise CheckpointError where jobs of the backend cannot run the recipe: no GPU on this machine, or one node."""
    needed = {"quantization": recipe.quantization, "sharding": recipe.sharding}
    for name, value in needed.items():
        if value and backend.kind == "local" and shutil.which("nvidia-smi") is None:
            raise CheckpointError(
                f"the recipe's {name} is {value}, which needs an NVIDIA GPU, and this machine has none; set it to "
                "null, or set MASTER_TRAINER to a backend with a GPU"
            )
    if recipe.nodes > 1 and not backend.several_nodes:
        raise CheckpointError(
            f"the recipe wants {recipe.nodes} nodes, and a job of the backend `{backend.kind}` has one: set "
            "recipe.nodes to 1, or take the backend `kubernetes`"
        )


def refuse_few_rows(data: TrainingData, recipe: Recipe) -> None:
    """Raise CheckpointError where there is too little to train on."""
    count = data.rows.get("train", 0)
    if count < recipe.minimum_rows:
        raise CheckpointError(
            f"the training set {data.variant!r} of release {data.release} has {count} {ROWS[data.form]} to train on, "
            f"the recipe wants at least {recipe.minimum_rows}; release more dialogues, or lower minimum_rows"
        )


def training_job_for(specification: Specification) -> TrainingJob:
    """The training job of a specification."""
    return TrainingJob(
        name=specification.job_name,
        folder=specification.folder,
        specification=specification.model_dump(mode="json"),
        program=fine_tuning.__name__,
        processes=specification.recipe.processes,
        nodes=specification.recipe.nodes,
    )


def publish_untuned(run: PublicationRun[Checkpoint], base: BaseModel) -> Checkpoint:
    """Publish the base model as it is, as a checkpoint without an adapter, so that scores can name one."""
    with run.temporary_folder() as empty:
        return run.publish(empty, untuned_id(base), {"base": base.model_dump(mode="json"), "variant": UNTUNED})


def untuned_id(base: BaseModel) -> str:
    """The id of the checkpoint that is this base model as it is."""
    return stable_hash(HOME, FORMAT, UNTUNED, base.model_dump(mode="json"))[:16]


def losses_at_ends(lake: Lake, checkpoint: Checkpoint) -> tuple[float, float]:
    """Mean training loss of the first and of the last fifth of the logged steps; `nan` where none is finite.

    Raises:
        CheckpointError: the file of metrics is not there, or not of this form.
    """
    losses = metrics(lake, checkpoint)["loss"].drop_nulls().to_list()
    part = max(1, len(losses) // 5)
    ends = (losses[:part], losses[-part:])
    first, last = (sum(end) / len(end) if end and all(map(math.isfinite, losses)) else math.nan for end in ends)
    return first, last


def metrics(lake: Lake, checkpoint: Checkpoint) -> pl.DataFrame:
    """The logged steps of a checkpoint, as `METRICS` has them.

    Raises:
        CheckpointError: the file is not there, or not of this form.
    """
    path = f"{checkpoint.folder}/metrics.jsonl"
    try:
        frame = METRICS.frame([json.loads(line) for line in lake.store.get(path).splitlines()])
        return pl.DataFrame(METRICS.schema.validate(frame, lazy=True))
    except (FileNotFoundError, ValueError, SchemaErrors, pl.exceptions.PolarsError) as error:
        raise CheckpointError(f"{lake.store.uri(path)} does not hold a training run's metrics: {error}") from error
