"""The embedded model with an adapter merged in, as one GGUF file that llama.cpp serves.

The update `alpha / rank * B @ A` of the adapter is added to the packaged weights, which are the numbers that
transformers trained on; where all weights were tuned, they take the place of these. Matrices are written as 16-bit
floats: eight bits would round off much of a small update.
llama.cpp orders the rows of `q` and `k` differently from transformers, so the rows of these updates are reordered.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.lake.store import Store
from resources.model_servers.embedded.gguf_files import copy_fields, finish
from resources.model_servers.embedded.weights import (
    CHAT_MODEL,
    cache_folder,
    packaged_chat_model_file,
    require_libraries,
)
from resources.scratch import write_atomically

FORM = "v1"  # part of the files' names: increase it when the written content changes
_UPDATE = re.compile(r"(?:base_model\.model\.)?(?P<module>model\.layers\.\d+\.[\w.]+)\.lora_(?P<side>[AB])\.weight")
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")

Updates = Mapping[str, NDArray[np.float32]]


class NotMergeable(ValueError):
    """The adapter is not plain LoRA on the embedded model's linear layers. The message says what differs."""


@contextmanager
def merged_model(
    store: Store, adapter: str | None, template: str, checkpoint: str, weights: str | None = None
) -> Iterator[Path]:
    """The GGUF file of the embedded model with what was tuned, for the time of the context.

    It is in the user's cache folder, so that the next run after a kill need not write it again. The last process that
    uses it removes it.

    Args:
        store: the lake.
        adapter: folder of the adapter in the store, as PEFT saves it; None for the model without one.
        template: chat template for the server.
        checkpoint: id of the checkpoint, part of the file's name.
        weights: folder of the whole model instead, as transformers saves it.

    Raises:
        EmbeddedModelMissing: the model's package or the `local` extra is not installed.
        NotMergeable: the adapter is not plain LoRA on linear layers of the embedded model.
    """
    require_libraries("gguf", "safetensors")
    template_hash = hashlib.sha256(template.encode()).hexdigest()[:8]
    folder = cache_folder() / "tested"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{CHAT_MODEL}-{checkpoint}-{template_hash}-{FORM}.gguf"
    with target.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_file():
            tuned = read_weights(store, weights) if weights else read_updates(store, adapter) if adapter else {}
            source, whole = packaged_chat_model_file(), weights is not None
            write_atomically(target, lambda staged: write_merged(staged, source, tuned, template, whole=whole))
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield target
        finally:
            _remove_if_unused(target, lock.fileno())


def _remove_if_unused(target: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    target.unlink(missing_ok=True)


def read_updates(store: Store, adapter: str) -> Updates:
    """What an adapter adds to the weights: module name, such as `model.layers.0.self_attn.q_proj`, to an array.

    Raises:
        NotMergeable: the adapter is not plain LoRA.
    """
    from safetensors.numpy import load

    where = store.uri(adapter)
    config = json.loads(store.get(f"{adapter}/adapter_config.json"))
    unsupported = [
        name
        for name in ("use_dora", "use_rslora", "fan_in_fan_out", "modules_to_save", "rank_pattern")
        if config.get(name)
    ]
    if config.get("peft_type") != "LORA" or unsupported or config.get("bias", "none") != "none":
        raise NotMergeable(
            f"{where} cannot be merged: it is not plain LoRA ({', '.join(unsupported) or config.get('peft_type')})"
        )
    scale = config["lora_alpha"] / config["r"]
    sides: dict[str, dict[str, NDArray[Any]]] = {}
    for name, tensor in load(store.get(f"{adapter}/adapter_model.safetensors")).items():
        match = _UPDATE.fullmatch(name)
        if match is None:
            raise NotMergeable(f"{where} cannot be merged: {name} is not a LoRA matrix of a layer")
        sides.setdefault(match["module"], {})[match["side"]] = tensor.astype(np.float32)
    return {module: np.float32(scale) * (both["B"] @ both["A"]) for module, both in sides.items()}


def read_weights(store: Store, folder: str) -> Updates:
    """The weights of a whole model: module name, such as `model.norm`, to an array."""
    from safetensors.numpy import load

    found: dict[str, NDArray[np.float32]] = {}
    for file in store.list(folder):
        if file.path.endswith(".safetensors"):
            for name, tensor in load(store.get(file.path)).items():
                found[name.removesuffix(".weight")] = tensor.astype(np.float32)
    return found


def write_merged(target: Path, source: Path, updates: Updates, template: str, *, whole: bool = False) -> None:
    """Write a copy of the GGUF file `source` with updates added to its weights and another chat template.

    Args:
        target: the file to write.
        source: the base model.
        updates: by module.
        template: the chat template.
        whole: whether the updates are the weights themselves.

    Raises:
        NotMergeable: an update is for a module that the model does not have.
    """
    import gguf
    from gguf.quants import dequantize

    reader = gguf.GGUFReader(source)
    layers, heads, key_heads = (
        int(reader.fields[f"llama.{name}"].contents())
        for name in ("block_count", "attention.head_count", "attention.head_count_kv")
    )
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    remaining = {f"{names.get_name(module)}.weight": update for module, update in updates.items()}
    writer = gguf.GGUFWriter(target, "llama")
    copy_fields(
        reader, writer, without=["general.file_type", "general.quantization_version", "tokenizer.chat_template"]
    )
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_chat_template(served_template(template))
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        update = remaining.pop(tensor.name, None)
        if update is not None:
            if ".attn_q." in tensor.name:
                update = as_llama_cpp_orders(update, heads)
            elif ".attn_k." in tensor.name:
                update = as_llama_cpp_orders(update, key_heads)
            weight = update if whole else weight + update
        writer.add_tensor(tensor.name, weight.astype(np.float32 if weight.ndim == 1 else np.float16))
    if remaining:
        raise NotMergeable(f"the adapter changes {min(remaining)}, which the model does not have")
    finish(writer)


def as_llama_cpp_orders(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a `q` or `k` matrix in llama.cpp's order, which rotates neighbours; transformers rotates half heads."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def served_template(template: str) -> str:
    """A chat template without the `generation` tags, which mark the loss and which servers do not know."""
    return _GENERATION.sub("", template)
