"""Tuning with TRL and PEFT by the recipe's method, the same in every process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import DistributedType  # type: ignore[import-untyped]
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerState, set_seed
from trl.trainer.base_config import _BaseConfig as TrlConfig
from trl.trainer.base_trainer import _BaseTrainer as TrlTrainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from assets.training_programs.fine_tuning.base_models import Weights, load_model
from assets.training_programs.fine_tuning.data import NO_LOSS
from assets.training_programs.fine_tuning.errors import TrainingProgramError
from assets.training_programs.fine_tuning.templates import FAMILIES
from assets.training_programs.recipe import Method, Recipe

UNTRAINED = 0.1  # of the median norm of an embedding
REFERENCE_ROWS = 4  # conversations on which the saved adapter is compared with the trained one


@dataclass(frozen=True, slots=True)
class Precision:
    """Device and number format of this machine."""

    cpu: bool
    bf16: bool


def choose_precision(recipe: Recipe) -> Precision:
    """The recipe's precision, if the hardware supports it.

    Raises:
        TrainingProgramError: it does not.
    """
    cuda = torch.cuda.is_available()
    has_bf16 = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    if recipe.precision == "bf16" and not has_bf16:
        device = torch.cuda.get_device_name() if cuda else "the CPU"
        raise TrainingProgramError(f"recipe.precision is bf16, which {device} does not compute; set it to auto or fp32")
    if recipe.quantization:
        refuse_quantization(cuda)
    if recipe.sharding and PartialState().distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU):
        raise TrainingProgramError("recipe.sharding is fsdp, which accelerate runs on GPUs only; set it to null")
    if recipe.attention == "flash_attention_2":
        from transformers.utils.import_utils import is_flash_attn_2_available

        if not (cuda and is_flash_attn_2_available()):
            raise TrainingProgramError(
                "recipe.attention is flash_attention_2, which is not installed here; set it to sdpa"
            )
    return Precision(cpu=not cuda, bf16=recipe.precision != "fp32" and has_bf16)


def refuse_quantization(cuda: bool) -> None:
    """Raise TrainingProgramError where 4-bit weights cannot be trained under an adapter."""
    if not cuda:
        raise TrainingProgramError("recipe.quantization is nf4, which needs an NVIDIA GPU; set it to null")
    from transformers.utils.import_utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise TrainingProgramError(
            "recipe.quantization is nf4, which the package bitsandbytes computes; install master-dagster[quantization]"
        )


def make_base(weights: Weights, recipe: Recipe, precision: Precision) -> Any:
    """The base model, without an adapter.

    Raises:
        TrainingProgramError: it cannot be loaded, or does not take sequences as long as the recipe's.
    """
    bf16 = precision.bf16 and recipe.lora is not None  # weights that are tuned themselves stay in fp32
    nf4 = recipe.quantization == "nf4"
    model = load_model(weights, bf16=bf16, attention=recipe.attention, nf4=nf4)
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest and recipe.max_tokens > longest:
        raise TrainingProgramError(
            f"recipe.max_tokens {recipe.max_tokens} is more than the base model takes ({longest})"
        )
    return model


def make_model(weights: Weights, recipe: Recipe, precision: Precision) -> Any:
    """The base model with a fresh adapter, as TRL's trainers make it. Raises as `make_base` does."""
    model, adapter = make_base(weights, recipe, precision), _adapter(recipe)
    set_seed(recipe.seed)
    with _targets_fit():
        return peft.get_peft_model(model, adapter) if adapter else model


@contextmanager
def _targets_fit() -> Iterator[None]:
    """Raise TrainingProgramError where the model lacks the modules that `lora.targets` names."""
    try:
        yield
    except ValueError as error:
        if "target modules" not in str(error).lower():
            raise
        raise TrainingProgramError(f"recipe.lora.targets does not fit the base model: {error}") from error


def _adapter(recipe: Recipe) -> peft.LoraConfig | None:
    """The adapter of a recipe; TRL makes it, the same for the same seed."""
    if recipe.lora is None:
        return None
    targets = recipe.lora.targets
    return peft.LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def sequence_lengths(rows: Dataset) -> list[int]:
    """The tokens of every sequence that is trained on, two of each preference pair."""
    return [length for column in _sequences(rows) for length in pc.list_value_length(column).to_pylist()]


