"""The files and batches of one endpoint, through the `openai` client: upload, create, find, read answers, delete."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from resources.chat.batches.ledger import Batch, LeftFiles
from resources.chat.calls import EndpointUnreachable, EndpointUnusable
from resources.chat.profile import Endpoint, read_key
from resources.chat.redaction import Redactor
from resources.chat.replies import Reply, UnusableReply
from resources.chat.transport import BODY_BYTES, CONNECT_SECONDS, client_options, request_headers, shown_address
from resources.outside_text import clean_line, parse_json

if TYPE_CHECKING:
    import httpx2
    from openai.types import Batch as ProviderBatch
    from openai.types import FileObject

    Listed = TypeVar("Listed", ProviderBatch, FileObject)

logger = logging.getLogger(__name__)

MARK = "master_batch"  # the field of a batch's metadata
ENDED = ("completed", "failed", "expired", "cancelled")
RETRIES = 4  # of requests that may be repeated; creating a batch is none of them
MOST_LISTED = 20_000  # batches, or files, that are looked through
OLDER = timedelta(days=1)  # by which the provider's clock may differ
QUEUE_FULL = ("token_limit", "enqueued", "queue")
MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True)
class SeenBatch:
    """A batch as its provider describes it."""

    id: str
    status: str  # validating, in_progress, finalizing, cancelling, or one of `ENDED`
    requests: str | None = None  # the file of its requests
    files: tuple[str, ...] = ()  # of answers and of errors
    errors: str = ""  # why a batch failed

    @property
    def all_files(self) -> tuple[str, ...]:
        """Every file that it has at its provider."""
        return (self.requests, *self.files) if self.requests else self.files

    @property
    def ended(self) -> bool:
        """Whether nothing more will be answered."""
        return self.status in ENDED

    @property
    def queue_full(self) -> bool:
        """Whether it was refused because too much is in the provider's queue."""
        return self.status == "failed" and any(word in self.errors.lower() for word in QUEUE_FULL)


@dataclass(frozen=True, slots=True)
class LineReply:
    """One line of a file of answers or errors. `reply` is None where the request was never executed."""

    key: str
    reply: Reply | None


