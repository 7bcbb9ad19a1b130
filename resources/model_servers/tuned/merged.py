"""The embedded model with an adapter merged in, as one GGUF file that llama.cpp serves.

The packaged file's weights are taken as they are (transformers trains on the same numbers), the adapter's update
`alpha / rank * B @ A` is added, and what is no vector is written as 16-bit floats: eight bits would round off much of a
small update. llama.cpp holds the rows of `q` and `k` in another order than transformers; so are the updates' rows put.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.lake.store import Store
from resources.model_servers.embedded.models import (
    CHAT_MODEL,
    cache_folder,
    packaged_chat_model_file,
    require_libraries,
)

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

FORM = "v1"  # part of the files' names: raise it when what is written changes
_UPDATE = re.compile(r"(?:base_model\.model\.)?(?P<module>model\.layers\.\d+\.[\w.]+)\.lora_(?P<side>[AB])\.weight")
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")

Updates = Mapping[str, NDArray[np.float32]]


class NotMergeable(ValueError):
    """The adapter is of another kind than plain LoRA on the embedded model's linear layers. Says what is odd."""


@contextmanager
def merged_model(store: Store, adapter: str | None, template: str, checkpoint: str) -> Iterator[Path]:
    """The GGUF file of the embedded model with an adapter, there for as long as the context is held.

    It lies in the user's cache folder, so that a run that was killed need not write it again, and is removed when its
    last holder lets go of it.

    Args:
        store: the lake.
        adapter: folder of the adapter in the store, as PEFT saves it; None for the model without one.
        template: chat template that the server is to use.
        checkpoint: id of what is served, which names the file.

    Raises:
        EmbeddedModelMissing: the model's package or the `local` extra is not installed.
        NotMergeable: the adapter is not plain LoRA on linear layers of the embedded model.
    """
    require_libraries("gguf", "safetensors")
    spoken = hashlib.sha256(template.encode()).hexdigest()[:8]
    folder = cache_folder() / "tested"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{CHAT_MODEL}-{checkpoint}-{spoken}-{FORM}.gguf"
    with target.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_file():
            staged = target.with_suffix(f".{os.getpid()}")
            try:
                write_merged(
                    staged, packaged_chat_model_file(), read_updates(store, adapter) if adapter else {}, template
                )
                staged.replace(target)
            finally:
                staged.unlink(missing_ok=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield target
        finally:
            _remove_unheld(target, lock.fileno())


def _remove_unheld(target: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    target.unlink(missing_ok=True)


def read_updates(store: Store, adapter: str) -> Updates:
    """What an adapter adds to each module's weight, `model.layers.0.self_attn.q_proj` to an array of its shape.

    Raises:
        NotMergeable: the adapter is of another kind than plain LoRA.
    """
    from safetensors.numpy import load

    where = store.uri(adapter)
    told = json.loads(store.get(f"{adapter}/adapter_config.json"))
    odd = [
        name
        for name in ("use_dora", "use_rslora", "fan_in_fan_out", "modules_to_save", "rank_pattern")
        if told.get(name)
    ]
    if told.get("peft_type") != "LORA" or odd or told.get("bias", "none") != "none":
        raise NotMergeable(
            f"{where} cannot be merged: it is not plain LoRA ({', '.join(odd) or told.get('peft_type')})"
        )
    scale = told["lora_alpha"] / told["r"]
    sides: dict[str, dict[str, NDArray[Any]]] = {}
    for name, tensor in load(store.get(f"{adapter}/adapter_model.safetensors")).items():
        match = _UPDATE.fullmatch(name)
        if match is None:
            raise NotMergeable(f"{where} cannot be merged: {name} is no LoRA matrix of a layer")
        sides.setdefault(match["module"], {})[match["side"]] = tensor.astype(np.float32)
    return {module: np.float32(scale) * (both["B"] @ both["A"]) for module, both in sides.items()}


def write_merged(target: Path, source: Path, updates: Updates, template: str) -> None:
    """Write the GGUF file `source` with updates added to its weights and another chat template.

    Raises:
        NotMergeable: an update is of a module that the model does not have.
    """
    import gguf
    from gguf.quants import dequantize

    reader = gguf.GGUFReader(source)
    facts = {name: int(reader.fields[f"llama.{name}"].contents()) for name in ("block_count", "attention.head_count")}
    heads = facts["attention.head_count"]
    key_heads = int(reader.fields["llama.attention.head_count_kv"].contents())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, facts["block_count"])
    left = {f"{names.get_name(module)}.weight": update for module, update in updates.items()}
    writer = gguf.GGUFWriter(target, "llama")
    _copy_fields(reader, writer, template)
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        update = left.pop(tensor.name, None)
        if update is not None:
            if ".attn_q." in tensor.name:
                update = as_llama_cpp_orders(update, heads)
            elif ".attn_k." in tensor.name:
                update = as_llama_cpp_orders(update, key_heads)
            weight = weight + update
        writer.add_tensor(tensor.name, weight.astype(np.float32 if weight.ndim == 1 else np.float16))
    if left:
        raise NotMergeable(f"the adapter changes {sorted(left)[0]}, which the model does not have")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_llama_cpp_orders(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a `q` or `k` matrix in llama.cpp's order: it turns neighbours, transformers the halves of a head."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _copy_fields(reader: "GGUFReader", writer: "GGUFWriter", template: str) -> None:
    import gguf

    own = ("general.architecture", "general.file_type", "general.quantization_version", "tokenizer.chat_template")
    for field in reader.fields.values():
        if field.name not in own and not field.name.startswith("GGUF."):
            is_array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(
                field.name, field.contents(), field.types[0], sub_type=field.types[-1] if is_array else None
            )
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_chat_template(served_template(template))


def served_template(template: str) -> str:
    """A chat template without the marks for the loss, which servers do not know."""
    return _GENERATION.sub("", template)
