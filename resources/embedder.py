"""Sentence embeddings for retrieval, behind one small interface."""

import importlib.util
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resources.chat.calls import EndpointUnusable
from resources.chat.profile import Endpoint, Profile
from resources.configuration import ConfigurationError
from resources.model_servers.embedded.servers import lease_embedding_server
from resources.model_servers.embedded.weights import SENTENCE_MODEL, SENTENCE_TOKENS

if TYPE_CHECKING:
    from openai import OpenAI

ENDPOINT_CONCURRENCY = 8  # batches in flight at a remote endpoint
ENDPOINT_RETRIES = 6
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
        """See `Embedder`. Raises EmbeddedModelMissing, EmbeddedServerError, EndpointUnusable."""
        with lease_embedding_server() as base_url:
            root = base_url.removesuffix("/v1")
            parts = []
            for batch in _batches(texts, self._batch_size):
                inputs = [_fitting(root, text) for text in batch]
                answer = _post_to_loopback(f"{base_url}/embeddings", {"input": inputs, "model": SENTENCE_MODEL})
                parts.append(_unit_vectors(answer, len(batch), "the embedded server"))
        return _stacked(parts)


class EndpointEmbedder:
    """A model behind an OpenAI-compatible `/v1/embeddings`. The client library retries."""

    def __init__(self, endpoint_name: str, endpoint: Endpoint, model: str, batch_size: int = 64) -> None:
        """
        Raises:
            ConfigurationError: the endpoint has no address, or the variable with its key is not set.
        """
        if not endpoint.base_url:
            raise ConfigurationError(f"embedder: endpoint {endpoint_name!r} is embedded; use embedder kind 'embedded'")
        if endpoint.api_key_env and not os.environ.get(endpoint.api_key_env):
            raise ConfigurationError(
                f"embedder: endpoint {endpoint_name!r} takes its key from {endpoint.api_key_env}, which is not set"
            )
        self._endpoint_name = endpoint_name
        self._endpoint = endpoint
        self._model = model
        self._batch_size = batch_size

    @property
    def identity(self) -> str:
        return f"openai:{self._model}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Raises EndpointUnusable if there is no valid answer after the retries."""
        from openai import OpenAI

        endpoint = self._endpoint
        key = os.environ[endpoint.api_key_env] if endpoint.api_key_env else "none"
        workers = min(ENDPOINT_CONCURRENCY, endpoint.max_concurrency)
        with (
            OpenAI(
                base_url=endpoint.base_url,
                api_key=key,
                timeout=endpoint.timeout_seconds,
                max_retries=ENDPOINT_RETRIES,
            ) as client,
            ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool,
        ):
            return _stacked(list(pool.map(lambda batch: self._batch(client, batch), _batches(texts, self._batch_size))))

    def _batch(self, client: "OpenAI", texts: Sequence[str]) -> Vectors:
        from openai import OpenAIError

        where = f"embedder: model {self._model!r} at endpoint {self._endpoint_name!r} ({self._endpoint.base_url})"
        try:
            response = client.embeddings.with_raw_response.create(
                input=list(texts), model=self._model, encoding_format="float", extra_body=self._endpoint.extra_body
            )
            answer = json.loads(response.http_response.content)
        except OpenAIError as error:
            words = str(error)
            if self._endpoint.api_key_env:
                words = words.replace(client.api_key, "[key]")  # some servers quote a key that they refuse
            raise EndpointUnusable(f"{where}: {words:.500}; check its address, key and model") from None
        except ValueError as error:
            raise EndpointUnusable(f"{where}: the answer is not JSON; check the address") from error
        return _unit_vectors(answer, len(texts), where)


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


def open_embedder(profile: Profile) -> Embedder:
    """The embedder that a profile names. It loads and calls nothing yet.

    Raises:
        ConfigurationError: the embedder cannot be used here; the message says why.
    """
    choice = profile.embedder
    if choice.kind == "openai":
        name = choice.endpoint or ""
        return EndpointEmbedder(name, profile.endpoints[name], choice.model, choice.batch_size)
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
    """The vectors of an `/v1/embeddings` answer, in the order of the inputs, each scaled to length 1."""
    try:
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise EndpointUnusable(f"{where}: the answer is no answer of /v1/embeddings: {answer!r:.200}") from error
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != count or not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise EndpointUnusable(
            f"{where}: asked for {count} vectors, received shape {vectors.shape} or a vector of length 0"
        )
    unit: Vectors = vectors / lengths
    return unit
