"""A model under test, made ready to be asked: its endpoint and its name there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from resources.chat.profile import Endpoint, ModelPrice
from resources.configuration import ConfigurationError
from resources.lake.store import Store
from resources.model_servers.tuned.configuration import Serving


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """What was tuned from what, and where its files are."""

    base: str  # name of the base model, as partitions have it
    base_model: str  # `embedded`, a hub id, a folder
    variant: str
    checkpoint: str  # its id
    adapter: str | None  # folder of the adapter below the lake's root; None: the base model as it is
    template: str  # the chat template that it was trained with

    @property
    def partition(self) -> str:
        """`llama-3-8b|boost_qa`."""
        return f"{self.base}|{self.variant}"


@dataclass(frozen=True, slots=True)
class Served:
    """Where a model under test answers, and under which name."""

    endpoint: Endpoint
    model: str
    price: ModelPrice | None = None


@contextmanager
def serve(serving: Serving, store: Store, tested: ModelUnderTest) -> Iterator[Served]:
    """Make a model ready, for as long as the context is held. An embedded server starts when it is first called.

    Raises:
        ConfigurationError: this configuration cannot serve it; the message says which can.
        EmbeddedModelMissing: what the local kind needs is not installed.
        NotMergeable: the adapter is of a form that cannot be merged.
    """
    if serving.kind == "endpoint":
        yield _elsewhere(serving, tested)
        return
    if tested.base_model != "embedded":
        raise ConfigurationError(
            f"{tested.base} ({tested.base_model}) cannot be served on this machine: kind `local` serves the embedded "
            "model only. Serve it with vLLM (resources/model_servers/tuned/configurations/vllm.yaml shows the command) and set "
            "MASTER_SERVED to a file that names the server"
        )
    from resources.model_servers.tuned.merged import merged_model

    with merged_model(store, tested.adapter, tested.template, tested.checkpoint) as file:
        yield Served(
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


def _elsewhere(serving: Serving, tested: ModelUnderTest) -> Served:
    endpoint = serving.endpoints.get(tested.base, serving.endpoint)
    if endpoint is None:
        raise ConfigurationError(
            f"no endpoint serves {tested.base}: give endpoints.{tested.base}, or one endpoint for all, in the file "
            "that MASTER_SERVED names"
        )
    named = serving.untuned if tested.adapter is None else serving.model
    name = serving.models.get(tested.partition) or named.format(
        base=tested.base, variant=tested.variant, checkpoint=tested.checkpoint
    )
    return Served(endpoint, name, serving.price)


def describe_serving(serving: Serving, tested: ModelUnderTest) -> str:
    """Under which name a model is asked for, without making it ready: part of what its answers are made of."""
    return _elsewhere(serving, tested).model if serving.kind == "endpoint" else json.dumps(["local", tested.checkpoint])
