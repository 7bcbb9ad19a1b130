"""Sentence embeddings for retrieval, behind one small interface."""

import asyncio
import importlib.util
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resources.chat.calls import CallFailed, EndpointUnusable
from resources.chat.endpoint_client import EndpointClient, EndpointUser, machine_slots
from resources.chat.limiter import RateLimitOutcome
from resources.chat.profile import Endpoint, Profile, read_key
from resources.chat.replies import Reply, Throttled
from resources.chat.retries import RetryPolicy
from resources.chat.service import lease_server, run_async
from resources.chat.settings import EngineSettings
from resources.chat.transport import shown_address
from resources.configuration import ConfigurationError
from resources.model_servers.embedded.servers import lease_embedding_server
from resources.model_servers.embedded.weights import SENTENCE_MODEL, SENTENCE_TOKENS
from resources.outside_text import clean_line

logger = logging.getLogger(__name__)

SHORTEST_CUT = 100  # characters; a model that reads fewer is of no use
ENDPOINT_CONCURRENCY = 8  # batches in flight at a remote endpoint
EMBEDDINGS_BYTES = 32 * 2**20  # of one reply: a batch of 64 vectors of 4,096 dimensions has 6 MB
EMBEDDED_TIMEOUT_SECONDS = 600.0  # for one batch, on a busy machine

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def identity(self) -> str:
        """Kind and model, `embedded:all-MiniLM-L6-v2`: vectors of different identities are never compared."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of `texts`, shape (len(texts), dimensions), float32, in order."""
        ...


class EmbeddedEmbedder:
    """all-MiniLM-L6-v2 on the embedded server; texts are cut after 256 tokens, as by sentence-transformers.

    The server is leased for each `embed` and shared with all other processes. llama.cpp in this process would save
    little: it has no tokenizer for the cut, and its destructor hangs at exit.
    """

    identity = f"embedded:{SENTENCE_MODEL}"

    def __init__(self, batch_size: int = 64) -> None:
        self._batch_size = batch_size

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Raises EmbeddedModelMissing, ModelServerError, EndpointUnusable."""
        with lease_embedding_server() as base_url:
            root = base_url.removesuffix("/v1")
            parts = []
            for batch in _batches(texts, self._batch_size):
                inputs = [_fitting(root, text) for text in batch]
                answer = _post_to_loopback(f"{base_url}/embeddings", {"input": inputs, "model": SENTENCE_MODEL})
                parts.append(_unit_vectors(answer, len(batch), "the embedded server"))
        return _stacked(parts)


class EndpointEmbedder:
    """A model behind an OpenAI-compatible `/v1/embeddings`, reached by the same client as the chat's endpoints."""

    def __init__(
        self,
        endpoint_name: str,
        endpoint: Endpoint,
        model: str,
        batch_size: int = 64,
        *,
        profile: str = "",
        retries: RetryPolicy | None = None,
    ) -> None:
        """
        Args:
            endpoint_name: its name in the profile.
            endpoint: its settings.
            model: the model's name at the endpoint.
            batch_size: texts per request.
            profile: the profile's name, for messages.
            retries: how failed requests are sent again.

        Raises:
            ConfigurationError: the endpoint has no address, or its key is not set or cannot be sent.
        """
        if endpoint.kind == "embedded":
            raise ConfigurationError(f"embedder: endpoint {endpoint_name!r} is embedded; use embedder kind 'embedded'")
        read_key(endpoint_name, endpoint)
        self._endpoint_name = endpoint_name
        self._endpoint = endpoint
        self._address = endpoint.base_url or ""  # "": of a server that is leased for each `embed`
        self._user = EndpointUser("embedder", model)
        self._batch_size = batch_size
        self._profile = profile
        self._retries = retries or RetryPolicy()

    @property
    def identity(self) -> str:
        return f"openai:{self._user.model}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Raises EndpointUnusable if there is no valid answer after the retries, ModelServerError."""
        if not texts:
            return _stacked([])
        endpoint = self._endpoint
        with (
            nullcontext(endpoint.base_url)
            if endpoint.base_url
            else lease_server(self._endpoint_name, endpoint) as address
        ):
            self._address = address
            return run_async(self._embed_all(texts))

    async def _embed_all(self, texts: Sequence[str]) -> Vectors:
        slots = min(ENDPOINT_CONCURRENCY, machine_slots(self._endpoint))
        client = EndpointClient(
            self._profile, self._endpoint_name, self._endpoint, self._address, slots, EngineSettings().sharing_seconds
        )
        batches = enumerate(_batches(texts, self._batch_size))
        parts: dict[int, Vectors] = {}

        async def work() -> None:
            for number, batch in batches:
                parts[number] = await self._embed_shortened(client, batch)

        try:
            await asyncio.gather(*(work() for _ in range(slots)))
        except CallFailed as failed:
            raise EndpointUnusable(f"{self._where}: {failed}; check its model and batch_size") from None
        finally:
            await client.close()
        return _stacked([parts[number] for number in sorted(parts)])

    async def _embed_shortened(self, client: EndpointClient, texts: Sequence[str]) -> Vectors:
        """The vectors of a batch. Texts too long for the model are cut, which other embedders do themselves."""
        while True:
            try:
                return await self._embed_batch(client, texts)
            except CallFailed as failed:
                limit = max(map(len, texts)) // 2
                if failed.reason != "context_overflow" or limit < SHORTEST_CUT:
                    raise
                logger.info("%s: texts are cut to %d characters: %s", self._where, limit, failed.detail)
                texts = [text[:limit] for text in texts]

    async def _embed_batch(self, client: EndpointClient, texts: Sequence[str]) -> Vectors:
        fields: dict[str, object] = {"input": list(texts), "model": self._user.model, "encoding_format": "float"}
        fields |= self._endpoint.extra_body
        sent = {name: value for name, value in fields.items() if value is not None}
        body = json.dumps(sent, separators=(",", ":")).encode()
        tokens = len(body) / 4

        async def attempt(number: int) -> Reply:
            await client.queue.acquire(tokens)
            outcome, retry_after = RateLimitOutcome.NEITHER, None
            try:
                client.check_usable()
                reply = await client.post("/embeddings", body, self._user, tokens, EMBEDDINGS_BYTES)
                outcome = RateLimitOutcome.SERVED
                return reply
            except Throttled as throttled:
                outcome, retry_after = RateLimitOutcome.THROTTLED, throttled.retry_after
                raise
            finally:
                client.queue.release(outcome, retry_after=retry_after)

        reply = await client.with_retries(self._retries, self._user, attempt)
        return _unit_vectors(reply.body, len(texts), self._where)

    @property
    def _where(self) -> str:
        address = shown_address(self._address)
        return f"embedder: model {self._user.model!r} at endpoint {self._endpoint_name!r} ({address})"


