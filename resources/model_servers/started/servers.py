"""Leases on model servers that are started on this machine when they are first needed: vLLM and llama-server."""

import contextlib
import hashlib
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from resources.identity import stable_hash
from resources.model_servers.lease import LeaseTimeouts, LiveServer, ModelServerError, ServerFiles, lease
from resources.model_servers.started.commands import ServerCommand, build_command, explain_failure
from resources.model_servers.started.configuration import StartedServer
from resources.model_servers.started.usage import RunningServer, usage_name
from resources.outside_text import clean_line
from resources.runtime_folder import NoRuntimeFolder, runtime_folder

HEALTH_SECONDS = 30.0  # a server under full load is slow
LOAD_SECONDS = 300.0  # for an adapter
ERROR_BYTES = 2_000  # of a refusal
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by the environment's proxy


@contextlib.contextmanager
def lease_started_server(
    kind: str,
    server: StartedServer,
    key: str | None = None,
    *,
    slots: int = 1,
    context_tokens: int = 4096,
    on_lease: Callable[[RunningServer], object] = lambda server: None,
) -> Iterator[str]:
    """Lease a server; start it if it is not running. Yields its base URL, `http://127.0.0.1:<port>/v1`.

    All processes of a user with the same settings share one server.

    Args:
        kind, server, key, slots, context_tokens: see `build_command`.
        on_lease: called with the server once it answers.

    Raises:
        ModelServerError: the server is not installed or did not start; the message says why, with the end of its log.
    """
    command = build_command(kind, server, key, slots=slots, context_tokens=context_tokens)
    name = server_name(kind, server, command)
    title = f"the server of {server.model} ({kind})"
    try:
        files = ServerFiles(runtime_folder(), name, title)
    except NoRuntimeFolder as error:
        raise ModelServerError(str(error)) from error
    program = [
        *("-m", "resources.model_servers.started.program", "--folder", str(files.folder), "--name", name),
        *("--usage-name", usage_name(kind, server), "--title", title),
        *("--idle-seconds", str(server.idle_seconds), "--port", str(server.port or 0)),
        *("--price-per-hour", json.dumps(server.price_per_hour), "--key-variable", command.key_variable),
        *(f"--secret={variable}" for variable in command.secrets),
        *("--", *command.arguments),
    ]
    timeouts = LeaseTimeouts(start=server.start_seconds, health=HEALTH_SECONDS)
    with lease(files, program, timeouts, command.environment, explain_failure) as live:
        if live.started and live.address:
            on_lease(_running_server(name, kind, server, live))
        for adapter, folder in server.adapters.items():
            _load_adapter(f"{live.address}", adapter, Path(folder).expanduser().absolute(), key)
        yield f"{live.address}/v1"


def _running_server(name: str, kind: str, server: StartedServer, live: LiveServer) -> RunningServer:
    identity = stable_hash(socket.gethostname(), name, live.pid, live.started)[:16]
    return RunningServer(identity, server.name_of(kind), live.started, server.idle_seconds, server.price_per_hour)


def _load_adapter(address: str, name: str, folder: Path, key: str | None) -> None:
    """Have a vLLM server load a LoRA adapter, unless it has one of that name.

    Raises:
        ModelServerError: it refuses the adapter, or has another one of that name.
    """
    models = json.loads(_request(f"{address}/v1/models", key, None))
    loaded = next((model for model in models["data"] if model.get("id") == name), None)
    if loaded is not None:
        if loaded.get("root", str(folder)) != str(folder):
            raise ModelServerError(
                f"the server has the adapter {name} of {loaded['root']} already, not that of {folder}: give it another "
                "name, or wait until the server is stopped"
            )
        return
    try:
        _request(f"{address}/v1/load_lora_adapter", key, {"lora_name": name, "lora_path": str(folder)})
    except urllib.error.HTTPError as refused:
        said = clean_line(refused.read(ERROR_BYTES).decode("utf-8", errors="replace"))
        raise ModelServerError(
            f"the server does not load the adapter {name} ({folder}): {said}. Its rank must not be above "
            "max_lora_rank, and its base model must be the server's"
        ) from None


def _request(url: str, key: str | None, body: Mapping[str, str] | None) -> bytes:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - its own server on loopback
    with LOOPBACK.open(request, timeout=LOAD_SECONDS) as reply:
        content: bytes = reply.read()
    return content


def server_name(kind: str, server: StartedServer, command: ServerCommand) -> str:
    """Name of a server's files. Another command, or another value of a variable that is passed on, has another one."""
    passed = {name: command.environment.get(name) for name in (*server.environment, command.key_variable)}
    facts = json.dumps([kind, command.arguments, server.port, server.idle_seconds, passed])
    model = re.sub(r"[^\w.-]+", "-", Path(server.model).name)[:60]
    return f"{kind}-{model}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