class BatchProvider:
    """Files and batches of one endpoint. Blocking; use it as a context manager.

    Raises:
        ConfigurationError: the endpoint's key is not set.
        EndpointUnusable: the proxy or the certificates that the environment names cannot be used.
    """

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        import openai

        assert endpoint.base_url is not None  # noqa: S101 - the profile allows batches nowhere else
        key, parts = read_key(name, endpoint), urlsplit(endpoint.base_url)
        self._where = f"endpoint {name!r} at {shown_address(endpoint.base_url)}"
        self._redactor = Redactor(key)
        try:
            options = client_options(parts)
        except UnusableReply as unusable:
            raise EndpointUnusable(f"{self._where} cannot be used: {unusable}") from None
        headers = request_headers(endpoint, parts, key)

        def set_headers(request: "httpx2.Request") -> None:
            """Send what the profile says, and nothing that the client reads from the environment for OpenAI."""
            for name in ("Authorization", "OpenAI-Organization", "OpenAI-Project"):
                request.headers.pop(name, None)
            request.headers.update(headers)

        self._client = openai.OpenAI(
            api_key="unused",
            base_url=endpoint.base_url,
            max_retries=RETRIES,
            timeout=openai.Timeout(endpoint.timeout_seconds, connect=CONNECT_SECONDS),
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [set_headers]}, **options),
        )
        self._window = endpoint.batches.completion_window

    def __enter__(self) -> "BatchProvider":
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def upload(self, mark: str, lines: Iterable[bytes]) -> str:
        """Upload the requests of a batch; the file's id. Repeated where the connection fails: it costs nothing."""
        with self._reported():
            content = b"".join(lines)
            return self._client.files.create(file=(_file_name(mark), content), purpose="batch").id

    def create(self, mark: str, file: str) -> str:
        """Create a batch of an uploaded file; its id. Sent once only: after a lost answer, look for its mark.

        Raises:
            EndpointUnreachable: it may have been created.
            EndpointUnusable: it was not.
        """
        with self._reported():
            batch = self._client.with_options(max_retries=0).batches.create(
                completion_window=self._window,  # type: ignore[arg-type]  # other providers have other windows
                endpoint="/v1/chat/completions",
                input_file_id=file,
                metadata={MARK: mark},
            )
            return self._clean(batch.id)

    def find(self, batches: Sequence[Batch]) -> dict[str, SeenBatch]:
        """By mark, those of these batches that the provider knows."""
        found: dict[str, SeenBatch] = {}
        ids = {batch.id: batch.mark for batch in batches if batch.id}
        marks = {batch.mark for batch in batches}
        with self._reported():
            for one in _newest(self._client.batches.list(limit=100), batches):
                metadata = one.metadata if isinstance(one.metadata, dict) else {}
                mark = ids.get(one.id) or metadata.get(MARK)
                if mark in marks:
                    found[mark] = self._seen(one)
                if len(found) == len(marks):
                    break
            for id_, mark in ids.items():
                if mark not in found:
                    found[mark] = self._seen(self._client.batches.retrieve(id_))
        return found

    def replies(self, batch: SeenBatch) -> Iterator[LineReply]:
        """Every line of the files of answers and errors; lines that cannot be read are left out."""
        for file in batch.files:
            for line in self._lines(file):
                try:
                    content = self._redactor.value(parse_json(line))
                except (ValueError, RecursionError):
                    continue
                if isinstance(content, dict) and isinstance(content.get("custom_id"), str):
                    yield LineReply(content["custom_id"], _reply_of(content.get("response")))

    def delete_files(self, left: Sequence[LeftFiles]) -> None:
        """Delete the files that batches left, and what was uploaded under their marks.

        A file that is not there counts as deleted, and so does one of a provider that has no listing or no deletion.
        """
        names, ids = {_file_name(one.mark) for one in left}, {id_ for one in left for id_ in one.files}
        with self._reported(), self._passing_over_what_is_missing():
            listed = self._client.files.list(purpose="batch")
            ids |= {file.id for file in _newest(listed, left) if file.filename in names}
        for id_ in sorted(ids):
            with self._reported(), self._passing_over_what_is_missing():
                self._client.files.delete(id_)

    @contextmanager
    def _passing_over_what_is_missing(self) -> Iterator[None]:
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            if error.status_code not in MISSING:
                raise
            if error.status_code != HTTPStatus.NOT_FOUND:
                logger.warning("%s does not delete files (HTTP %d)", self._where, error.status_code)

    def _lines(self, file: str) -> Iterator[bytes]:
        """The lines of a file, none longer than the body of a live answer may be."""
        import openai

        with self._reported():
            try:
                with self._client.files.with_streaming_response.content(file) as response:
                    rest = b""
                    for chunk in response.iter_bytes():
                        *lines, rest = (rest + chunk).split(b"\n")
                        yield from (line for line in lines if line)
                        rest = rest if len(rest) <= BODY_BYTES else b""
                    if rest:
                        yield rest
            except openai.NotFoundError:  # providers delete files after some time
                return

    def _seen(self, batch: "ProviderBatch") -> SeenBatch:
        problems: list[Any] = list((batch.errors and batch.errors.data) or [])
        errors = "; ".join(f"{one.code}: {one.message}" for one in problems)
        files = tuple(file for file in (batch.output_file_id, batch.error_file_id) if file)
        return SeenBatch(
            self._clean(batch.id), self._clean(batch.status), batch.input_file_id, files, self._clean(errors)
        )

    def _clean(self, said: object) -> str:
        """What a provider said, on one line and without the key."""
        return clean_line(self._redactor.text(str(said)))

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Errors of the client as those of an endpoint, without the key."""
        import httpx2
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            said = f"HTTP {error.status_code}: {self._clean(error.message)}"
            if error.status_code in (408, 409, 425, 429) or error.status_code >= 500:
                raise EndpointUnreachable(f"{self._where} takes no batches at the moment: {said}") from None
            raise EndpointUnusable(
                f"{self._where} refuses batches ({said}). Correct its key or address in the profile, or give its roles "
                "`mode: live`. Batches that are open there stay as they are."
            ) from None
        except (openai.APIError, httpx2.HTTPError, OSError, ValueError) as error:
            raise EndpointUnreachable(
                f"{self._where} did not answer about its batches ({type(error).__name__}); give the same command again"
            ) from None


def _file_name(mark: str) -> str:
    return f"{mark}.jsonl"


def _newest(listed: "Iterable[Listed]", of: Sequence[Batch] | Sequence[LeftFiles]) -> "Iterator[Listed]":
    """What is listed, the newest first, as far back as when the first of these batches was submitted."""
    oldest = (min(one.submitted_at for one in of) - OLDER).timestamp()
    for one in islice(listed, MOST_LISTED):
        if isinstance(one.created_at, int) and one.created_at < oldest:
            return
        yield one


def _reply_of(response: object) -> Reply | None:
    if not isinstance(response, dict) or not isinstance(status := response.get("status_code"), int):
        return None
    return Reply(status, {}, response.get("body"), is_json=True)