def _sequences(rows: Dataset) -> list[pa.ChunkedArray]:
    """The columns of token ids."""
    return [rows.data.column(name) for name in ("input_ids", "rejected_ids") if name in rows.column_names]


def refuse_unknown_tokens(model: Any, rows: Dataset) -> None:
    """Raise TrainingProgramError where the tokenizer produces tokens without an embedding in the model."""
    highest = max(pc.max(pc.list_flatten(column)).as_py() for column in _sequences(rows))
    known = _embeddings(model).shape[0]
    if highest >= known:
        raise TrainingProgramError(
            f"the base model has {known} tokens, its tokenizer produces number {highest}: use the model's own tokenizer"
        )


def untrained_tokens(model: Any, tokenizer: Any, template: str) -> list[str]:
    """Tokens of the template whose embedding in the base model is untrained: LoRA does not train embeddings.

    Llama 3's base models, for one, come with untrained rows for their chat tokens.
    """
    norms = _embeddings(model).detach().float().norm(dim=1)
    median = norms.median()
    return [
        token
        for token in FAMILIES[template].tokens
        if norms[tokenizer.convert_tokens_to_ids(token)] < UNTRAINED * median
    ]


def _embeddings(model: Any) -> torch.Tensor:
    weights: torch.Tensor = model.get_input_embeddings().weight
    return weights


# The first process saves whole state dicts: sharded ones would lie in pieces on the disks of several nodes.
# Activation checkpointing stays transformers' own: accelerate's for FSDP draws another dropout when it recomputes.
FSDP: dict[str, Any] = {
    "fsdp": True,
    "fsdp_config": {
        "version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "state_dict_type": "FULL_STATE_DICT",
    },
}
TRAINERS: dict[Method, tuple[type[TrlTrainer], type[TrlConfig]]] = {
    "sft": (SFTTrainer, SFTConfig),
    "dpo": (DPOTrainer, DPOConfig),
    "kto": (KTOTrainer, KTOConfig),
}


