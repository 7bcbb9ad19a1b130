"""The embedded model servers: llama.cpp on loopback, started on first use, shared by all processes of a user.

`lease_chat_server` is for chat completions, `lease_embedding_server` for sentence embeddings. To a prompt that does not
fit, the chat server answers HTTP 400 with `{"error": {"type": "exceed_context_size_error", …}}`.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from resources.model_servers.embedded.weights import (
    CHAT_MODEL,
    SENTENCE_MODEL,
    EmbeddedModelMissing,
    chat_model_file,
    require_libraries,
    sentence_model_file,
)
from resources.model_servers.lease import (
    DEFAULT_TIMEOUTS,
    LeaseTimeouts,
    ModelServerError,
    ServerFiles,
    lease,
)
from resources.runtime_folder import NoRuntimeFolder, runtime_folder

IDLE_SECONDS = 30.0
SENTENCE_CONTEXT_TOKENS = 512
SENTENCE_SLOTS = 4


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What one server serves. Clients with the same spec share a server."""

    model: Path
    alias: str
    context_tokens: int  # of one slot
    slots: int
    embedding: bool = False

    @property
    def name(self) -> str:
        """Name of the server's files; another model file, setting or version of llama.cpp has another one."""
        status = self.model.stat()
        facts = (*map(str, (self, status.st_size, status.st_mtime_ns, version("xllamacpp"))),)
        return f"{self.alias}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:12]}"

    def arguments(self) -> list[str]:
        """This spec as options of `resources.model_servers.embedded.program`."""
        return [
            *("--model", str(self.model), "--alias", self.alias),
            *("--context-tokens", str(self.context_tokens), "--slots", str(self.slots)),
            *(["--embedding"] if self.embedding else []),
        ]


def lease_chat_server(
    model_file: str | None, context_tokens: int, slots: int, *, idle_seconds: float = IDLE_SECONDS
) -> AbstractContextManager[str]:
    """Lease the server of a chat model; yields its base URL, `http://127.0.0.1:<port>/v1`.

    Args:
        model_file: a GGUF file; None for SmolLM2-135M-Instruct, which is installed with the project.
        context_tokens: context of one call, prompt and completion together.
        slots: calls decoded together; further ones wait in the server.
        idle_seconds: how long the server runs after its last client, if this client starts it.

    Raises:
        EmbeddedModelMissing: the model or the `local` extra is not installed.
        ModelServerError: the server cannot be used; the message names its log.
    """
    if model_file is None:
        model, alias = chat_model_file(), CHAT_MODEL
    else:
        model = Path(model_file).expanduser().absolute()
        alias = model.stem
        if not model.is_file():
            raise EmbeddedModelMissing(f"model_file {model}: there is no such file; give a GGUF file")
    return lease_server(ServerSpec(model, alias, context_tokens, slots), idle_seconds=idle_seconds)


def lease_embedding_server(*, idle_seconds: float = IDLE_SECONDS) -> AbstractContextManager[str]:
    """Lease the server of all-MiniLM-L6-v2; yields its base URL, `http://127.0.0.1:<port>/v1`.

    Raises:
        EmbeddedModelMissing: the model or the `local` extra is not installed.
        ModelServerError: the server cannot be used; the message names its log.
    """
    spec = ServerSpec(sentence_model_file(), SENTENCE_MODEL, SENTENCE_CONTEXT_TOKENS, SENTENCE_SLOTS, embedding=True)
    return lease_server(spec, idle_seconds=idle_seconds)


@contextlib.contextmanager
def lease_server(spec: ServerSpec, *, idle_seconds: float, timeouts: LeaseTimeouts = DEFAULT_TIMEOUTS) -> Iterator[str]:
    """Lease the server of `spec`; yields its base URL. See `lease_chat_server`."""
    require_libraries("xllamacpp")
    try:
        files = ServerFiles(runtime_folder(), spec.name)
    except NoRuntimeFolder as error:
        raise ModelServerError(str(error)) from error
    program = [
        *("-m", "resources.model_servers.embedded.program", "--folder", str(files.folder), "--name", files.name),
        *("--idle-seconds", str(idle_seconds), *spec.arguments()),
    ]
    with lease(files, program, timeouts) as server:
        yield f"{server.address}/v1"
