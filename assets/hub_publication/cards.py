"""The cards of pushed releases and adapters: what the hub needs in them, and whether it can read them."""

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from assets.framework.partitions import FREE_VARIANTS, VARIANTS
from resources.hub import HubError, Kind

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # namespace/name
# The sets for comparisons, and `ori`, have no row of the dataset.
WITHOUT_DIALOGUES = frozenset(VARIANTS) - frozenset(FREE_VARIANTS) | {"ori"}


def dataset_card(card: str, repository: str, release: str) -> str:
    """A release's card with the line that loads it from the hub, below its title."""
    return _below_title(
        card,
        f'On the hub: `load_dataset("{repository}", revision="{release}")` loads this release, and without `revision` '
        "the latest one. Paths further down are those of the lake that it was made in.",
    )


def adapter_card(card: str, manifest: Mapping[str, Any], repository: str, dataset: str | None) -> str:
    """A checkpoint's card whose header links the adapter to its base model and to the dataset.

    Args:
        card: the trainer's README.md.
        manifest: of the checkpoint.
        repository: of the adapter.
        dataset: the repository of the releases, where there is one.
    """
    from huggingface_hub import ModelCard

    made = ModelCard(card)
    base = manifest["base"]["model"]
    if HUB_ID.fullmatch(base):
        made.data["base_model"] = base
        made.data["base_model_relation"] = "adapter" if manifest["recipe"]["lora"] else "finetune"
    if dataset and manifest["variant"] not in WITHOUT_DIALOGUES:
        made.data["datasets"] = [dataset]
    loader, base_first = ("PeftModel", "base, ") if manifest["recipe"]["lora"] else ("AutoModelForCausalLM", "")
    call = f'{loader}.from_pretrained({base_first}"{repository}", revision="{manifest["id"]}")'
    return _below_title(
        str(made),
        f"On the hub: `{call}` loads it; the tokenizer's files are beside it. Paths further down are those of the lake "
        "that it was made in.",
    )


def _below_title(card: str, line: str) -> str:
    return re.sub(r"^(# .+)$", lambda title: f"{title[1]}\n\n{line}", card, count=1, flags=re.MULTILINE)


def check_card(card: str, kind: Kind, paths: Collection[str]) -> None:
    """Read a card as the hub and `datasets` do. The hub itself validates it again before the commit.

    Args:
        card: the text of README.md.
        kind: of the repository.
        paths: of the files in the repository; each pattern of the viewer's configuration has to match one.

    Raises:
        HubError: the header is not valid, or a configuration names no file.
    """
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard, ModelCard

    try:
        if kind == "model":
            ModelCard(card)
            return
        configurations = MetadataConfigs.from_dataset_card_data(DatasetCard(card).data)
    except (ValueError, TypeError) as error:
        raise HubError(f"README.md: the hub cannot read the card: {error}; correct it and make a new release") from None
    missing = [
        f"{name}: {pattern}"
        for name, configuration in configurations.items()
        for pattern in _patterns(configuration.get("data_files"))
        if not any(fnmatchcase(path, pattern) for path in paths)
    ]
    if missing:
        raise HubError(f"README.md: configurations of the viewer match no file: {', '.join(missing)}")


def _patterns(data_files: Any) -> list[str]:
    """The patterns of one configuration: a text, a list of them, or a list of splits with `path`."""
    if data_files is None:
        return []
    if isinstance(data_files, str):
        return [data_files]
    if isinstance(data_files, Mapping):
        return _patterns(data_files.get("path"))
    return [pattern for entry in data_files for pattern in _patterns(entry)]