def make_trainer(
    model: Any,
    tokenizer: Any,
    train: Dataset,
    validation: Dataset | None,
    recipe: Recipe,
    precision: Precision,
    folder: Path,
) -> TrlTrainer:
    """TRL's trainer of the recipe's method, with a fresh adapter on the model if the recipe has one.

    The reference of `dpo` and `kto` is the model with its adapter off; without an adapter it is a second copy.

    Args:
        model: the base model.
        tokenizer: for the padding.
        train: rows of `data.tokenize`.
        validation: likewise; None where there is none.
        recipe: see there.
        precision: see there.
        folder: of this machine, for checkpoints.

    Raises:
        TrainingProgramError: the model lacks what the recipe names.
    """
    trainer_class, configuration_class = TRAINERS[recipe.method]
    arguments = configuration_class(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,  # a float below 1 is a share of the steps
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        optim=recipe.optimizer,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_gradient_norm,
        activation_checkpointing=recipe.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        bf16=precision.bf16,
        use_cpu=precision.cpu,
        seed=recipe.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # transformers would replace a loss that is NaN by an average
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=2,
        eval_strategy="no" if validation is None else "steps",
        eval_steps=recipe.evaluate_steps,
        ddp_find_unused_parameters=False,
        report_to="none",
        disable_tqdm=True,
        **(FSDP if recipe.sharding else {}),
        **_of_method(recipe),
    )
    needs_reference = recipe.method != "sft" and recipe.lora is None
    # TRL would load it by the model's name, which it cannot where the model is in a GGUF file
    reference = {"ref_model": deepcopy(model)} if needs_reference else {}
    with _targets_fit():
        trainer = trainer_class(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            peft_config=_adapter(recipe),
            **reference,
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def model_of(trainer: TrlTrainer) -> torch.nn.Module:
    """The model that a trainer trains, with its adapter."""
    model: torch.nn.Module = trainer.model  # type: ignore[assignment]
    return model


def _of_method(recipe: Recipe) -> dict[str, Any]:
    """The settings that only the trainer of the recipe's method has. Rows that are too long are left out already."""
    weights = {"desirable_weight": recipe.desirable_weight, "undesirable_weight": recipe.undesirable_weight}
    match recipe.method:
        case "sft":
            longest = recipe.max_tokens if recipe.packing else None
            return {"max_length": longest, "packing": recipe.packing, "eval_packing": False}
        case "dpo":
            return {"max_length": None, "beta": recipe.beta}
        case "kto":
            return {"max_length": None, "beta": recipe.beta, **weights}


def train(trainer: TrlTrainer, resume: Path | None) -> TrainerState:
    """Train to the last step, or until the job is asked to end.

    Args:
        trainer: see `make_trainer`.
        resume: a checkpoint to resume from.

    Returns:
        The trainer's state; training is complete where `global_step` is `max_steps`.
    """
    if resume is not None and _is_last(resume):
        _load_weights(trainer.model, resume)
        if trainer.is_fsdp_enabled:
            _shard(trainer)
        trainer.state = TrainerState.load_from_json(str(resume / "trainer_state.json"))
    else:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    state = trainer.state
    evaluated = any("validation_loss" in entry and entry["step"] == state.global_step for entry in state.log_history)
    if trainer.eval_dataset is not None and state.global_step >= state.max_steps and not evaluated:
        trainer.evaluate()
    return state


def _load_weights(model: Any, folder: Path) -> None:
    """Set a model's weights, or its adapter's, to those that were saved.

    Raises:
        TrainingProgramError: not all weights of the model were saved.
    """
    if isinstance(model, peft.PeftModel):
        peft.set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"))
        return
    saved: dict[str, torch.Tensor] = {}
    for file in folder.glob("model*.safetensors"):
        saved |= load_file(file)
    missing, _ = model.load_state_dict(saved, strict=False)  # tied weights are saved once
    weights = model.state_dict()
    loaded = {weights[name].data_ptr() for name in weights.keys() & saved.keys()}
    if lacking := [name for name in missing if weights[name].data_ptr() not in loaded]:
        raise TrainingProgramError(
            f"the checkpoint {folder.name} lacks {len(lacking)} weights, such as {lacking[0]}; delete it in progress/"
        )


def _shard(trainer: TrlTrainer) -> None:
    """Spread the model over the processes, as `trainer.train` does before the first step."""
    optimizer = trainer.create_optimizer()  # without one, accelerate does not shard a model
    trainer.model, trainer.optimizer = trainer.accelerator.prepare(trainer.model, optimizer)
    trainer.model_wrapped = trainer.model


def _is_last(checkpoint: Path) -> bool:
    """Whether training was over when it was saved: transformers would take one more step."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def mean_loss(model: Any, rows: Dataset, precision: Precision) -> float:
    """Cross-entropy of the tokens that carry loss, over the first REFERENCE_ROWS conversations."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision.bf16):
        for row in rows.select(range(min(REFERENCE_ROWS, len(rows)))):
            ids, labels = (torch.tensor([row[name]], device=device) for name in ("input_ids", "labels"))
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=NO_LOSS, reduction="sum"
            )
            total, count = total + loss.item(), count + int((labels[:, 1:] != NO_LOSS).sum())
    return total / max(1, count)


def reload(trainer: TrlTrainer, staged: Path, weights: Weights, recipe: Recipe, precision: Precision) -> Any:
    """The tuned model from its saved files, whole in this process.

    After sharded training it is on the CPU: one GPU may not hold it.

    Args:
        trainer: its model loses its adapter.
        staged: has the folder `adapter`, or `model` where all weights were tuned.
        weights: of the base model.
        recipe: see there.
        precision: see there.
    """
    sharded = trainer.is_fsdp_enabled
    attention = "sdpa" if sharded else recipe.attention  # flash attention needs a GPU
    if recipe.lora is None:
        model: Any = AutoModelForCausalLM.from_pretrained(
            staged / "model", dtype=torch.float32, attn_implementation=attention
        )
        return model if sharded else model.to(trainer.args.device)
    if sharded:
        base = load_model(weights, bf16=precision.bf16, attention=attention)
    else:
        base = trainer.accelerator.unwrap_model(trainer.model).unload()
    return peft.PeftModel.from_pretrained(base, str(staged / "adapter"))


def merge(model: Any, folder: Path) -> None:
    """Write the base with the adapter merged into it."""
    model.merge_and_unload().save_pretrained(str(folder))
