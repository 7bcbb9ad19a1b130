"""Serving a model under test: its endpoint and its name there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from resources.chat.profile import Endpoint
from resources.chat.role_model import ModelPrice
from resources.configuration import ConfigurationError
from resources.lake.store import Store
from resources.model_servers.tuned.configuration import Serving


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """A checkpoint, or a base model that was not tuned, and where its files are."""

    base: str  # name of the base model in partition keys
    base_model: str  # `embedded`, a hub id, a folder
    variant: str
    checkpoint: str  # its id
    adapter: str | None  # folder of the adapter below the lake's root; None: the base model as it is
    template: str  # the chat template that it was trained with
    weights: str | None = None  # folder of the whole model instead, where all weights were tuned

    @property
    def tuned(self) -> bool:
        """Whether it is anything but the base model as it is."""
        return bool(self.adapter or self.weights)

    @property
    def partition(self) -> str:
        """`llama-3-8b|boost_qa`."""
        return f"{self.base}|{self.variant}"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The endpoint where a model under test answers, and its name there."""

    endpoint: Endpoint
    model: str
    price: ModelPrice | None = None


@contextmanager
def serve_model(serving: Serving, store: Store, tested: ModelUnderTest) -> Iterator[ServedModel]:
    """Serve a model for the time of the context. An embedded server starts with the first call.

    Raises:
        ConfigurationError: this configuration cannot serve it; the message says what to do.
        EmbeddedModelMissing: kind `local` needs a package that is not installed.
        NotMergeable: the adapter is not plain LoRA.
    """
    if serving.kind == "endpoint":
        yield _at_endpoint(serving, tested)
        return
    if tested.base_model != "embedded":
        raise ConfigurationError(
            f"{tested.base} ({tested.base_model}) cannot be served on this machine: kind `local` serves only the "
            "embedded model. Serve it with vLLM (command: resources/model_servers/tuned/configurations/vllm.yaml) and "
            "set MASTER_SERVED to a file that names the server"
        )
    from resources.model_servers.tuned.merge_adapter import merged_model

    with merged_model(store, tested.adapter, tested.template, tested.checkpoint, tested.weights) as file:
        yield ServedModel(
            Endpoint(
                kind="embedded",
                model_file=str(file),
                context_tokens=serving.context_tokens,
                max_concurrency=serving.slots,
                timeout_seconds=600,
            ),
            file.stem,
            serving.price,
        )


def _at_endpoint(serving: Serving, tested: ModelUnderTest) -> ServedModel:
    endpoint = serving.endpoints.get(tested.base, serving.endpoint)
    if endpoint is None:
        raise ConfigurationError(
            f"no endpoint serves {tested.base}: set endpoints.{tested.base}, or endpoint for all base models, in the "
            "file that MASTER_SERVED names"
        )
    named = serving.model if tested.tuned else serving.untuned
    name = serving.models.get(tested.partition) or named.format(
        base=tested.base, variant=tested.variant, checkpoint=tested.checkpoint
    )
    return ServedModel(endpoint, name, serving.price)


def describe_serving(serving: Serving, tested: ModelUnderTest) -> str:
    """What identifies a served model in the fingerprint of its answers; nothing is started."""
    return (
        _at_endpoint(serving, tested).model if serving.kind == "endpoint" else json.dumps(["local", tested.checkpoint])
    )
