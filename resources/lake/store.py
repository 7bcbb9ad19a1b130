"""Bytes under a root: a local folder or an S3 prefix. Every write is visible whole or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, Self, cast, get_args
from urllib.parse import urlsplit

from resources.scratch import delete_abandoned, mark_in_use

Encryption = Literal["AES256", "aws:kms"]
# The settings; a training job on another machine reads them from its environment.
S3_SETTINGS = {
    "endpoint_url": "MASTER_S3_ENDPOINT_URL",
    "encryption": "MASTER_S3_ENCRYPTION",
    "kms_key": "MASTER_S3_KMS_KEY",
}
_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")  # name of a temporary file of `LocalStore`


class StoreError(RuntimeError):
    """The store cannot be used. The message names the place, the call that failed, and what to do."""


class StoreUnreachable(StoreError):
    """The store cannot be reached, is overloaded, or others write the same file: it may work in some minutes."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """How S3 is reached, and how it encrypts files. Credentials and region come from boto3's usual chain.

    Raises:
        ValueError: the options contradict each other, or the endpoint is not an address.
    """

    endpoint_url: str | None = None  # of an S3-compatible store; by default boto3's own (AWS_ENDPOINT_URL…)
    encryption: Encryption | None = None  # by default the bucket decides
    kms_key: str | None = None  # id or ARN

    def __post_init__(self) -> None:
        if self.kms_key and self.encryption != "aws:kms":
            raise ValueError("MASTER_S3_KMS_KEY needs MASTER_S3_ENCRYPTION=aws:kms")
        if self.encryption not in (None, *get_args(Encryption)):
            raise ValueError(f"MASTER_S3_ENCRYPTION should be AES256 or aws:kms, not {self.encryption!r}")
        if self.endpoint_url is not None:
            parts = urlsplit(self.endpoint_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("MASTER_S3_ENDPOINT_URL should look like https://host or http://host:port")
            if parts.username or parts.password:
                raise ValueError("MASTER_S3_ENDPOINT_URL must not hold credentials; they belong to boto3's usual chain")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The options from variables with the names of the settings; an empty variable counts as not set."""
        given = {option: environment.get(name) or None for option, name in S3_SETTINGS.items()}
        return cls(given["endpoint_url"], cast("Encryption | None", given["encryption"]), given["kms_key"])

    def to_environment(self) -> dict[str, str]:
        """The options as variables, for a program on another machine. Holds no secret."""
        given = {name: getattr(self, option) for option, name in S3_SETTINGS.items()}
        return {name: value for name, value in given.items() if value}

    @property
    def write_arguments(self) -> dict[str, str]:
        """Arguments of every request that writes an object, as boto3 names them."""
        given = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in given.items() if value}

    @property
    def reading_options(self) -> dict[str, Any]:
        """The options for reading with `fsspec` (s3fs), without its cache of file systems."""
        options: dict[str, Any] = {"skip_instance_cache": True}
        client = {"region_name": aws_region(), "verify": aws_certificates()}
        if given := {name: value for name, value in client.items() if value}:
            options["client_kwargs"] = given
        return options | ({"endpoint_url": self.endpoint_url} if self.endpoint_url else {})


DEFAULT_S3 = S3Options()


def aws_region() -> str | None:
    """The region from the environment; None: from the profile. botocore itself reads only AWS_DEFAULT_REGION."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def aws_certificates() -> str | None:
    """The file with the trusted certificates, as for model endpoints; None: the system's. botocore itself reads only
    AWS_CA_BUNDLE."""
    return os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a store. `path` is relative to the store's root, with `/` between its parts."""

    path: str
    size: int
    modified: datetime


