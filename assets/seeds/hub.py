"""Streaming the rows of a dataset of the Hugging Face hub, or of a folder that `datasets` wrote."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.seeds.configuration import HubDataset
from assets.seeds.rows import SeedsError, SourceRow, beginning

_ROWS_OF_SPLIT = re.compile(r"(?P<split>[\w.]+)\[(?P<start>\d*):(?P<stop>\d*)\]")


def hub_rows(hub: HubDataset, wanted: tuple[str, ...], folder: Path) -> Iterator[SourceRow]:
    """The rows of a hub dataset, streamed; a local one is relative to `folder`. Only `wanted` fields if all are there.

    Raises:
        SeedsError: it cannot be opened or read.
    """
    local = local_folder(hub, folder)
    saved = local is not None and any((local / name).is_file() for name in ("state.json", "dataset_dict.json"))
    try:
        dataset = _saved_split(str(local), hub.split) if saved else _split(str(local or hub.id), hub)
        names = dataset.column_names or []
        columns = {name if name in names else name.split(".")[0] for name in wanted}
        if columns and columns <= set(names):
            dataset = dataset.select_columns([name for name in names if name in columns])
        for number, values in enumerate(dataset):
            yield SourceRow(hub.id, number, dict(values))
    except Exception as error:  # the hub, the network and the dataset's files raise many types
        advice = (
            f"check the folder {local} and the split, or list its files under `files`"
            if local
            else "check its name on the hub and the network, or download its files and list them under `files`"
        )
        raise SeedsError(
            f"hub dataset {hub.id!r} (config {hub.config or 'default'}, split {hub.split}) cannot be read: "
            f"{type(error).__name__}: {beginning(str(error), 400)}; {advice}"
        ) from error


def local_folder(hub: HubDataset, folder: Path) -> Path | None:
    """Where a dataset is that is a folder, which is relative to `folder`; None where it is on the hub."""
    return folder / hub.id if hub.id.startswith((".", "/")) else None


def _split(path: str, hub: HubDataset) -> Any:
    """A split of a hub dataset or a local folder. `train[100:200]` is streamed; other slices are downloaded whole."""
    import datasets

    slice_ = _ROWS_OF_SPLIT.fullmatch(hub.split)
    streaming = slice_ is not None or not set(hub.split) & set("[+")
    split = slice_["split"] if slice_ else hub.split
    dataset = datasets.load_dataset(path, name=hub.config, split=split, revision=hub.revision, streaming=streaming)
    if slice_ is None:
        return dataset
    start = int(slice_["start"] or 0)
    dataset = dataset.skip(start)
    return dataset.take(max(0, int(slice_["stop"]) - start)) if slice_["stop"] else dataset


def _saved_split(path: str, split: str) -> Any:
    """A split of what `save_to_disk` wrote; `train[:10%]` is a part of it."""
    import datasets

    saved = datasets.load_from_disk(path)
    name = split.partition("[")[0]
    # A single dataset may not know its split's name.
    splits = saved if isinstance(saved, datasets.DatasetDict) else {str(saved.split or name): saved}
    lengths = {key: len(part) for key, part in splits.items()}
    parts = datasets.ReadInstruction.from_spec(split).to_absolute(lengths)
    return datasets.concatenate_datasets([splits[part.splitname].select(range(part.from_, part.to)) for part in parts])
