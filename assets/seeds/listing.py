"""What a source consists of, without reading it: names, sizes and times of files, or the commit of a hub dataset."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from assets.seeds.configuration import HubDataset, SeedsConfiguration, SourceConfiguration
from assets.seeds.hub import local_folder
from assets.seeds.reading import list_files
from assets.seeds.rows import SeedsError, beginning
from assets.seeds.schema import READINGS
from resources.hub import hub_address
from resources.identity import stable_hash
from resources.lake.store import DEFAULT_S3, S3Options
from resources.lake.tables import Lake

LISTING = "listing"  # the fact of `seed_readings` that has the listing's fingerprint
SECONDS_TO_WAIT = 10  # for the hub


def source_listing(
    source: SourceConfiguration, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3
) -> str | None:
    """A fingerprint that changes with the source's files or its hub dataset's commit; None for a plug-in.

    Raises:
        SeedsError: a file is missing, or the storage or the hub is unreachable.
    """
    if source.plugin is not None:
        return None
    if source.hub is None:
        listed = [list_files(given, configuration, s3) for given in source.files or []]
        return stable_hash([_version(path, facts) for files in listed for path, facts in files.items()])
    if folder := local_folder(source.hub, configuration.folder):
        return stable_hash(sorted(_versions_below(folder)))
    return stable_hash(_hub_commit(source.hub))


def known_listing(
    source: SourceConfiguration, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3
) -> str | None:
    """The same, and None where it cannot be known now: a reading may succeed from a cache of the hub."""
    with suppress(SeedsError):
        return source_listing(source, configuration, s3)
    return None


def why_changed(lake: Lake, name: str, listing: str | None) -> str | None:
    """Why a source is to be read; None where it is as at its last reading, or where that cannot be known.

    Args:
        lake: has the readings.
        name: the source.
        listing: of `source_listing`, now.
    """
    if lake.record(READINGS, {"source": name}) is None:
        return "never read"
    if listing is None:
        return None
    recorded = lake.facts(READINGS, {"source": name}).get(LISTING)
    if recorded is None:
        return "its files were not recorded at its last reading"
    return None if recorded == listing else "changed since its last reading"


def _version(path: str, facts: Mapping[str, Any]) -> list[str]:
    return [path, str(facts["size"]), str(facts.get("ETag") or facts.get("mtime"))]


def _versions_below(folder: Path) -> list[list[str]]:
    try:
        found = [(file, file.stat()) for file in folder.rglob("*") if file.is_file()]
    except OSError as error:
        raise SeedsError(f"{folder}: cannot be listed: {error}; check the disk") from error
    return [[str(file), str(facts.st_size), str(facts.st_mtime)] for file, facts in found]


def _hub_commit(hub: HubDataset) -> str:
    from huggingface_hub import HfApi

    try:
        return str(
            HfApi(endpoint=hub_address()).dataset_info(hub.id, revision=hub.revision, timeout=SECONDS_TO_WAIT).sha
        )
    except Exception as error:  # the hub and the network raise many types
        raise SeedsError(
            f"hub dataset {hub.id!r}: its commit is not known: {type(error).__name__}: {beginning(str(error), 400)}; "
            "check its name on the hub and the network"
        ) from error
