"""Serving a model under test: its endpoint and its name there."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resources.chat.profile import Endpoint
from resources.chat.role_model import ModelPrice
from resources.configuration import ConfigurationError
from resources.lake.published_folders import copy_verified
from resources.lake.store import Store
from resources.model_servers.embedded.weights import cache_folder
from resources.model_servers.started.configuration import StartedServer
from resources.model_servers.tuned.configuration import Serving
from resources.scratch import write_atomically

DEFAULT_RANK = 64  # of adapters that a server takes, where nothing else is configured


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
    revision: str | None = None  # of a base model on the hub

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
    """Serve a model for the time of the context. A server of this machine starts with the first call.

    Raises:
        ConfigurationError: this configuration cannot serve it; the message says what to do.
        EmbeddedModelMissing: kind `local` needs a package that is not installed.
        NotMergeable: the adapter is not plain LoRA.
    """
    if serving.kind == "endpoint":
        yield _at_endpoint(serving, tested)
        return
    if serving.kind == "vllm":
        yield _by_vllm(serving, store, tested)
        return
    if tested.base_model != "embedded":
        raise ConfigurationError(
            f"{tested.base} ({tested.base_model}) cannot be served on this machine: kind `local` serves only the "
            "embedded model. Set MASTER_SERVED to `gpu`, which starts vLLM on this machine, or to a file that names "
            "your own server (such as resources/model_servers/tuned/configurations/vllm.yaml)"
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
    return ServedModel(endpoint, serving.models.get(tested.partition) or _filled(named, tested), serving.price)


def _filled(name: str, tested: ModelUnderTest) -> str:
    return name.format(base=tested.base, variant=tested.variant, checkpoint=tested.checkpoint)


def _by_vllm(serving: Serving, store: Store, tested: ModelUnderTest) -> ServedModel:
    """The endpoint of a vLLM server that is shared by all variants of a base model, with this one's adapter.

    Where all weights were tuned, the server is this model's alone.
    """
    settings = serving.servers.get(tested.base, serving.server)
    if settings is None:
        raise ConfigurationError(
            f"no server is configured for {tested.base}: set servers.{tested.base}, or server for all base models, in "
            "the file that MASTER_SERVED names"
        )
    if tested.base_model == "embedded" or "://" in tested.base_model:
        raise ConfigurationError(
            f"{tested.base} ({tested.base_model}) cannot be served by vLLM: it takes a hub id or a folder of this "
            "machine. Serve the embedded model with MASTER_SERVED=local"
        )
    # With the checkpoint: a running server may have the adapter of an earlier one.
    name = f"{tested.base}-{tested.variant}-{tested.checkpoint}" if tested.tuned else tested.base_model
    from resources.model_servers.tuned.merge_adapter import served_template

    template = _template_file(served_template(tested.template))
    common = {**settings.model_dump(), "max_lora_rank": settings.max_lora_rank or DEFAULT_RANK}
    arguments = [*settings.arguments, "--chat-template", str(template)]
    if tested.weights:
        tokenizer = _local_folder(store, f"{tested.weights.rpartition('/')[0]}/tokenizer")
        arguments += ["--tokenizer", str(tokenizer)]
        model: dict[str, object] = {
            "model": str(_local_folder(store, tested.weights)),
            "served_as": name,
            "max_lora_rank": None,
        }
    else:
        arguments += ["--revision", tested.revision] if tested.revision else []
        adapters = {name: str(_local_folder(store, tested.adapter))} if tested.adapter else {}
        model = {"model": tested.base_model, "adapters": adapters}
    server = StartedServer.model_validate({**common, "arguments": arguments, **model})
    endpoint = Endpoint(
        kind="vllm",
        server=server,
        context_tokens=serving.context_tokens,
        max_concurrency=serving.slots,
        timeout_seconds=600,
    )
    return ServedModel(endpoint, name, serving.price)


def _local_folder(store: Store, path: str) -> Path:
    """A folder of a checkpoint on this machine: in the lake, or a verified copy of it in the cache.

    Raises:
        ConfigurationError: the lake's files are damaged or missing.
    """
    if local := store.local_path(path):
        return local.absolute()
    folder, _, part = path.rpartition("/")
    target = cache_folder() / folder / part
    try:
        copy_verified(store, folder, part, target)
    except (ValueError, FileNotFoundError) as error:
        raise ConfigurationError(f"{store.uri(path)} cannot be served: {error}") from error
    return target


def _template_file(template: str) -> Path:
    """A chat template as a file of the cache, named by its content."""
    file = cache_folder() / "chat_templates" / f"{hashlib.sha256(template.encode()).hexdigest()[:16]}.jinja"
    if not file.is_file():

        def write(staged: Path) -> None:
            staged.write_text(template, encoding="utf-8")

        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, write)
    return file


def describe_serving(serving: Serving, tested: ModelUnderTest) -> str:
    """What identifies a served model in the fingerprint of its answers; nothing is started."""
    if serving.kind == "endpoint":
        return _at_endpoint(serving, tested).model
    if serving.kind == "vllm":
        settings = serving.servers.get(tested.base, serving.server)
        return json.dumps(["vllm", tested.base_model, tested.revision, settings and settings.arguments])
    return json.dumps(["local", tested.checkpoint])
