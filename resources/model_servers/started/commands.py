"""The command line and the environment of a server that is started, and what its failures to start mean."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resources.model_servers.lease import ModelServerError
from resources.model_servers.started.configuration import StartedServer

PORT = "{port}"  # in a command: replaced when the server is started
EXECUTABLES = {"vllm": "vllm", "llama_server": "llama-server"}
KEY_VARIABLES = {"vllm": "VLLM_API_KEY", "llama_server": "LLAMA_API_KEY"}  # where the servers read a key from
INSTALL = {
    "vllm": "install vLLM in an environment of its own (`uv venv vllm && uv pip install --python vllm vllm`) and put "
    "its bin folder into PATH, or name the program in server.executable",
    "llama_server": "install llama.cpp (https://github.com/ggml-org/llama.cpp/releases) and put it into PATH, or name "
    "the program in server.executable; `kind: embedded` with `model_file` serves a GGUF file without it, on the "
    "processor",
}
# Variables that a server gets unless they hold a secret: paths, GPUs, caches, proxies.
PASSED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TMPDIR|XDG_.*|LD_LIBRARY_PATH|CUDA_.*|NVIDIA_.*|NCCL_.*|ROCR?_.*|HIP_.*"
    "|HF_.*|HUGGINGFACE_HUB_CACHE|TRANSFORMERS_.*|VLLM_.*|GGML_.*|LLAMA_.*|TORCH.*|TRITON_.*|OMP_.*|SSL_CERT_.*"
    "|(?:HTTPS?|NO|ALL)_PROXY",
    re.IGNORECASE,
)
SECRET = re.compile("KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)

# What the servers print where they cannot start, and what to do. The first that is found is shown.
CAUSES = (
    (
        r"gated repo|GatedRepoError|Access to model .* is restricted|401 Client Error",
        "the model is gated: accept its licence on the hub, set HF_TOKEN, and add HF_TOKEN to server.environment",
    ),
    (
        r"out of memory|OutOfMemoryError|less than desired GPU memory|No available memory for the cache"
        r"|larger than the available KV cache|failed to allocate",
        "there is not enough memory on the GPU: end what else uses it (nvidia-smi lists it), add "
        "`--gpu-memory-utilization` or `--max-model-len` to server.arguments, raise server.gpus, or take a smaller "
        "model",
    ),
    (
        r"address already in use|couldn't bind|EADDRINUSE",
        "the port is in use: choose another server.port, or leave it out for a free one",
    ),
    (
        r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier|404 Client Error"
        r"|failed to open GGUF file|No such file or directory|Repo id must be in the form",
        "the model was not found: check server.model, and that the machine reaches the hub",
    ),
    (
        r"No CUDA GPUs are available|Found no NVIDIA driver|Failed to infer device type|CUDA driver version",
        "no usable GPU was found: `nvidia-smi` should list one",
    ),
    (r"unrecognized arguments|invalid argument|error: argument", "an argument is not known: check server.arguments"),
)


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """How a server is started."""

    arguments: tuple[str, ...]  # the program first; `PORT` where its port goes
    environment: Mapping[str, str]
    secrets: tuple[str, ...]  # names of variables whose values are removed from the log
    key_variable: str  # that holds the key which the server asks for, where there is one


def build_command(
    kind: str, server: StartedServer, key: str | None, *, slots: int, context_tokens: int
) -> ServerCommand:
    """The command of a server.

    Args:
        kind: `vllm` or `llama_server`.
        server: its settings.
        key: what clients have to send; it is passed in the environment, never as an argument.
        slots: calls at once, for llama-server.
        context_tokens: context of one call, for llama-server.

    Raises:
        ModelServerError: the program is not installed.
    """
    program = server.executable or EXECUTABLES[kind]
    found = shutil.which(Path(program).expanduser())
    if found is None:
        raise ModelServerError(f"{program} was not found, which kind {kind!r} starts: {INSTALL[kind]}")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in server.environment or (PASSED.fullmatch(name) and not SECRET.search(name))
    }
    key_variable = KEY_VARIABLES[kind]
    if key:
        environment[key_variable] = key
    if kind == "vllm":
        arguments = _vllm(server)
        if server.max_lora_rank:
            environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"  # adapters are loaded while it runs
    else:
        arguments = _llama_server(server, slots, context_tokens)
    with_password = [name for name in environment if name.lower().endswith("_proxy") and "@" in environment[name]]
    secrets = tuple(name for name in (*server.environment, *with_password, key_variable) if name in environment)
    return ServerCommand(
        (str(Path(found).absolute()), *arguments, *server.arguments), environment, secrets, key_variable
    )


def _vllm(server: StartedServer) -> list[str]:
    """Arguments of `vllm serve`. Its own limit of concurrent sequences is left as it is: further calls wait there."""
    folder = Path(server.model).expanduser()
    return [
        *("serve", str(folder.absolute()) if folder.is_dir() else server.model),
        *("--served-model-name", server.name_of("vllm"), "--host", "127.0.0.1", "--port", PORT),
        *("--tensor-parallel-size", str(server.gpus), "--disable-uvicorn-access-log"),
        *(("--enable-lora", "--max-lora-rank", str(server.max_lora_rank)) if server.max_lora_rank else ()),
    ]


def _llama_server(server: StartedServer, slots: int, context_tokens: int) -> list[str]:
    """Arguments of `llama-server`, whose context is shared by its slots; `/slots` would show every current prompt."""
    model = Path(server.model).expanduser().absolute()
    return [
        *("--model", str(model), "--alias", server.name_of("llama_server"), "--host", "127.0.0.1", "--port", PORT),
        *("--ctx-size", str(slots * context_tokens), "--parallel", str(slots), "--no-slots"),
    ]


def explain_failure(printed: str) -> str:
    """What is wrong and what to do about it, from what a server printed; "" where that is not known."""
    return next((advice for pattern, advice in CAUSES if re.search(pattern, printed, re.IGNORECASE)), "")
