"""Folders that never change once they are there: files first, manifest last; a pointer names the latest one.

<home>/…/<id>/manifest.json   sha256 and size of every other file; written last, once: it says that all are there
<home>/latest.json            `id` and `folder` of the latest; moved only from what its mover started with
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.lake.store import Store, StoreError, StoreUnreachable

TRIES = 10
MANIFEST = "manifest.json"
LATEST = "latest.json"


class NotPublished(StoreError):
    """What was asked for was not published, or its folder is not complete. Each kind of folder has its own."""

    kind = "publication"


class Overtaken(StoreError):
    """Another run moved the pointer to the latest while this one worked. The message says what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a published folder, as its manifest has it. `path` is relative to the folder."""

    path: str
    bytes: int
    sha256: str


def write_json(path: Path, content: Any) -> None:
    """A JSON file for people and programs."""
    path.write_bytes(json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Indented JSON."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def list_files(folder: Path) -> list[File]:
    """Every file below a staged folder, with size and hash, by path."""
    return [
        File(path.relative_to(folder).as_posix(), path.stat().st_size, _sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(
    store: Store, staged: Path, folder: str, manifest: Mapping[str, Any], told: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Put a staged folder in its final place: files first, manifest last and only if there is none.

    Two runs may publish the same content at once. Its files are the same bytes whoever writes them; what is told about
    them (`told`) may differ, so it is written once and the manifest lists what is in place.

    Args:
        store: where to.
        staged: the local folder.
        folder: the place, which the content's hash names; a manifest there means that it is complete.
        manifest: what it says beside the files and the time.
        told: beginnings of the paths of files that the content's hash says nothing of; small.

    Returns:
        The manifest that is in place: an earlier one, or that of a run that was faster, if there was one.
    """
    target = f"{folder}/{MANIFEST}"
    if not store.exists(target):
        files = [_put_file(store, folder, staged, file, told) for file in list_files(staged)]
        complete = {
            **manifest,
            "files": [asdict(file) for file in files],
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        store.put_if_absent(target, json_bytes(complete))
    found: dict[str, Any] = json.loads(store.get(target))
    return found


def _put_file(store: Store, folder: str, staged: Path, file: File, told: tuple[str, ...]) -> File:
    """Publish one staged file; what is in place then."""
    source, target = staged / file.path, f"{folder}/{file.path}"
    if not file.path.startswith(told):
        store.put_file(target, source)
    elif not store.put_if_absent(target, source.read_bytes()):
        there = store.get(target)
        return File(file.path, len(there), hashlib.sha256(there).hexdigest())
    return file


def read_latest(store: Store, home: str) -> dict[str, Any] | None:
    """What the pointer below `home` holds: the latest's `id` and `folder`. None where there is no pointer."""
    try:
        found: dict[str, Any] = json.loads(store.get(f"{home}/{LATEST}"))
    except FileNotFoundError:
        return None
    return found


def latest_folder(store: Store, home: str, absent: type[NotPublished]) -> str:
    """The folder that the pointer below `home` names. `home` is `<asset>` or `<asset>/<dimensions of a partition>`.

    Raises:
        NotPublished: of the kind `absent`: nothing was published there yet.
    """
    latest = read_latest(store, home)
    if latest is None:
        made_by, *partition = home.split("/")
        of = f" of {' on '.join(partition)}" if partition else ""
        command = f"materialise {made_by}{f', partition {chr(124).join(partition)!r},' if partition else ''} first"
        raise absent(f"there is no {absent.kind}{of} yet ({store.uri(f'{home}/{LATEST}')} is missing); {command}")
    return str(latest["folder"])


def read_manifest(store: Store, folder: str, absent: type[NotPublished]) -> dict[str, Any]:
    """The manifest of a published folder.

    Raises:
        NotPublished: of the kind `absent`: it is not there, so the folder is not complete.
    """
    try:
        found: dict[str, Any] = json.loads(store.get(f"{folder}/{MANIFEST}"))
    except FileNotFoundError as error:
        again = f"materialise {folder.partition('/')[0]} again"
        raise absent(f"there is no complete {absent.kind} in {folder} ({error} is missing); {again}") from None
    return found


def move_latest(store: Store, home: str, content: Mapping[str, Any], start: Mapping[str, Any] | None) -> bool:
    """Let the pointer below `home` hold `content`; say whether it had to be moved.

    Args:
        store: where the pointer is.
        home: its folder, which an asset is named by.
        content: `id` and `folder` of what it is to name.
        start: what `read_latest` gave before anything that `content` is made of was read.

    Raises:
        Overtaken: it names something else by now, which may be newer.
        StoreUnreachable: it could not be written, though nobody moved it.
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
            other = f"published {found['id']}" if found else "took the latest away"
            raise Overtaken(
                f"another run {other} meanwhile, so {store.uri(path)} was not moved to {content['id']}; "
                f"materialise {home} again"
            )
        if store.replace_if_unchanged(path, json_bytes(content), version):
            return True
    raise StoreUnreachable(f"{store.uri(path)} could not be replaced in {TRIES} attempts; materialise {home} again")
