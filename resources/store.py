"""Bytes under a root: a local folder or an S3 prefix. Every write is visible whole or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class StoreError(RuntimeError):
    """The store cannot be used. The message names the place, the call that failed, and what to do."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a store. `path` is relative to the store's root, with `/` between its parts."""

    path: str
    size: int
    modified: datetime


class Store(Protocol):
    """The few operations that everything here is built on. All paths are relative to `root`."""

    root: str

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing what was there."""
        ...

    def put_file(self, path: str, file: Path) -> None:
        """Like `put`, from a file on this machine's disk, in bounded memory."""
        ...

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write a whole file unless one is there; say whether it was written. Atomic."""
        ...

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        """Write a whole file if its version still is `version` (None: if it is absent); say whether it was."""
        ...

    def get(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        ...

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        """The whole file and its version, for `replace_if_unchanged`. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        ...

    def list(self, prefix: str) -> list[StoredFile]:
        """Every file below the folder `prefix`, sorted by path; empty where there is none."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        ...

    def uri(self, path: str = "") -> str:
        """The address under which other programs read `path`: a file path or an s3:// URI."""
        ...

    def local_path(self, path: str) -> Path | None:
        """Where the file lies on this machine's disk; None where the store is remote."""
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
        except NotADirectoryError as error:  # the lake's folder is a file: nothing is there, and writing will say so
            raise FileNotFoundError(str(error)) from error

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        data = self.get(path)
        return data, hashlib.sha256(data).hexdigest()

    def exists(self, path: str) -> bool:
        return self._at(path).is_file()

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

    def _at(self, path: str) -> Path:
        return self.folder / path

    @contextlib.contextmanager
    def _staged(self, path: str, source: BinaryIO) -> Iterator[tuple[Path, Path]]:
        """A finished temporary file in the target's folder, removed if it was not moved away."""
        target = self._at(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        except OSError as error:
            raise self._unwritable(target, error) from error
        staged = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(source, file)
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


class S3Store:
    """A prefix of an S3 bucket. Credentials, region and endpoint come from boto3's usual chain."""

    def __init__(self, root: str) -> None:
        parts = urlsplit(root)
        if parts.scheme != "s3" or not parts.netloc:
            raise StoreError(f"{root!r} is not an S3 address; it should look like s3://bucket/prefix")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.root = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._client: S3Client | None = None

    @property
    def client(self) -> "S3Client":
        """The boto3 client, made when first used."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3",
                config=Config(
                    retries={"max_attempts": 8, "mode": "standard"},
                    connect_timeout=10,
                    read_timeout=60,
                    max_pool_connections=32,
                ),
            )
        return self._client

    def put(self, path: str, data: bytes) -> None:
        self._put(path, data)

    def put_file(self, path: str, file: Path) -> None:
        with file.open("rb") as source, self._explained("PutObject", path):
            self.client.upload_fileobj(source, self.bucket, self._key(path))

    def put_if_absent(self, path: str, data: bytes) -> bool:
        return self._put(path, data, IfNoneMatch="*")

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        return self._put(path, data, **({"IfMatch": version} if version else {"IfNoneMatch": "*"}))

    def get(self, path: str) -> bytes:
        return self.get_with_version(path)[0]

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        with self._explained("GetObject", path):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._key(path))
            return answer["Body"].read(), answer["ETag"]

    def exists(self, path: str) -> bool:
        try:
            with self._explained("HeadObject", path):
                self.client.head_object(Bucket=self.bucket, Key=self._key(path))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> list[StoredFile]:
        key = self._key(prefix).rstrip("/")
        found = []
        with self._explained("ListObjectsV2", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{key}/" if key else ""
            )
            for page in pages:
                for item in page.get("Contents", []):
                    path = item["Key"].removeprefix(self.prefix).lstrip("/")
                    found.append(StoredFile(path=path, size=item["Size"], modified=item["LastModified"]))
        return found

    def delete(self, path: str) -> None:
        with self._explained("DeleteObject", path):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def uri(self, path: str = "") -> str:
        return f"s3://{self.bucket}/{self._key(path)}".rstrip("/")

    def local_path(self, path: str) -> Path | None:
        return None

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}".strip("/")

    def _put(self, path: str, data: bytes, **conditions: Any) -> bool:
        from botocore.exceptions import ClientError

        try:
            with self._explained("PutObject", path):
                self.client.put_object(Bucket=self.bucket, Key=self._key(path), Body=data, **conditions)
        except ClientError as error:
            if conditions and error.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
                "412",
            ):
                return False
            raise
        return True

    @contextlib.contextmanager
    def _explained(self, call: str, path: str) -> Iterator[None]:
        """Turn botocore's errors into ours, except those that a caller decides on."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"{call} on {self.uri(path)}"
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(self.uri(path)) from None
            advice = {
                "NoSuchBucket": "create the bucket, or set MASTER_LAKE_ROOT to one that exists",
                "AccessDenied": "the credentials in use lack this permission; see infra/ for the policies",
                "403": "the credentials in use lack this permission; see infra/ for the policies",
                "ExpiredToken": "the credentials have expired: renew them and run the same command again",
                "PermanentRedirect": "the bucket lies in another region: set AWS_REGION to it",
                "AuthorizationHeaderMalformed": "the bucket lies in another region: set AWS_REGION to it",
            }.get(code)
            if advice is None:
                raise
            raise StoreError(f"{where} failed: {code}; {advice}") from error
        except BotoCoreError as error:
            raise StoreError(f"{where} failed: {error}; check the network, the region and the credentials") from error


def open_store(root: str) -> Store:
    """The store at `root`: an `s3://bucket/prefix`, else a local folder."""
    return S3Store(root) if "://" in root else LocalStore(Path(root))
