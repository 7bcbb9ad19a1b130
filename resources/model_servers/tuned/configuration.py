"""Where a model under test is served: an OpenAI-compatible endpoint, or on this machine."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from resources.chat.profile import Endpoint, ModelPrice
from resources.configuration import Configuration, load_configuration, shipped_or_path

CONFIGURATIONS = Path(__file__).parent / "configurations"
PLACES = {"base": "b", "variant": "v", "checkpoint": "c"}


class Serving(Configuration):
    """The whole file."""

    kind: Literal["local", "endpoint"] = Field(
        description="`local`: the embedded model with its adapter merged in, by llama.cpp; `endpoint`: a server of "
        "yours, such as vLLM with the adapters as models."
    )
    endpoint: Endpoint | None = Field(default=None, description="Kind `endpoint`: the server.")
    endpoints: dict[str, Endpoint] = Field(
        default_factory=dict, description="Kind `endpoint`: by base model, where they are served in different places."
    )
    model: str = Field(
        default="{base}-{variant}",
        min_length=1,
        description="Kind `endpoint`: what it calls a tuned model; {base}, {variant} and {checkpoint} stand for these.",
    )
    untuned: str = Field(default="{base}", min_length=1, description="Kind `endpoint`: what it calls the base model.")
    models: dict[str, str] = Field(
        default_factory=dict, description="Kind `endpoint`: names that differ, by partition: `llama-3-8b|untuned`."
    )
    price: ModelPrice | None = Field(default=None, description="Of the models under test, for budget and report.")
    context_tokens: int = Field(default=2048, ge=256, description="Kind `local`: context of one call.")
    slots: int = Field(default=4, ge=1, description="Kind `local`: calls that are decoded together.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        faults = []
        if self.kind == "endpoint" and not (self.endpoint or self.endpoints):
            faults.append("kind 'endpoint' needs an endpoint")
        if self.kind == "local" and (self.endpoint or self.endpoints):
            faults.append("kind 'local' takes no endpoint")
        for name in (self.model, self.untuned):
            try:
                name.format(**PLACES)
            except (KeyError, IndexError, ValueError):
                faults.append(f"{name!r} should hold no placeholder but {{base}}, {{variant}} and {{checkpoint}}")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def load_serving(name_or_path: str) -> Serving:
    """A shipped configuration (`local`, `vllm`) or a YAML file. Raises ConfigurationError: every fault at once."""
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), Serving)
