"""The embedded model servers: llama.cpp on loopback, started when first needed, shared by all processes of a user.

`lease_chat_server` serves chat completions, `lease_embedding_server` sentence embeddings. What the chat server
answers to a prompt that does not fit: HTTP 400 with `{"error": {"type": "exceed_context_size_error", …}}`.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from resources.model_servers.embedded.lease import EmbeddedServerError, Patience, ServerFiles, lease
from resources.model_servers.embedded.models import (
    CHAT_MODEL,
    SENTENCE_MODEL,
    EmbeddedModelMissing,
    chat_model_file,
    require_libraries,
    sentence_model_file,
)
from resources.runtime_folder import NoRuntimeFolder, runtime_folder

IDLE_SECONDS = 30.0
SENTENCE_CONTEXT_TOKENS = 512
SENTENCE_SLOTS = 4


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What one server serves. Two clients with the same spec share a server."""

    model: Path
    alias: str
    context_tokens: int  # of one slot
    slots: int
    embedding: bool = False

    @property
    def name(self) -> str:
        """Names the server's files: readable, and different for whatever would make a different server."""
        status = self.model.stat()
        facts = (*map(str, (self, status.st_size, status.st_mtime_ns, version("xllamacpp"))),)
        return f"{self.alias}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:12]}"

    def arguments(self) -> list[str]:
        """The options of `resources.model_servers.embedded.serve` that stand for this spec."""
        return [
            *("--model", str(self.model), "--alias", self.alias),
            *("--context-tokens", str(self.context_tokens), "--slots", str(self.slots)),
            *(["--embedding"] if self.embedding else []),
        ]


def lease_chat_server(
    model_file: str | None, context_tokens: int, slots: int, *, idle_seconds: float = IDLE_SECONDS
) -> AbstractContextManager[str]:
    """Hold the server of a chat model; yields its base URL, `http://127.0.0.1:<port>/v1`.

    Args:
        model_file: a GGUF file; None for SmolLM2-135M-Instruct, which comes along.
        context_tokens: context of one call, prompt and completion together.
        slots: calls decoded together; more wait in the server.
        idle_seconds: how long the server outlives its last client, if this client starts it.

    Raises:
        EmbeddedModelMissing: the model or the `local` extra is not there.
        EmbeddedServerError: the server cannot be had; the message names its log.
    """
    if model_file is None:
        model, alias = chat_model_file(), CHAT_MODEL
    else:
        model = Path(model_file).expanduser().absolute()
        alias = model.stem
        if not model.is_file():
            raise EmbeddedModelMissing(f"model_file {model}: there is no such file; it should be a GGUF file")
    return lease_server(ServerSpec(model, alias, context_tokens, slots), idle_seconds=idle_seconds)


def lease_embedding_server(*, idle_seconds: float = IDLE_SECONDS) -> AbstractContextManager[str]:
    """Hold the server of all-MiniLM-L6-v2; yields its base URL, `http://127.0.0.1:<port>/v1`.

    Raises:
        EmbeddedModelMissing: the model or the `local` extra is not there.
        EmbeddedServerError: the server cannot be had; the message names its log.
    """
    spec = ServerSpec(sentence_model_file(), SENTENCE_MODEL, SENTENCE_CONTEXT_TOKENS, SENTENCE_SLOTS, embedding=True)
    return lease_server(spec, idle_seconds=idle_seconds)


@contextlib.contextmanager
def lease_server(spec: ServerSpec, *, idle_seconds: float, patience: Patience | None = None) -> Iterator[str]:
    """Hold the server of `spec`; yields its base URL. See `lease_chat_server`."""
    require_libraries("xllamacpp")
    try:
        files = ServerFiles(runtime_folder(), spec.name)
    except NoRuntimeFolder as error:
        raise EmbeddedServerError(str(error)) from error
    program = [
        *("-m", "resources.model_servers.embedded.serve", "--folder", str(files.folder), "--name", files.name),
        *("--idle-seconds", str(idle_seconds), *spec.arguments()),
    ]
    with lease(files, program, patience) as address:
        yield f"{address}/v1"
