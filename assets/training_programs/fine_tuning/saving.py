"""Checkpoints in the lake during training: files first, a manifest with their hashes last.

<folder>/progress/checkpoint-<step>/…             what the trainer needs to resume
<folder>/progress/checkpoint-<step>/manifest.json sha256 and size of each file, and the identity of the base
                                                  model's weights; without it, the checkpoint does not exist
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

from resources.lake.published_folders import MANIFEST, fetch_file, json_bytes, list_files, sha256_of
from resources.lake.store import Store, StoreError

KEPT = 2
# Left in every checkpoint by transformers and TRL, and not needed to resume.
NOT_NEEDED = ("README.md", "training_args.bin", "tokenizer*", "chat_template*", "special_tokens_map*", "*.jinja")


def progress_folder(folder: str) -> str:
    """The folder of a job's checkpoints."""
    return f"{folder}/progress"


def is_unreachable(error: BaseException) -> bool:
    """Whether an error is one of the lake or the network, not of the program; the store has retried already."""
    return isinstance(error, StoreError | OSError) or type(error).__module__.startswith("botocore.")


def save(store: Store, folder: str, weights: str, checkpoint: Path) -> int:
    """Copy a checkpoint from this machine's disk to the lake, and delete all but the newest KEPT.

    Args:
        store: the lake.
        folder: of the job.
        weights: identity of the base model's, see `base_models.Weights`.
        checkpoint: `…/checkpoint-<step>`.

    Returns:
        Its size in bytes.
    """
    target = f"{progress_folder(folder)}/{checkpoint.name}"
    files = [file for file in list_files(checkpoint) if not any(fnmatch(file.path, name) for name in NOT_NEEDED)]
    store.delete(f"{target}/{MANIFEST}")  # of another attempt that came as far; its files are replaced now
    for file in files:
        store.put_file(f"{target}/{file.path}", checkpoint / file.path)
    store.put(f"{target}/{MANIFEST}", json_bytes({"base_weights": weights, "files": [asdict(file) for file in files]}))
    _delete_older(store, folder)
    return sum(file.bytes for file in files)


def resume(store: Store, folder: str, weights: str, scratch: Path, say: Callable[[str], None]) -> Path | None:
    """Copy the newest complete checkpoint to this machine; None where there is none.

    Skipped are those without manifest, of other base `weights`, or with a missing or changed file.
    """
    for step in sorted(_steps(store, folder), reverse=True):
        name = f"checkpoint-{step}"
        fault = _fetch(store, f"{progress_folder(folder)}/{name}", weights, scratch / name)
        if fault is None:
            return scratch / name
        say(f"{name} is skipped: {fault}")
    return None


def delete_all(store: Store, folder: str) -> None:
    """Delete all checkpoints, when the job is done."""
    for step in _steps(store, folder):
        _delete(store, folder, step)


def _steps(store: Store, folder: str) -> set[int]:
    start = progress_folder(folder)
    found = (re.match(r"checkpoint-(\d+)/", file.path.removeprefix(f"{start}/")) for file in store.list(start))
    return {int(match[1]) for match in found if match}


def _delete_older(store: Store, folder: str) -> None:
    whole = [
        step
        for step in sorted(_steps(store, folder), reverse=True)
        if store.exists(f"{progress_folder(folder)}/checkpoint-{step}/{MANIFEST}")
    ]
    for step in _steps(store, folder):
        if len(whole) >= KEPT and step < whole[KEPT - 1]:
            _delete(store, folder, step)


def _delete(store: Store, folder: str, step: int) -> None:
    """Its manifest first: an incomplete checkpoint never has one."""
    target = f"{progress_folder(folder)}/checkpoint-{step}"
    store.delete(f"{target}/{MANIFEST}")
    for file in store.list(target):
        store.delete(file.path)


def _fetch(store: Store, source: str, weights: str, target: Path) -> str | None:
    """Copy a checkpoint to this machine; returns what is wrong with it, if anything."""
    try:
        manifest = json.loads(store.get(f"{source}/{MANIFEST}"))
    except FileNotFoundError:
        return "it has no manifest, so it is incomplete"
    if manifest.get("base_weights") != weights:
        return f"its base model was {manifest.get('base_weights')}, now it is {weights}; name a commit as its revision"
    for file in manifest["files"]:
        copy = target / file["path"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch_file(store, f"{source}/{file['path']}", copy)
        except FileNotFoundError:
            return f"{file['path']} is missing"
        if sha256_of(copy) != file["sha256"]:
            return f"{file['path']} is damaged"
    return None
