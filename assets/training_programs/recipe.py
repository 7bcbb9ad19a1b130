"""How a base model is fine-tuned: the recipe and the base models, read from one YAML file and checked as a whole.

No Dagster here: the program that runs where the GPU is reads the same models.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from resources.configuration import (
    Configuration,
    ConfigurationError,
    fault_list,
    load_configuration,
    shipped_or_path,
    unknown_name,
)

CONFIGURATIONS = Path(__file__).parent / "configurations"
TEMPLATES = Path(__file__).parent / "fine_tuning" / "templates"
EMBEDDED = "embedded"
Method = Literal["sft", "dpo", "kto"]
ALIKE_OVER_SEEDS = ("model", "revision", "template", "context_tokens")


def template_names() -> list[str]:
    """The shipped chat templates, one per model family."""
    return sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


class Lora(Configuration):
    """The adapter. The paper gives none of it; ours are LLaMA-Factory's defaults."""

    rank: int = Field(default=8, ge=1, le=1024, description="Rank of the update (ours).")
    alpha: int = Field(default=16, ge=1, description="Its scale, divided by the rank (ours).")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the adapter (ours).")
    targets: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear", description="`all-linear`, or names of the modules that get an adapter (ours)."
    )


class Recipe(Configuration):
    """How a model is tuned. Defaults are the paper's where it gives any (METHOD: fine-tuning)."""

    method: Method = Field(
        default="sft",
        description="`sft`: supervised fine-tuning on conversations (paper). `dpo`: preference pairs, as the training "
        "set `dpo` has them. `kto`: answers labelled good or bad, as `kto` has them.",
    )
    beta: float = Field(
        default=0.1, gt=0, description="Of `dpo` and `kto`: how close the tuned model stays to the base model (ours)."
    )
    desirable_weight: float = Field(default=1.0, gt=0, description="Of `kto`: weight of good answers (ours).")
    undesirable_weight: float = Field(default=1.0, gt=0, description="Of `kto`: weight of bad answers (ours).")
    epochs: float = Field(default=2, gt=0, description="Times through the training split (paper).")
    learning_rate: float = Field(default=1e-4, gt=0, lt=1, description="Peak learning rate (paper).")
    batch_size: int = Field(default=2, ge=1, description="Conversations in one forward pass on one device (paper).")
    effective_batch: int = Field(
        default=16,
        ge=1,
        description="Conversations in one optimiser step over all devices (2 × 8 of the paper on one device; ours: it "
        "stays the same on several). Accumulation follows: effective_batch / (batch_size × processes × nodes).",
    )
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        default="cosine", description="Course of the learning rate (paper)."
    )
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps in which it rises (paper).")
    optimizer: Literal["adamw_torch", "adamw_torch_fused"] = Field(default="adamw_torch", description="AdamW (paper).")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay (ours).")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm (ours).")
    lora: Lora | None = Field(
        default=Lora(), description="The adapter; `null` tunes all weights, which takes about eight times the memory."
    )
    quantization: Literal["nf4"] | None = Field(
        default=None, description="`nf4`: the base model in 4 bits under the adapter (QLoRA); needs an NVIDIA GPU."
    )
    max_tokens: int = Field(
        default=2048,
        ge=16,
        description="Longer conversations are left out and counted (ours): cut, one could end with a wrong answer.",
    )
    packing: bool = Field(
        default=False,
        description="Several conversations in one row of max_tokens, none of which sees another; such a row counts as "
        "one in batch_size and effective_batch (ours).",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", description="`auto`: bf16 where the hardware has it, else fp32."
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(default="sdpa", description="Attention kernels.")
    gradient_checkpointing: bool = Field(default=True, description="Recompute activations: less memory, more time.")
    processes: int = Field(default=1, ge=1, le=8, description="Processes on each node, one a GPU.")
    nodes: int = Field(default=1, ge=1, le=64, description="Machines; more than one with the backend `kubernetes`.")
    sharding: Literal["fsdp"] | None = Field(
        default=None,
        description="`fsdp`: the weights are split over all processes (FSDP2), for models that one GPU does not hold. "
        "Tested with processes on CPUs; it has not run on GPUs yet.",
    )
    seed: int = Field(default=0, ge=0, description="Of the adapter's start and the order of the rows.")
    save_steps: int = Field(default=50, ge=1, description="A checkpoint goes to the lake every so many steps.")
    evaluate_steps: int = Field(default=50, ge=1, description="Validation loss every so many steps, and at the end.")
    minimum_rows: int = Field(default=4, ge=1, description="With fewer conversations to train on nothing is started.")
    merge: bool = Field(default=False, description="Also leave the base with the adapter merged into it.")

    @property
    def accumulation(self) -> int:
        """Forward passes of one device between two optimiser steps."""
        return self.effective_batch // (self.batch_size * self.world_size)

    @property
    def world_size(self) -> int:
        """Processes on all nodes together."""
        return self.processes * self.nodes

    @model_validator(mode="after")
    def _fits(self) -> Self:
        whole = self.batch_size * self.world_size
        faults = {
            f"effective_batch {self.effective_batch} should be a multiple of batch_size × processes × nodes "
            f"({self.batch_size} × {self.processes} × {self.nodes})": self.effective_batch % whole,
            f"packing joins conversations, and method {self.method} has none: set it to false": self.packing
            and self.method != "sft",
            "method kto compares the answers of one batch: set batch_size to 2 or more": self.method == "kto"
            and self.batch_size < 2,
            "quantization keeps the base model in 4 bits, which only an adapter can tune: set lora": self.quantization
            and self.lora is None,
            "merge adds the adapter to the base model's weights, which quantization rounds: set one of them alone": (
                self.quantization and self.merge
            ),
            "sharding splits the model between processes, and the recipe has one: set processes or nodes to more": (
                self.sharding and self.world_size == 1
            ),
            "sharding does not split a base model in 4 bits: set one of sharding and quantization to null": (
                self.sharding and self.quantization
            ),
            f"sharding does not split the second copy of the model that method {self.method} needs without an adapter: "
            "set lora": self.sharding and self.method != "sft" and self.lora is None,
            "merge adds an adapter to the base model, and lora is null: set it to false": self.merge
            and self.lora is None,
        }
        if found := [fault for fault, present in faults.items() if present]:
            raise ValueError("; ".join(found))
        return self


class BaseModel(Configuration):
    """A model to be tuned."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{0,30}$", description="Its name in partition keys and folders: a-z, 0-9, . and -"
    )
    model: str = Field(
        description="Hub id, local folder, `s3://` folder, or `embedded` for the SmolLM2 that comes along."
    )
    revision: str | None = Field(
        default=None,
        description="Hub only: a commit. A tag, a branch or none may move: trainings of one id would differ, and no "
        "checkpoint of other weights is gone on from.",
    )
    template: str = Field(description="Chat template family; what comes along is in trainer/templates/.")
    context_tokens: int = Field(ge=16, description="Longest sequence that the model takes.")

    @field_validator("template")
    @classmethod
    def _template_is_known(cls, value: str) -> str:
        if value not in template_names():
            raise ValueError(f"should be one of {', '.join(template_names())}")
        return value


class ConfiguredBase(BaseModel):
    """A model to be tuned, maybe once more with another seed."""

    seed: int | None = Field(default=None, ge=0, description="Takes the place of `recipe.seed` for this one.")
    seed_of: str | None = Field(
        default=None,
        description="Name of another base model that this one is, tuned with another seed. The report takes such runs "
        "together: means over seeds, with the lowest and the highest.",
    )


def _onto_the_recipe(changes: object, info: ValidationInfo) -> object:
    """The keys of `recipe` with those that a variant changes; where `recipe` is not valid, its faults come first."""
    recipe = info.data.get("recipe")
    if not isinstance(changes, Mapping):
        return changes
    return {**recipe.model_dump(), **changes} if recipe else {}


class Training(Configuration):
    """The whole file: which models, and how."""

    bases: tuple[ConfiguredBase, ...] = Field(description="Base models, one partition each.")
    recipe: Recipe = Field(default=Recipe(), description="How each of them is tuned.")
    variants: dict[str, Annotated[Recipe, BeforeValidator(_onto_the_recipe)]] = Field(
        default_factory=dict,
        description="The keys of the recipe that differ for a training set, by its name: "
        "`dpo: {method: dpo, learning_rate: 5.0e-6}`.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [base.name for base in self.bases]
        faults = [] if names else ["bases should name at least one model"]
        faults += [f"two base models are called {name!r}" for name in sorted(set(names)) if names.count(name) > 1]
        faults += [
            f"recipe.max_tokens {self.recipe.max_tokens} is more than {base.name} takes ({base.context_tokens})"
            for base in self.bases
            if self.recipe.max_tokens > base.context_tokens
        ]
        faults += self._quantization_faults("recipe") if self.recipe.quantization else []
        faults += self._variant_faults()
        faults += self._seed_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _quantization_faults(self, where: str) -> list[str]:
        return [
            f"{where}.quantization is set, and {base.name} is `embedded`, whose file cannot be loaded in 4 bits: set "
            "it to null, or name another model"
            for base in self.bases
            if base.model == EMBEDDED
        ]

    def _variant_faults(self) -> list[str]:
        longest = min((base.context_tokens for base in self.bases), default=0)
        faults = []
        for variant, recipe in self.variants.items():
            if longest and recipe.max_tokens > longest:
                faults.append(f"variants.{variant}.max_tokens {recipe.max_tokens} is more than a base model takes")
            if recipe.quantization and not self.recipe.quantization:
                faults += self._quantization_faults(f"variants.{variant}")
        return faults

    def _seed_faults(self) -> list[str]:
        by_name = {base.name: base for base in self.bases}
        faults, tuned = [], {(base.name, self._seed(base)): base.name for base in self.bases}
        for base in self.bases:
            if base.seed_of is None:
                continue
            first = by_name.get(base.seed_of)
            if first is None or first.seed_of is not None:
                why = "is not among the bases" if first is None else f"is itself a seed of {first.seed_of!r}"
                faults.append(f"{base.name} is a seed of {base.seed_of!r}, which {why}")
                continue
            other = [key for key in ALIKE_OVER_SEEDS if getattr(base, key) != getattr(first, key)]
            if other:
                faults.append(f"{base.name} is a seed of {first.name}, so it should have the same {', '.join(other)}")
            twin = tuned.setdefault((first.name, self._seed(base)), base.name)
            if twin != base.name:
                faults.append(f"{base.name} and {twin} have the same seed {self._seed(base)}: give one of them another")
        return faults

    def _seed(self, base: ConfiguredBase) -> int:
        return self.recipe.seed if base.seed is None else base.seed

    @property
    def seed_of(self) -> dict[str, str]:
        """Base models that are another with another seed, and which."""
        return {base.name: base.seed_of for base in self.bases if base.seed_of is not None}

    def base(self, name: str) -> BaseModel:
        """The base model of that name, as trainers and checkpoints know it. Raises KeyError."""
        found = {base.name: base for base in self.bases}[name]
        return BaseModel.model_validate(found.model_dump(include=set(BaseModel.model_fields)))

    def recipe_of(self, name: str, variant: str) -> Recipe:
        """The recipe for a training set, with the seed of the base model of that name. Raises KeyError."""
        found = {base.name: base for base in self.bases}[name]
        recipe = self.variants.get(variant, self.recipe)
        return recipe if found.seed is None else recipe.model_copy(update={"seed": found.seed})


def check_variants(training: Training, known: Collection[str]) -> None:
    """Raise ConfigurationError where `variants` names a training set that there is not."""
    if unknown := [name for name in training.variants if name not in known]:
        faults = (f"variants.{name}: {unknown_name('training set', name, known)}" for name in unknown)
        raise ConfigurationError(fault_list("the training configuration is not valid:", faults))


def load_training(name_or_path: str) -> Training:
    """A shipped configuration (`laptop`, `paper`, `two_nodes`) or a YAML file.

    Raises:
        ConfigurationError: every fault of the file at once.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), Training)