class SentenceTransformersEmbedder:
    """Any sentence-transformers model, for big pools on a GPU. torch is imported on first use."""

    def __init__(self, model: str, batch_size: int = 64) -> None:
        """
        Raises:
            ConfigurationError: sentence-transformers or torch is not installed.
        """
        missing = [name for name in ("sentence_transformers", "torch") if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigurationError(
                f"embedder kind 'sentence_transformers' needs {' and '.join(missing)}, not installed here: "
                "`pip install sentence-transformers`, or choose embedder kind 'embedded' or 'openai'"
            )
        self._model = model
        self._batch_size = batch_size
        self._encoder: Any = None

    @property
    def identity(self) -> str:
        return f"sentence_transformers:{self._model}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        if self._encoder is None:
            from sentence_transformers import SentenceTransformer

            self._encoder = SentenceTransformer(self._model)
        vectors = self._encoder.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def open_embedder(profile: Profile, retries: RetryPolicy | None = None) -> Embedder:
    """The embedder that a profile names. It loads and calls nothing yet.

    Args:
        profile: the profile.
        retries: how failed requests to an endpoint are sent again.

    Raises:
        ConfigurationError: the embedder cannot be used here; the message says why.
    """
    choice = profile.embedder
    if choice.kind == "openai":
        name = choice.endpoint or ""
        endpoint = profile.endpoints[name]
        return EndpointEmbedder(name, endpoint, choice.model, choice.batch_size, profile=profile.name, retries=retries)
    if choice.kind == "sentence_transformers":
        return SentenceTransformersEmbedder(choice.model, choice.batch_size)
    if choice.model != SENTENCE_MODEL:
        raise ConfigurationError(
            f"profile {profile.name!r}, embedder: kind 'embedded' only has {SENTENCE_MODEL} (given: {choice.model!r})"
        )
    return EmbeddedEmbedder(choice.batch_size)


def _batches(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))


def _stacked(parts: Sequence[Vectors]) -> Vectors:
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


def _fitting(root: str, text: str) -> str | list[int]:
    """`text`, or its first tokens if it has too many. No token is shorter than a character."""
    if len(text) <= SENTENCE_TOKENS - 2:
        return text
    tokens: list[int] = _post_to_loopback(f"{root}/tokenize", {"content": text, "add_special": True})["tokens"]
    return text if len(tokens) <= SENTENCE_TOKENS else [*tokens[: SENTENCE_TOKENS - 1], tokens[-1]]


def _post_to_loopback(url: str, body: Mapping[str, object]) -> Any:
    """The JSON answer of the embedded server. A proxy in the environment is not used."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=EMBEDDED_TIMEOUT_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise EndpointUnusable(f"the embedded server answered {error.code}: {error.read()[:500]!r}") from error
    except OSError as error:
        raise EndpointUnusable(f"the embedded server does not answer: {error}; run again to start a new one") from error


def _unit_vectors(answer: Any, count: int, where: str) -> Vectors:
    """The vectors of an `/v1/embeddings` answer, in the order of the inputs, each scaled to length 1.

    Rows are sorted by `index` where every row has one; otherwise they are in the order of the inputs.
    """
    try:
        rows = list(answer["data"])
        if all(isinstance(row.get("index"), int) for row in rows):
            rows.sort(key=lambda row: row["index"])
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise EndpointUnusable(
            f"{where}: the answer is no answer of /v1/embeddings: {clean_line(repr(answer))}"
        ) from None
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != count or not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise EndpointUnusable(
            f"{where}: asked for {count} vectors, received shape {vectors.shape} or a vector of length 0"
        )
    unit: Vectors = vectors / lengths
    return unit
