"""Where base models come from: the hub, a folder of this machine or of S3, or the embedded GGUF file.

The first process of each node fetches; what it gets is a folder that every process of the node loads from.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.training_programs.fine_tuning.errors import ServiceUnreachable, TrainingProgramError
from assets.training_programs.recipe import EMBEDDED, BaseModel
from resources.lake.opening import open_store
from resources.lake.published_folders import fetch_file, sha256_of
from resources.lake.store import S3Options, StoreError
from resources.model_servers.embedded.weights import CHAT_MODEL, EmbeddedModelMissing, packaged_chat_model_file

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
FETCHED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A base model on this machine's disk."""

    folder: str
    gguf_file: str | None  # its name in the folder, where it is one
    identity: str  # `commit …` of the hub, or `sha256 …` over the weight files


def fetch(base: BaseModel, scratch: Path) -> Weights:
    """Bring a base model to this machine.

    Args:
        base: where it is.
        scratch: where a copy may be put.

    Raises:
        TrainingProgramError: it is not there, not open to this machine's user, or lacks a tokenizer or weights.
    """
    if base.model == EMBEDDED:
        return _embedded()
    if base.model.startswith("s3://"):
        folder = _copied(base.model, scratch)
    elif Path(base.model).expanduser().is_dir():
        folder = Path(base.model).expanduser().absolute()
    elif base.model.startswith((".", "/", "~")):
        raise TrainingProgramError(f"the base model {base.model} is not there: no such folder")
    else:
        return _from_hub(base)
    _require_complete(folder, base.model)
    return Weights(str(folder), None, f"sha256 {_hash_weights(folder)}")


def _embedded() -> Weights:
    try:
        file = packaged_chat_model_file()
    except EmbeddedModelMissing as error:
        raise TrainingProgramError(str(error)) from error
    return Weights(str(file.parent), file.name, f"sha256 {sha256_of(file)} ({CHAT_MODEL}, {file.name})")


def _from_hub(base: BaseModel) -> Weights:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    named = base.model + (f" at {base.revision}" if base.revision else "")
    try:
        folder = Path(snapshot_download(base.model, revision=base.revision, allow_patterns=FETCHED))
    except GatedRepoError:
        raise TrainingProgramError(
            f"the base model {named} is gated: accept its licence on the hub and set HF_TOKEN where the trainer runs"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise TrainingProgramError(
            f"the base model {named} is neither a folder nor on the hub, or private: correct its name, "
            "or set HF_TOKEN where the trainer runs"
        ) from None
    except RevisionNotFoundError:
        raise TrainingProgramError(
            f"the base model {base.model} has no revision {base.revision!r} on the hub"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ServiceUnreachable(
            f"the base model {named} cannot be fetched from the hub ({type(error).__name__}): check the network, unset "
            "HF_HUB_OFFLINE, or name a local or s3:// folder as `model`"
        ) from None
    _require_complete(folder, named)
    return Weights(str(folder), None, f"commit {folder.name}")


def _copied(uri: str, scratch: Path) -> Path:
    """A folder of S3, copied below `scratch`."""
    store, target = open_store(uri, S3Options.from_environment(os.environ)), scratch / "base"
    target.mkdir()
    try:
        files = [file for file in store.list("") if "/" not in file.path]
        for file in files:
            fetch_file(store, file.path, target / file.path)
    except StoreError as error:
        raise ServiceUnreachable(f"the base model {uri} cannot be read: {error}") from error
    if not files:
        raise TrainingProgramError(f"the base model {uri} is not there: the folder is empty")
    return target


def _require_complete(folder: Path, named: str) -> None:
    if not (folder / "config.json").is_file():
        raise TrainingProgramError(
            f"the base model {named} has no config.json, so it is no model that transformers can load"
        )
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise TrainingProgramError(
            f"the base model {named} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}); add its files"
        )
    if not list(folder.glob("*.safetensors")):
        raise TrainingProgramError(f"the base model {named} has no weights as safetensors; convert them")


def _hash_weights(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    return hashlib.sha256("".join(f"{name} {sha256_of(folder / name)}\n" for name in names).encode()).hexdigest()


def load_tokenizer(weights: Weights) -> Any:
    """Its fast tokenizer. Raises TrainingProgramError where it has none."""
    from transformers import AutoTokenizer

    gguf = {"gguf_file": weights.gguf_file} if weights.gguf_file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, **gguf)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingProgramError(f"the base model's tokenizer cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise TrainingProgramError(
            "the base model's tokenizer has no tokenizer.json, which is needed to tell the assistant's tokens"
        )
    return tokenizer


def load_model(weights: Weights, *, bf16: bool, attention: str, nf4: bool = False) -> Any:
    """Its weights, in bf16 or fp32, on the CPU, or in 4 bits on the GPU.

    Raises:
        TrainingProgramError: they cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GgufConfig

    # Blocks that stay packed cannot be trained on.
    gguf: dict[str, Any] = (
        {"gguf_file": weights.gguf_file, "quantization_config": GgufConfig(dequantize=True)}
        if weights.gguf_file
        else {}
    )
    dtype = torch.bfloat16 if bf16 else torch.float32
    quantized: dict[str, Any] = {}
    if nf4:
        four_bits = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        quantized = {"quantization_config": four_bits, "device_map": {"": torch.cuda.current_device()}}
    try:
        return AutoModelForCausalLM.from_pretrained(
            weights.folder, dtype=dtype, attn_implementation=attention, **gguf, **quantized
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise TrainingProgramError(f"the base model cannot be loaded: {error}") from error
