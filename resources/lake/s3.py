"""A prefix of an S3 bucket as a store: whole objects, ranged reads, conditional writes, and patience with outages.

Every request is repeated while the service cannot be reached or is overloaded, up to `Patience.seconds`, and for less
time before its first answer. A conditional write carries a token of its writer, so that one whose answer was lost on
the way is known as our own when it is repeated.
"""

import contextlib
import io
import logging
import mimetypes
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
    TokenRetrievalError,
)
from botocore.loaders import create_loader

from resources.lake.store import S3_AS_USUAL, S3Options, StoredFile, StoreError, StoreUnreachable, aws_region

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

logger = logging.getLogger(__name__)

WRITER = "writer"  # metadata of a conditional write: whose it was
READ_AHEAD = 1 << 16
UNREACHABLE = (
    EndpointConnectionError,
    ConnectTimeoutError,
    ConnectionClosedError,
    ReadTimeoutError,
    ProxyConnectionError,
    ResponseStreamingError,
    IncompleteReadError,
)
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)
OVERLOADED = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "ConditionalRequestConflict",  # another write of the same object is under way: the next try knows how it ended
}
PERMISSIONS = {
    "GetObject": "s3:GetObject on it, or s3:ListBucket on its bucket, without which a missing object looks forbidden",
    "ListObjectsV2": "s3:ListBucket on the bucket",
    "DeleteObject": "s3:DeleteObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads on the bucket",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
_LOADER = create_loader()  # keeps the descriptions of the services, whose reading takes a third of a second
_REGION = "the bucket lies in another region: set AWS_REGION to the bucket's"
_RENEW = "the credentials have expired: renew them and run the same command again, nothing finished is lost"
_WRONG_KEY = "S3 does not know these credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
ADVICE = {
    "NoSuchBucket": "create the bucket, or set MASTER_LAKE_ROOT to one that exists",
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "InvalidToken": _WRONG_KEY,
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "400": "no reason was given: check that the credentials have not expired and that AWS_REGION is the bucket's",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying while the service cannot be reached or is overloaded."""

    seconds: float = 300.0
    unanswered_seconds: float = 20.0  # as long as it has never answered: the address is likely wrong
    longest_pause: float = 15.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempts: int, since: float, seconds: float) -> bool:
        """Sleep before the next attempt, after `attempts` since then; False where `seconds` are over."""
        if self.clock() - since >= seconds:
            return False
        self.sleep(min(self.longest_pause, 0.2 * 2 ** min(attempts - 1, 10)))
        return True


PATIENCE = Patience()


class S3Store:
    """A prefix of an S3 bucket. Implements `resources.lake.store.Store`."""

    def __init__(self, root: str, options: S3Options = S3_AS_USUAL, patience: Patience = PATIENCE) -> None:
        parts = urlsplit(root)
        if parts.scheme != "s3" or not parts.netloc:
            raise StoreError(f"{root!r} is not an S3 address; it should look like s3://bucket/prefix")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.root = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._options = options
        self._patience = patience
        self._answered = False  # whether anything ever did at this address
        self._client: S3Client | None = None
        self._opening = threading.Lock()

    @property
    def client(self) -> "S3Client":
        """The boto3 client, made when first used; any thread may use it."""
        with self._opening:
            if self._client is None:
                session = botocore.session.get_session()
                session.register_component("data_loader", _LOADER)
                self._client = boto3.session.Session(botocore_session=session).client(
                    "s3",
                    region_name=aws_region(),
                    endpoint_url=self._options.endpoint_url,
                    config=Config(
                        retries={"total_max_attempts": 1, "mode": "standard"},  # `_try_again` decides alone
                        connect_timeout=10,
                        read_timeout=60,
                        max_pool_connections=32,
                    ),
                )
                self._client.meta.events.register_last("needs-retry.s3", cast("Any", self._try_again))
            return self._client

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
        try:
            with self._explained("PutObject", path):
                self.client.put_object(Bucket=self.bucket, Key=self._key(path), Body=data, **arguments)
        except FileNotFoundError:  # what was to be replaced is gone
            return False
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                raise
            return error.response["ResponseMetadata"]["RetryAttempts"] > 0 and self._written_by(path) == writer
        return True

    def _written_by(self, path: str) -> str | None:
        try:
            return self._fetch(path)[1]["Metadata"].get(WRITER)
        except FileNotFoundError:
            return None

    def delete(self, path: str) -> None:
        with self._explained("DeleteObject", path):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def sweep_unfinished(self, before: datetime, dry_run: bool = False) -> list[str]:
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

    def get(self, path: str) -> bytes:
        return self._fetch(path)[0]

    def get_with_version(self, path: str) -> tuple[bytes, str]:
        data, answer = self._fetch(path)
        return data, answer["ETag"]

    def get_tail(self, path: str, length: int) -> bytes:
        return self._tail(path, length)[0]

    def open(self, path: str) -> "RangedFile":
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
        since, attempts = self._patience.clock(), 0
        with self._explained("GetObject", path):
            while True:
                answer = self.client.get_object(Bucket=self.bucket, Key=self._key(path), **how)
                try:
                    return answer["Body"].read(), answer
                except UNREACHABLE as error:  # cut off in the middle
                    attempts += 1
                    self._warn("GetObject", attempts, error)
                    if not self._patience.pause(attempts, since, self._patient_for):
                        raise

    # -- inside ----------------------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}".strip("/")

    def _folder(self, path: str) -> str:
        key = self._key(path).rstrip("/")
        return f"{key}/" if key else ""

    def _path(self, key: str) -> str:
        return key.removeprefix(self._folder(""))

    def _try_again(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        operation: Any,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: Any,
    ) -> int | None:
        """botocore's question after each attempt: None for no other one, else the seconds it is to wait itself."""
        if response is None:
            if not isinstance(caught_exception, UNREACHABLE):
                return None
            fault: object = caught_exception
        else:
            self._answered = True
            answer, parsed = response
            fault = parsed.get("Error", {}).get("Code", "")
            if not (fault in OVERLOADED or answer.status_code in (429, 500, 502, 503, 504)):
                return None
        since = request_dict["context"].setdefault("master.failing_since", self._patience.clock())
        self._warn(operation.name, attempts, fault)
        return 0 if self._patience.pause(attempts, since, self._patient_for) else None

    @property
    def _patient_for(self) -> float:
        return self._patience.seconds if self._answered else self._patience.unanswered_seconds

    def _warn(self, call: str, attempts: int, fault: object) -> None:
        if attempts == 1:
            logger.warning(
                "%s on %s failed: %s; trying again for up to %d s", call, self.root, fault, self._patient_for
            )

    @contextlib.contextmanager
    def _explained(self, call: str, path: str) -> Iterator[None]:
        """Turn botocore's errors into ours, except those that a caller decides on."""
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(self.uri(path)) from None
            advice = self._advice(error)
            if advice is None:
                raise
            fault = StoreUnreachable if _is_overloaded(error) else StoreError
            raise fault(f"{error.operation_name} on {self.uri(path)} failed: {code}; {advice}") from error
        except NO_CREDENTIALS as error:
            raise StoreError(
                f"{call} on {self.uri(path)} failed: {error}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or run where a role gives credentials"
            ) from error
        except BotoCoreError as error:
            passing = isinstance(error, (HTTPClientError, *UNREACHABLE)) and not isinstance(error, SSLError)
            if not passing:
                advice = "check the endpoint, the region and the credentials"
            else:
                advice = (
                    f"it was tried for {self._patient_for:.0f} s: check the network and MASTER_S3_ENDPOINT_URL, "
                    "then run the same command again, nothing finished is lost"
                )
            fault = StoreUnreachable if passing else StoreError
            raise fault(f"{call} on {self.uri(path)} failed: {error}; {advice}") from error

    def _advice(self, error: ClientError) -> str | None:
        """What to do about an error that S3 answered; None for one that a caller decides on."""
        code, told = error.response["Error"]["Code"], error.response["Error"].get("Message") or ""
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in ADVICE:
            return ADVICE[code]
        if code.startswith("KMS") or "kms:" in told:
            needed = re.search(r"kms:\w+", told)
            return (
                f"the KMS key of this object or bucket refuses: the credentials need "
                f"{needed[0] if needed else 'kms:GenerateDataKey to write and kms:Decrypt to read'}, and the key must "
                "be enabled; see MASTER_S3_KMS_KEY"
            )
        if status == 403:
            needed = re.search(r"not authorized to perform: (\S+)", told)
            permission = needed[1] if needed else PERMISSIONS.get(error.operation_name, "s3:PutObject")
            return f"the credentials in use lack {permission}; infra/policies has what each role needs"
        if _is_overloaded(error):
            return (
                f"it was tried for {self._patient_for:.0f} s: wait until the service is well, then run the same "
                "command again, nothing finished is lost"
            )
        return None


def _is_overloaded(error: ClientError) -> bool:
    """Whether S3 said that it cannot answer now, rather than that it will not."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return error.response["Error"]["Code"] in OVERLOADED or status == 429 or status >= 500


class RangedFile(io.RawIOBase, BinaryIO):
    """A remote file that is read in pieces: its tail is at hand, the rest is fetched as it is asked for."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, tail: bytes, ahead: int = READ_AHEAD) -> None:
        """`fetch` gives the bytes from its first argument up to, without, its second, at least `ahead` at a time."""
        self._at_least = ahead
        self._fetch = fetch
        self.size = size
        self._tail = tail
        self._ahead, self._ahead_start = b"", 0
        self._position = 0

    def copy(self) -> "RangedFile":
        """The same file at its start; its tail is not fetched again."""
        return RangedFile(self._fetch, self.size, self._tail, self._at_least)

    @property
    def has_tail(self) -> bool:
        """Whether its end is at hand."""
        return bool(self._tail)

    def with_tail(self) -> "RangedFile":
        """The same version of the file with its end fetched. Raises StoreError where it was replaced."""
        start = max(0, self.size - READ_AHEAD)
        return RangedFile(self._fetch, self.size, self._fetch(start, self.size), self._at_least)

    def without_tail(self) -> "RangedFile":
        """The same version of the file, of which nothing is at hand."""
        return RangedFile(self._fetch, self.size, b"", self._at_least)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._bytes(self._position, min(self._position + len(view), self.size))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = self._bytes(self._position, self.size)
        self._position += len(data)
        return data

    def _bytes(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        tail_start = self.size - len(self._tail)
        if start >= tail_start:
            return self._tail[start - tail_start : end - tail_start]
        if end > tail_start:
            return self._bytes(start, tail_start) + self._tail[: end - tail_start]
        if not self._ahead_start <= start <= end <= self._ahead_start + len(self._ahead):
            self._ahead = self._fetch(start, min(max(end, start + self._at_least), tail_start))
            self._ahead_start = start
        return self._ahead[start - self._ahead_start : end - self._ahead_start]