class Store(Protocol):
    """The operations on which everything else is built. All paths are relative to `root`."""

    root: str

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, and replace the one that was there."""
        ...

    def put_file(self, path: str, file: Path) -> None:
        """Like `put`, from a file on this machine's disk, in bounded memory."""
        ...

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write a whole file unless it exists, atomically; whether it was written."""
        ...

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        """Write a whole file if its version is `version` (None: if it does not exist); whether it was written."""
        ...

    def get(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        ...

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        """The whole file and its version, for `replace_if_unchanged`. Raises FileNotFoundError."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A file that is read from any position; little more of it is fetched than is read.

        Raises FileNotFoundError.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        ...

    def delete_unfinished(self, before: datetime, dry_run: bool = False) -> list[str]:
        """Delete unfinished files that writers left before that moment, which no reader sees; their paths."""
        ...

    def delete_abandoned(self) -> list[str]:
        """Delete temporary files whose writer died, where they are on this machine's disk. Returns their paths."""
        ...

    def list(self, prefix: str) -> list[StoredFile]:
        """Every file below the folder `prefix`, sorted by path; empty where there is none."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file, if it exists."""
        ...

    def uri(self, path: str = "") -> str:
        """The address by which other programs read `path`: a file path or an s3:// URI."""
        ...

    def local_path(self, path: str) -> Path | None:
        """The path of the file on this machine's disk; None where the store is remote."""
        ...

    def duckdb_file_system(self) -> Any | None:
        """The fsspec file system through which DuckDB reads this store; None where it reads the files itself."""
        ...


class LocalStore:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.folder = root.expanduser().absolute()
        self.root = str(self.folder)

    def put(self, path: str, data: bytes) -> None:
        with self._staged(path, io.BytesIO(data)) as (staged, target):
            staged.replace(target)

    def put_file(self, path: str, file: Path) -> None:
        with file.open("rb") as source, self._staged(path, source) as (staged, target):
            staged.replace(target)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        with self._staged(path, io.BytesIO(data)) as (staged, target):
            try:
                os.link(staged, target)
            except FileExistsError:
                return False
            return True

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        lock_path = self.folder / ".locks" / hashlib.sha256(path.encode()).hexdigest()[:16]
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        with lock_path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = None
            with contextlib.suppress(FileNotFoundError):
                found = self.get_with_version(path)[1]
            if found != version:
                return False
            self.put(path, data)
            return True

    def get(self, path: str) -> bytes:
        try:
            return self._at(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # a folder of the path is a file: writing reports it
            raise FileNotFoundError(self.uri(path)) from None

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        data = self.get(path)
        return data, hashlib.sha256(data).hexdigest()

    def open(self, path: str) -> BinaryIO:
        try:
            return self._at(path).open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(self.uri(path)) from None

    def exists(self, path: str) -> bool:
        return self._at(path).is_file()

    def delete_unfinished(self, before: datetime, dry_run: bool = False) -> list[str]:
        found = []
        for file in self._unfinished():
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < before.timestamp():
                    found.append(file.relative_to(self.folder).as_posix())
                    if not dry_run:
                        file.unlink()
        return sorted(found)

    def delete_abandoned(self) -> list[str]:
        return [file.relative_to(self.folder).as_posix() for file in delete_abandoned(self._unfinished())]

    def _unfinished(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(folder) / name for name in names if _UNFINISHED.fullmatch(name))

    def list(self, prefix: str) -> list[StoredFile]:
        found = []
        for folder, folders, names in os.walk(self._at(prefix)):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.startswith("."):
                    continue
                file = Path(folder) / name
                with contextlib.suppress(FileNotFoundError):
                    stat = file.stat()
                    found.append(
                        StoredFile(
                            path=file.relative_to(self.folder).as_posix(),
                            size=stat.st_size,
                            modified=datetime.fromtimestamp(stat.st_mtime, UTC),
                        )
                    )
        return sorted(found, key=lambda file: file.path)

    def delete(self, path: str) -> None:
        self._at(path).unlink(missing_ok=True)

    def uri(self, path: str = "") -> str:
        return str(self._at(path))

    def local_path(self, path: str) -> Path | None:
        return self._at(path)

    def duckdb_file_system(self) -> None:
        return None

    def _at(self, path: str) -> Path:
        return self.folder / path

    @contextlib.contextmanager
    def _staged(self, path: str, source: BinaryIO) -> Iterator[tuple[Path, Path]]:
        """A complete temporary file in the target's folder, deleted if it was not moved."""
        target = self._at(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        except OSError as error:
            raise self._unwritable(target, error) from error
        staged = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                mark_in_use(handle)
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
                staged.chmod(0o644)
                yield staged, target
        except OSError as error:
            raise self._unwritable(target, error) from error
        finally:
            staged.unlink(missing_ok=True)

    def _unwritable(self, target: Path, error: OSError) -> StoreError:
        if error.errno == errno.ENOSPC:
            advice = "the disk is full: free some space and run the same command again, nothing finished is lost"
        else:
            advice = "make it writable, or set MASTER_LAKE_ROOT to a folder that is"
        return StoreError(f"cannot write {target}: {error.strerror or error}; {advice}")
