"""The serving configuration: where models under test are served: an endpoint, or this machine (embedded or vLLM)."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from resources.chat.profile import Endpoint
from resources.chat.role_model import ModelPrice
from resources.configuration import Configuration, load_configuration, shipped_or_path
from resources.model_servers.started.configuration import ServerSettings

CONFIGURATIONS = Path(__file__).parent / "configurations"
PLACEHOLDERS = {"base": "b", "variant": "v", "checkpoint": "c"}


class Serving(Configuration):
    """Where models under test are served."""

    kind: Literal["local", "endpoint", "vllm"] = Field(
        description="`local`: the embedded model with its adapter merged in, by llama.cpp; `vllm`: vLLM, started on "
        "this machine for each base model, which loads the adapters out of the lake; `endpoint`: your own server."
    )
    server: ServerSettings | None = Field(default=None, description="Kind `vllm`: how it is started.")
    servers: dict[str, ServerSettings] = Field(
        default_factory=dict, description="Kind `vllm`: by base model, where they need different settings."
    )
    endpoint: Endpoint | None = Field(default=None, description="Kind `endpoint`: the server.")
    endpoints: dict[str, Endpoint] = Field(
        default_factory=dict, description="Kind `endpoint`: by base model, where they have different servers."
    )
    model: str = Field(
        default="{base}-{variant}",
        min_length=1,
        description="Kind `endpoint`: name of a tuned model there; {base}, {variant} and {checkpoint} are replaced.",
    )
    untuned: str = Field(default="{base}", min_length=1, description="Kind `endpoint`: name of the base model there.")
    models: dict[str, str] = Field(
        default_factory=dict, description="Kind `endpoint`: other names, by partition, such as `llama-3-8b|untuned`."
    )
    price: ModelPrice | None = Field(default=None, description="Price of the models under test, for budget and report.")
    context_tokens: int = Field(default=2048, ge=256, description="Kinds `local` and `vllm`: context of one call.")
    slots: int = Field(default=4, ge=1, description="Kinds `local` and `vllm`: calls at once.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        faults = []
        if self.kind == "endpoint" and not (self.endpoint or self.endpoints):
            faults.append("kind 'endpoint' needs an endpoint")
        if self.kind != "endpoint" and (self.endpoint or self.endpoints):
            faults.append(f"kind {self.kind!r} takes no endpoint")
        if (self.kind == "vllm") != bool(self.server or self.servers):
            faults.append("kind 'vllm' needs a server, such as {gpus: 1}, and no other kind takes one")
        for name in (self.model, self.untuned):
            try:
                name.format(**PLACEHOLDERS)
            except (KeyError, IndexError, ValueError):
                faults.append(f"{name!r} may only have the placeholders {{base}}, {{variant}} and {{checkpoint}}")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def load_serving(name_or_path: str) -> Serving:
    """A shipped configuration (`local`, `gpu`, `vllm`) or a YAML file. Raises ConfigurationError with every fault."""
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), Serving)
