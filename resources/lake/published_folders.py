"""Folders that never change after they are published: files first, manifest last; a pointer names the latest one.

<home>/…/<id>/manifest.json   sha256 and size of every other file; written last, once: the folder is then complete
<home>/latest.json            `id` and `folder` of the latest; replaced only if it did not change since the run began

Training programs write such folders without Dagster. Assets use `assets.framework.publication`.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from resources.lake.store import Store, StoreError, StoreUnreachable
from resources.scratch import write_atomically

TRIES = 10
PIECE = 1 << 26  # bytes that are copied at once
MANIFEST = "manifest.json"
LATEST = "latest.json"


class Overtaken(StoreError):
    """Another run changed the pointer while this one worked. The message says what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a published folder, as its manifest lists it. `path` is relative to the folder."""

    path: str
    bytes: int
    sha256: str


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON to a file."""
    path.write_bytes(json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Indented JSON."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def list_files(folder: Path) -> list[File]:
    """Every file below a local folder, with size and hash, ordered by path."""
    return [
        File(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def sha256_of(path: Path) -> str:
    """Hash of a file of this machine."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(store: Store, path: str, target: Path) -> None:
    """Copy a file of the lake to this machine, in bounded memory. Raises FileNotFoundError."""
    with store.open(path) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, PIECE)


def publish(
    store: Store, staged: Path, folder: str, manifest: Mapping[str, Any], unhashed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Write a staged folder to the store: files first, manifest last and only if there is none.

    Two runs may publish the same content at once. A file that the folder's id covers has the same bytes in both runs. A
    file that it does not cover (`unhashed`) may differ, so the first one stays, and the manifest lists what is there.

    Args:
        store: where the folder goes.
        staged: the local folder.
        folder: its path in the store, with the id. If there is a manifest, the folder is complete.
        manifest: what the manifest says beside `files` and `made_at`.
        unhashed: prefixes of the paths of small files that the id does not cover.

    Returns:
        The manifest in the store: this one, or that of the run that wrote it first.
    """
    target = f"{folder}/{MANIFEST}"
    if not store.exists(target):
        files = [_put_file(store, folder, staged, file, unhashed) for file in list_files(staged)]
        complete = {
            **manifest,
            "files": [asdict(file) for file in files],
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        store.put_if_absent(target, json_bytes(complete))
    found: dict[str, Any] = json.loads(store.get(target))
    return found


def _put_file(store: Store, folder: str, staged: Path, file: File, unhashed: tuple[str, ...]) -> File:
    """Write one staged file; returns the file that is then in the store."""
    source, target = staged / file.path, f"{folder}/{file.path}"
    if not file.path.startswith(unhashed):
        store.put_file(target, source)
    elif not store.put_if_absent(target, source.read_bytes()):
        data = store.get(target)
        return File(file.path, len(data), hashlib.sha256(data).hexdigest())
    return file


def copy_verified(store: Store, folder: str, part: str, target: Path) -> None:
    """Copy a part of a published folder to this machine; what is there already, with the right hash, stays.

    Args:
        store: where the folder is.
        folder: its path in the store.
        part: a folder in it, such as `adapter`.
        target: the local folder for the part's files.

    Raises:
        ValueError: a file is not the one that the manifest lists.
        FileNotFoundError: a file, or the manifest, is not there.
    """
    manifest = json.loads(store.get(f"{folder}/{MANIFEST}"))
    for file in (File(**one) for one in manifest["files"] if one["path"].startswith(f"{part}/")):
        copy = target / file.path.removeprefix(f"{part}/")
        if copy.is_file() and sha256_of(copy) == file.sha256:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(copy, partial(_fetch_verified, store, folder, file))


def _fetch_verified(store: Store, folder: str, file: File, target: Path) -> None:
    fetch_file(store, f"{folder}/{file.path}", target)
    if sha256_of(target) != file.sha256:
        raise ValueError(f"{store.uri(folder)}/{file.path} is damaged: it is not the file that {MANIFEST} lists")


def read_latest(store: Store, home: str) -> dict[str, Any] | None:
    """The content of the pointer in the folder `home`: `id` and `folder` of the latest. None if there is no pointer."""
    try:
        found: dict[str, Any] = json.loads(store.get(f"{home}/{LATEST}"))
    except FileNotFoundError:
        return None
    return found


def move_latest(store: Store, home: str, content: Mapping[str, Any], start: Mapping[str, Any] | None) -> bool:
    """Write `content` to the pointer in the folder `home`; False if it was there already.

    Args:
        store: where the pointer is.
        home: its folder: the asset's name, then its partition.
        content: `id` and `folder` of the latest.
        start: what `read_latest` returned before anything that the latest is made of was read.

    Raises:
        Overtaken: the pointer changed since then, perhaps to something newer.
        StoreUnreachable: it could not be written, though no other run changed it.
    """
    path = f"{home}/{LATEST}"
    for _ in range(TRIES):
        try:
            data, version = store.get_with_version(path)
            found = json.loads(data)
        except FileNotFoundError:
            found = version = None
        if found == content:
            return False
        if found != start:
            other = f"published {found['id']}" if found else "deleted it"
            raise Overtaken(
                f"{store.uri(path)} does not point to {content['id']}, because another run {other} meanwhile; "
                f"materialise {home} again"
            )
        if store.replace_if_unchanged(path, json_bytes(content), version):
            return True
    raise StoreUnreachable(f"{store.uri(path)} could not be replaced in {TRIES} attempts; materialise {home} again")
