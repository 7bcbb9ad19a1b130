"""A prefix of an S3 bucket as a store: whole objects, ranged reads, conditional writes.

What holds when S3 cannot be reached or is overloaded:

- The first request of a store is preceded by a probe that gives up after about 20 seconds, because an address that has
  never answered is probably wrong.
- botocore repeats every later request, in its adaptive mode, up to `RetrySettings.attempts` times with pauses of up to
  20 seconds (10 on average): an outage of about five minutes is waited out. botocore's retry quota, which all threads
  of one client share, allows about 100 repetitions at once: where more than three requests fail at the same time, they
  give up sooner. They raise StoreUnreachable, after which a run is retried, and nothing that is finished is lost.
- A conditional write carries a token of its writer. If the answer was lost and the repetition finds the condition
  violated, the token shows whether the object is this writer's own.
"""

import logging
import mimetypes
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from resources.aws_errors import UNREACHABLE, code_and_message, explained, is_transient
from resources.lake.duckdb_files import StoreFileSystem
from resources.lake.ranged_file import READ_AHEAD, RangedFile
from resources.lake.store import (
    DEFAULT_S3,
    S3Options,
    StoredFile,
    StoreError,
    StoreUnreachable,
    aws_certificates,
    aws_region,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

logger = logging.getLogger(__name__)

WRITER = "writer"  # metadata of a conditional write: a token of its writer
_LOADER = create_loader()  # caches the descriptions of the services, whose reading takes a third of a second


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often requests are repeated while S3 cannot be reached or is overloaded, and how long each may take."""

    attempts: int = 35  # of each request: with botocore's pauses about five minutes
    opening_attempts: int = 5  # of the probe: about 20 seconds
    connect_timeout: float = 10  # seconds
    read_timeout: float = 60
    opening_timeout: float = 3
    own_attempts: int = 5  # of what botocore does not repeat: a body that was cut off, a write in conflict


DEFAULT_RETRIES = RetrySettings()


class S3Store:
    """A prefix of an S3 bucket. Implements `resources.lake.store.Store`."""

    def __init__(self, root: str, options: S3Options = DEFAULT_S3, retries: RetrySettings = DEFAULT_RETRIES) -> None:
        parts = urlsplit(root)
        if parts.scheme != "s3" or not parts.netloc:
            raise StoreError(f"{root!r} is not an S3 address; it should look like s3://bucket/prefix")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.root = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._options = options
        self._retries = retries
        self._client: S3Client | None = None
        self._opening = threading.Lock()

    @property
    def client(self) -> "S3Client":
        """The boto3 client, made when first used; any thread may use it.

        Raises:
            StoreUnreachable: the first use, and nothing answers at the address.
        """
        with self._opening:
            if self._client is None:
                self._probe()
                retries = self._retries
                client = self._make_client(retries.attempts, retries.connect_timeout, retries.read_timeout)
                client.meta.events.register("response-received.s3", cast("Any", self._log_failed_attempt))
                self._client = client
            return self._client

    def _make_client(self, attempts: int, connect_timeout: float, read_timeout: float) -> "S3Client":
        session = botocore.session.get_session()
        session.register_component("data_loader", _LOADER)
        return boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name=aws_region(),
            verify=aws_certificates(),
            endpoint_url=self._options.endpoint_url,
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "adaptive"},
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                max_pool_connections=32,
            ),
        )

    def _probe(self) -> None:
        """Check that something answers, whatever it answers: the request that follows says what is refused."""
        settings = self._retries
        client = self._make_client(settings.opening_attempts, settings.opening_timeout, settings.opening_timeout)
        try:
            client.head_bucket(Bucket=self.bucket)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, UNREACHABLE):  # a refused certificate among them, which no repetition changes
                with self._explained("HeadBucket", ""):
                    raise
        finally:
            client.close()

    def _log_failed_attempt(
        self, event_name: str, parsed_response: Any, context: dict[str, Any], exception: Exception | None, **_: Any
    ) -> None:
        """Warn, once per request, that it fails and is repeated."""
        failure = exception
        if parsed_response and parsed_response.get("Error"):
            failure = ClientError(parsed_response, event_name)
        if failure and is_transient(failure) and not context.setdefault("master.logged", False):
            context["master.logged"] = True
            call = event_name.rpartition(".")[2]
            logger.warning("%s on %s failed: %s; it is repeated for some minutes", call, self.root, failure)

    # -- writing ---------------------------------------------------------------------------------------------------

    def put(self, path: str, data: bytes) -> None:
        with self._explained("PutObject", path):
            self.client.put_object(
                Bucket=self.bucket, Key=self._key(path), Body=data, **cast("Any", self._arguments(path))
            )

    def put_file(self, path: str, file: Path) -> None:
        for last in (False, True):
            try:
                with file.open("rb") as source, self._explained("PutObject", path):
                    self.client.upload_fileobj(source, self.bucket, self._key(path), ExtraArgs=self._arguments(path))
                    return
            except ClientError as error:
                # The upload was completed, and then its answer was lost: whatever lies there, put it once more.
                if last or error.response["Error"]["Code"] != "NoSuchUpload":
                    raise

    def put_if_absent(self, path: str, data: bytes) -> bool:
        return self._put_if(path, data, IfNoneMatch="*")

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        return self._put_if(path, data, **({"IfMatch": version} if version else {"IfNoneMatch": "*"}))

    def _arguments(self, path: str) -> dict[str, str]:
        """Encryption, and the type by which a browser shows a page and does not save it."""
        kind = mimetypes.guess_type(path)[0]
        return {**self._options.write_arguments, **({"ContentType": kind} if kind else {})}

    def _put_if(self, path: str, data: bytes, **condition: str) -> bool:
        writer = secrets.token_hex(8)
        arguments: dict[str, Any] = {**condition, **self._arguments(path), "Metadata": {WRITER: writer}}
        repeated = False
        for attempt in range(self._retries.own_attempts):
            try:
                with self._explained("PutObject", path):
                    self.client.put_object(Bucket=self.bucket, Key=self._key(path), Body=data, **arguments)
                return True
            except FileNotFoundError:  # the object that was to be replaced was deleted
                return False
            except ClientError as error:
                repeated = repeated or error.response["ResponseMetadata"]["RetryAttempts"] > 0
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                    return repeated and self._written_by(path) == writer
                if code_and_message(error)[0] != "ConditionalRequestConflict":
                    raise
                time.sleep(0.2 * 2**attempt)  # another write of the same object is in progress
        raise StoreUnreachable(f"PutObject on {self.uri(path)} failed: others write the same object; try again")

    def _written_by(self, path: str) -> str | None:
        try:
            return self._fetch(path)[1]["Metadata"].get(WRITER)
        except FileNotFoundError:
            return None

    def delete(self, path: str) -> None:
        with self._explained("DeleteObject", path):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def delete_unfinished(self, before: datetime, dry_run: bool = False) -> list[str]:
        found = []
        with self._explained("ListMultipartUploads", ""):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._folder("")
            ):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < before:
                        found.append(self._path(upload["Key"]))
                        if not dry_run:
                            self.client.abort_multipart_upload(
                                Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                            )
        return sorted(found)

    # -- reading ---------------------------------------------------------------------------------------------------

    def delete_abandoned(self) -> list[str]:
        return []  # a dead writer leaves nothing but multipart uploads, which `delete_unfinished` deletes by age

    def get(self, path: str) -> bytes:
        return self._fetch(path)[0]

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        data, answer = self._fetch(path)
        return data, answer["ETag"]

    def open(self, path: str) -> RangedFile:
        tail, size, version = self._tail(path, READ_AHEAD)

        def fetch(start: int, end: int) -> bytes:
            try:
                return self._fetch(path, Range=f"bytes={start}-{end - 1}", IfMatch=version)[0]
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                    raise
                raise StoreUnreachable(
                    f"{self.uri(path)} was replaced while it was read; run the same command again"
                ) from error

        return RangedFile(fetch, size, tail)

    def exists(self, path: str) -> bool:
        # Not HeadObject, which never says why it was refused.
        try:
            self._tail(path, 1)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> list[StoredFile]:
        found: list[StoredFile] = []
        with self._explained("ListObjectsV2", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._folder(prefix)
            )
            for page in pages:
                found.extend(
                    StoredFile(self._path(item["Key"]), item["Size"], item["LastModified"])
                    for item in page.get("Contents", [])
                )
        return found

    def uri(self, path: str = "") -> str:
        return f"s3://{self.bucket}/{self._key(path)}".rstrip("/")

    def local_path(self, path: str) -> Path | None:
        return None

    def duckdb_file_system(self) -> StoreFileSystem:
        return StoreFileSystem(self.open, self.root)

    def _tail(self, path: str, length: int) -> tuple[bytes, int, str]:
        """The last bytes of an object, its size and its version."""
        try:
            data, answer = self._fetch(path, Range=f"bytes=-{length}")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 416:
                raise
            return b"", 0, ""  # an empty object has no last byte
        size = int(answer["ContentRange"].rpartition("/")[2]) if answer.get("ContentRange") else len(data)
        return data[-length:], size, answer["ETag"]

    def _fetch(self, path: str, **how: Any) -> tuple[bytes, "GetObjectOutputTypeDef"]:
        with self._explained("GetObject", path):
            for attempts_left in reversed(range(self._retries.own_attempts)):
                answer = self.client.get_object(Bucket=self.bucket, Key=self._key(path), **how)
                try:
                    return answer["Body"].read(), answer
                except UNREACHABLE:  # cut off in the middle
                    if not attempts_left:
                        raise
        raise AssertionError("own_attempts is at least 1")

    # -- inside ----------------------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}".strip("/")

    def _folder(self, path: str) -> str:
        key = self._key(path).rstrip("/")
        return f"{key}/" if key else ""

    def _path(self, key: str) -> str:
        return key.removeprefix(self._folder(""))

    @contextmanager
    def _explained(self, call: str, path: str) -> Iterator[None]:
        """Turn botocore's errors into ours, except those that a caller decides on."""
        try:
            with explained(f"{call} on {self.uri(path)}", StoreError, StoreUnreachable):
                yield
        except ClientError as error:
            if code_and_message(error)[0] in ("NoSuchKey", "404"):
                raise FileNotFoundError(self.uri(path)) from None
            raise
