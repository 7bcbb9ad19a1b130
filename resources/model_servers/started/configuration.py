"""What an endpoint says of a server that is started for it: model, GPUs, further arguments, times, price."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from resources.configuration import Configuration

# Arguments that follow from other settings, which are named in the message.
FIELD_OF_ARGUMENT = {
    "vllm": {
        "--model": "model",
        "--host": "the address, which is 127.0.0.1",
        "--port": "port",
        "--api-key": "api_key_env of the endpoint: arguments are seen by every user of the machine",
        "--tensor-parallel-size": "gpus",
        "-tp": "gpus",
        "--served-model-name": "served_as",
        "--enable-lora": "max_lora_rank",
        "--max-lora-rank": "max_lora_rank",
        "--lora-modules": "adapters",
    },
    "llama_server": {
        "--model": "model",
        "-m": "model",
        "--host": "the address, which is 127.0.0.1",
        "--port": "port",
        "--api-key": "api_key_env of the endpoint: arguments are seen by every user of the machine",
        "--ctx-size": "context_tokens of the endpoint",
        "-c": "context_tokens of the endpoint",
        "--parallel": "max_concurrency of the endpoint",
        "-np": "max_concurrency of the endpoint",
        "--alias": "the model's name, which is the file's name without its ending",
        "-a": "the model's name, which is the file's name without its ending",
    },
}


class ServerSettings(Configuration):
    """How a server is started, whatever its model is."""

    gpus: int = Field(
        default=1, ge=1, description="`vllm`: GPUs that share the model (`--tensor-parallel-size`). Unused otherwise."
    )
    arguments: tuple[str, ...] = Field(
        default=(),
        description='Further arguments as a list, such as `[--max-model-len, "16384"]`. No secrets.',
    )
    environment: tuple[str, ...] = Field(
        default=(),
        description="Names of environment variables that the server gets beside the usual ones (PATH, CUDA_…, HF_HOME, "
        "proxies …), such as `HF_TOKEN` for a gated model. Their values are in no log.",
    )
    executable: str | None = Field(
        default=None, description="The program, by default `vllm` or `llama-server` from PATH; a path for another."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="By default a free one.")
    start_seconds: float = Field(
        default=1200.0, gt=0, description="Longest time until it answers; it may have to download its weights."
    )
    idle_seconds: float = Field(default=300.0, gt=0, description="It is stopped after this time without a run.")
    max_lora_rank: int | None = Field(
        default=None, ge=1, description="`vllm`: serve LoRA adapters too, up to this rank; without it none is served."
    )
    price_per_hour: float | None = Field(
        default=None, ge=0, description="Price of the machine in US dollars per hour; then its hours count as money."
    )

    @field_validator("environment")
    @classmethod
    def _names_variables(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in value):
            raise ValueError("should be NAMES of environment variables, such as HF_TOKEN; their values go into .env")
        return value


class StartedServer(ServerSettings):
    """A server that is started on this machine when it is first needed and stopped when it is idle."""

    model: str = Field(
        min_length=1, description="`vllm`: a hub id or a folder. `llama_server`: the path of a GGUF file."
    )
    served_as: str | None = Field(default=None, description="`vllm`: its name at the server; by default `model`.")
    adapters: dict[str, str] = Field(
        default_factory=dict,
        description="`vllm`: LoRA adapters that are loaded by name: the name, as `model` of a role, and its folder.",
    )

    @model_validator(mode="after")
    def _adapters_have_a_rank(self) -> Self:
        if self.adapters and self.max_lora_rank is None:
            raise ValueError("adapters need max_lora_rank, the highest rank among them")
        return self

    def name_of(self, kind: str) -> str:
        """The model's name at a server of that kind."""
        return Path(self.model).stem if kind == "llama_server" else self.served_as or self.model

    def check_fits(self, kind: str) -> None:
        """Check what depends on the endpoint's kind.

        Raises:
            ValueError: an argument repeats a field, or a file is not a GGUF file.
        """
        fields = FIELD_OF_ARGUMENT[kind]
        for argument in self.arguments:
            name = argument.partition("=")[0].replace("_", "-")
            if name in fields:
                raise ValueError(f"server.arguments has {name}, which is given by {fields[name]}")
        if kind == "llama_server" and not self.model.endswith(".gguf"):
            raise ValueError(f"server.model {self.model!r} should be the path of a .gguf file")
