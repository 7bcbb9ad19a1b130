"""The specification of a fine-tuning job: one JSON file in the lake. No Dagster here: the program reads it.

checkpoints/<base>/<variant>/<id>/    specification.json, attempts/, progress/ (resources.training_jobs.job); at the end
    adapter/               adapter_model.safetensors, adapter_config.json
    model/                 instead of it, where all weights were tuned: the model's safetensors and config.json
    tokenizer/             with the chat template that it was trained with
    merged/                only if asked: the base with the adapter merged into it
    trainer_state.json     steps, losses
    metrics.jsonl          a line a logged step: step, epoch, loss, learning_rate, gradient_norm, tokens, …
    README.md              the model card
    manifest.json          sha256 and size of every file, results; written last, once. Among the results:
                           `reference_loss`, of the tuned model on some conversations, and `reloaded_loss`, the same
                           with the saved adapter loaded onto the base again
checkpoints/<base>/<variant>/latest.json
"""

import re
from collections.abc import Mapping
from typing import Any

from assets.training_programs.recipe import BaseModel, Recipe
from resources.configuration import Configuration
from resources.identity import stable_hash

HOME = "checkpoints"
FORMAT = 1
# Settings that older jobs do not name: with their default they are no part of an id.
LATER = ("method", "beta", "desirable_weight", "undesirable_weight", "quantization", "nodes", "sharding")
# Keys on which the result does not depend, and which are no part of an id.
BASE_LABELS = ("name", "context_tokens")
RECIPE_LABELS = ("save_steps", "evaluate_steps", "minimum_rows")


class DataFile(Configuration):
    """A Parquet file of the training set."""

    path: str  # relative to the lake's root
    bytes: int
    sha256: str


class TrainingData(Configuration):
    """The rows to train on, of one of `assets.boost_qa.forms.FORMS`."""

    variant: str
    form: str = "conversation"
    id: str
    release: str  # the id of the release that it was made from
    rows: dict[str, int]  # of each split that is not empty
    files: dict[str, tuple[DataFile, ...]]  # of the splits train and validation


class Specification(Configuration):
    """A fine-tuning job. Its id is the hash of everything that the result depends on."""

    format: int = FORMAT
    id: str
    base: BaseModel
    variant: str
    recipe: Recipe
    data: TrainingData
    image: str  # what runs it: the image's address with its digest, or `local`

    @property
    def folder(self) -> str:
        """Of the checkpoint, relative to the lake's root."""
        return checkpoint_folder(self.base.name, self.variant, self.id)

    @property
    def job_name(self) -> str:
        """At most 50 letters, digits and hyphens."""
        base = re.sub("[^a-z0-9]+", "-", self.base.name)[:16].strip("-")
        return f"master-{base}-{self.variant[:9].replace('_', '-').strip('-')}-{self.id}"


def specify(base: BaseModel, variant: str, recipe: Recipe, data: TrainingData, image: str) -> Specification:
    """The job that tunes `base` on `data`; the same arguments give the same id, on every machine."""
    defaults = {name for name in LATER if getattr(recipe, name) == Recipe.model_fields[name].default}
    parts: Mapping[str, Any] = {
        "base": base.model_dump(mode="json", exclude={*BASE_LABELS}),
        "recipe": recipe.model_dump(mode="json", exclude={*RECIPE_LABELS, *defaults}),
        "variant": variant,
        "data": [data.id, data.release],
        "image": image,
    }
    identity = stable_hash(HOME, FORMAT, parts)[:16]
    return Specification(id=identity, base=base, variant=variant, recipe=recipe, data=data, image=image)


def checkpoint_folder(base: str, variant: str, identity: str) -> str:
    """`checkpoints/<base>/<variant>/<id>`."""
    return f"{HOME}/{base}/{variant}/{identity}"
