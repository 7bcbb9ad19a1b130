"""How an asset publishes a folder that never changes, and how it is read back.

<asset>/<partition>/…/<id>/manifest.json   sha256 and size of every other file; written last
<asset>/<partition>/…/latest.json          `id` and `folder` of the latest one; moved last

An unpartitioned asset has no `<partition>`. `resources.lake.published_folders` writes the bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Any, Generic, TypeVar

from resources.configuration import fault_list
from resources.lake.published_folders import LATEST, MANIFEST, move_latest, publish, read_latest
from resources.lake.store import Store, StoreError
from resources.lake.tables import Lake
from resources.scratch import scratch_folder

CHUNK = 8 * 2**20  # bytes per request, on S3

T = TypeVar("T")
Manifest = dict[str, Any]


class NotPublished(StoreError):
    """Nothing was published there, or a file of it is missing. The message says what to materialise."""


class GatesFailed(RuntimeError):
    """A staged folder failed its gates, so nothing was published. The message lists the failures."""


@dataclass(frozen=True, slots=True)
class Publication(Generic[T]):
    """The folders of one kind that one asset publishes, each read back as a `T`."""

    asset: str
    noun: str  # what one folder is called in messages: "release"
    format: int  # of the folder; in its manifest
    parse: Callable[[Lake, str, Manifest], T]  # lake, folder, manifest; a file that it misses is FileNotFoundError
    pattern: str = "{home}/{id}"  # of a folder

    def home(self, *partition: str) -> str:
        """The folder of the pointer, relative to the lake's root."""
        return "/".join((self.asset, *partition))

    def folder(self, identity: str, *partition: str) -> str:
        """The folder with this id, relative to the lake's root."""
        return self.pattern.format(home=self.home(*partition), id=identity)

    def latest(self, lake: Lake, *partition: str) -> T:
        """The folder that the pointer of a partition names.

        Raises:
            NotPublished: there is no pointer, or the folder is not complete.
        """
        pointer = read_latest(lake.store, self.home(*partition))
        if pointer is None:
            of = f" of {' on '.join(partition)}" if partition else ""
            key = f", partition {'|'.join(partition)!r}," if partition else ""
            raise NotPublished(
                f"there is no {self.noun}{of} yet ({lake.store.uri(f'{self.home(*partition)}/{LATEST}')} is missing); "
                f"materialise {self.asset}{key} first"
            )
        return self.read(lake, pointer["folder"])

    def find_latest(self, lake: Lake, *partition: str) -> T | None:
        """As `latest`; None where that raises NotPublished."""
        try:
            return self.latest(lake, *partition)
        except NotPublished:
            return None

    def read(self, lake: Lake, folder: str) -> T:
        """Read a folder, given relative to the lake's root.

        Raises:
            NotPublished: its manifest, or another file that is needed, is missing.
        """
        try:
            return self.parse(lake, folder, loads(lake.store.get(f"{folder}/{MANIFEST}")))
        except FileNotFoundError as error:
            raise NotPublished(
                f"there is no complete {self.noun} in {folder} ({error} is missing); materialise {self.asset} again"
            ) from None

    def find(self, lake: Lake, folder: str) -> T | None:
        """As `read`; None where that raises NotPublished."""
        try:
            return self.read(lake, folder)
        except NotPublished:
            return None

    def begin(self, lake: Lake, *partition: str) -> "PublicationRun[T]":
        """Start publishing. Call it before reading anything that the folder is made of."""
        return PublicationRun(self, lake, partition, read_latest(lake.store, self.home(*partition)))


@dataclass(frozen=True, slots=True)
class PublicationRun(Generic[T]):
    """One run that publishes. It moves the pointer only if no other run has moved it since the start."""

    publication: Publication[T]
    lake: Lake
    partition: tuple[str, ...]
    start: Mapping[str, Any] | None  # content of the pointer at the start

    def previous(self) -> T | None:
        """The latest one at the start; None where there was none, or it is not complete."""
        return self.publication.find(self.lake, self.start["folder"]) if self.start else None

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """An empty local folder, deleted at the end."""
        with scratch_folder(self.publication.asset) as folder:
            yield folder

    def gate(self, faults: Sequence[str], advice: str) -> None:
        """Stop before anything is published.

        Raises:
            GatesFailed: there are faults.
        """
        if faults:
            problem = f"the staged {self.publication.noun} failed its gates; nothing was published:"
            raise GatesFailed(f"{fault_list(problem, faults)}\n{advice}")

    def publish(self, staged: Path, identity: str, manifest: Mapping[str, Any], unhashed: tuple[str, ...] = ()) -> T:
        """Write a staged folder, its manifest last, then move the pointer to it.

        Args:
            staged: the local folder.
            identity: its id, which is a hash of its content. A complete folder with this id is not written again.
            manifest: what the manifest says beside format, kind, id, files and time.
            unhashed: see `resources.lake.published_folders.publish`.

        Raises:
            Overtaken: another run moved the pointer since the start.
        """
        head = {"format": self.publication.format, "kind": self.publication.asset, "id": identity}
        folder = self.publication.folder(identity, *self.partition)
        publish(self.lake.store, staged, folder, {**head, **manifest}, unhashed)
        return self.point_to(identity)

    def point_to(self, identity: str) -> T:
        """Move the pointer to a complete folder.

        Raises:
            NotPublished: the folder is not complete.
            Overtaken: another run moved the pointer since the start.
        """
        folder = self.publication.folder(identity, *self.partition)
        published = self.publication.read(self.lake, folder)
        home = self.publication.home(*self.partition)
        move_latest(self.lake.store, home, {"id": identity, "folder": folder}, self.start)
        return published


def wrong_files(lake: Lake, folder: str, files: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The files (path, bytes, sha256) of an immutable folder that are not what its manifest says."""
    wrong = []
    for file in files:
        try:
            size, digest = _measured(lake.store, f"{folder}/{file['path']}")
        except FileNotFoundError:
            wrong.append({"file": file["path"], "fault": "is missing"})
            continue
        if size != file["bytes"]:
            wrong.append({"file": file["path"], "fault": f"has {size} bytes, not {file['bytes']}"})
        elif digest != file["sha256"]:
            wrong.append({"file": file["path"], "fault": "has other content"})
    return wrong


def _measured(store: Store, path: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with store.open(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
