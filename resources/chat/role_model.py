"""The model that plays a role: how it is sampled, how it reasons, what its tokens cost."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from resources.configuration import Configuration


def _is_live(value: object) -> bool:
    return value == "live"


def _is_none(value: object) -> bool:
    return value is None  # a field of a later version: it enters identities only where it is set


class ModelPrice(Configuration):
    """Price in US dollars per million tokens."""

    prompt: float = Field(ge=0, description="Of what the model reads.")
    completion: float = Field(ge=0, description="Of what it writes, a reasoning model's thoughts included.")
    cached_prompt: float | None = Field(
        default=None, ge=0, description="Of what the model reads from the provider's cache; by default `prompt`."
    )
    batch: float = Field(default=0.5, ge=0, le=1, description="What a batch costs, as a share of these prices.")

    def cost(
        self, prompt_tokens: float, completion_tokens: float, *, cached_tokens: float = 0.0, batch: bool = False
    ) -> float:
        """US dollars of so many tokens. `cached_tokens` are those of the prompt that came from the cache."""
        cached_price = self.prompt if self.cached_prompt is None else self.cached_prompt
        read = (prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached_price
        live = (read + completion_tokens * self.completion) / 1e6
        return live * self.batch if batch else live


class Reasoning(Configuration):
    """How much a reasoning model thinks before it answers."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] = Field(
        description="What the model accepts of these; a model that thinks more costs more."
    )
    field: Literal["reasoning_effort", "reasoning"] = Field(
        default="reasoning_effort",
        description="The request's field: `reasoning_effort` as in OpenAI's API, or `reasoning` with a key `effort` as "
        "in OpenRouter's.",
    )


class RoleModel(Configuration):
    """The model that plays a role, and how it is sampled."""

    endpoint: str = Field(description="A key of `endpoints`.")
    model: str = Field(min_length=1, description="The model's name at the endpoint.")
    mode: Literal["live", "batch"] = Field(
        default="live",
        exclude_if=_is_live,
        description="`batch`: dialogues and verdicts ask this role in the provider's batches, at their price, and wait "
        "for the answers. Other stages ask it live.",
    )
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Sampling temperature; 0 takes the likeliest token. With `null` none is sent; a role with "
        "`reasoning` needs none.",
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Limit of one utterance, in tokens.")
    max_completion_tokens: int | None = Field(
        default=None,
        ge=1,
        exclude_if=_is_none,
        description="The same, in place of `max_tokens`, for models that take this field; what a reasoning model "
        "thinks counts too.",
    )
    top_p: float | None = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Nucleus sampling; 1 keeps every token. With `null` none is sent; the default with `reasoning`.",
    )
    reasoning: Reasoning | None = Field(
        default=None, exclude_if=_is_none, description="For reasoning models, such as `{effort: low}`."
    )
    seed: int | None = Field(default=None, description="Sampling seed, for servers that honour it.")
    structured_output: Literal["json_schema", "json_object", "none"] = Field(
        default="json_schema", description="How the judge's JSON is requested; other roles ignore it."
    )
    extra_body: dict[str, object] = Field(
        default_factory=dict, description="The same as the endpoint's `extra_body`, for this role's requests only."
    )

    @model_validator(mode="before")
    @classmethod
    def _reasoning_is_not_sampled(cls, data: object) -> object:
        return {"top_p": None, **data} if isinstance(data, Mapping) and data.get("reasoning") is not None else data

    @model_validator(mode="after")
    def _is_sampled_and_limited(self) -> Self:
        if self.temperature is None and self.reasoning is None and "temperature" not in self.model_fields_set:
            raise ValueError("needs a temperature, such as 0.2; with null none is sent")
        if (self.max_tokens is None) == (self.max_completion_tokens is None):
            raise ValueError("needs one of max_tokens and max_completion_tokens")
        return self

    @property
    def token_limit(self) -> int:
        """Most tokens of one completion, a reasoning model's thoughts included."""
        return self.max_tokens or self.max_completion_tokens or 0

    def limited_to(self, tokens: int) -> Self:
        """The same model with another limit."""
        return self.model_copy(update={"max_tokens" if self.max_tokens else "max_completion_tokens": tokens})
