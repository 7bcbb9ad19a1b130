"""Streaming the rows of files and hub datasets. A row that cannot be read is rejected, and reading continues."""

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from assets.seeds.configuration import HubDataset, SeedsConfiguration, SourceConfiguration
from assets.seeds.file_formats import (
    csv_rows,
    json_array_rows,
    json_lines_rows,
    parquet_rows,
    starts_with_bracket,
)
from assets.seeds.rows import RejectedRow, SeedsError, SourceRow, beginning
from resources.lake.store import DEFAULT_S3, S3Options

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
COMPRESSIONS = (".gz", ".zst")


def read_rows(
    source: SourceConfiguration, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3
) -> Iterator[SourceRow | RejectedRow]:
    """Every row of a source, in the order of its sorted files, with a bounded part in memory.

    Raises:
        SeedsError: a file is missing, of an unknown format or cannot be read on; a dataset cannot be opened.
    """
    if source.hub is not None:
        yield from hub_rows(source.hub, source.wanted_fields, configuration.folder)
        return
    for given in source.files or []:
        for path, shown in find_files(given, configuration, s3):
            yield from file_rows(path, shown, source.wanted_fields, s3)


# -- files -------------------------------------------------------------------------------------------------------------


def find_files(given: str, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3) -> list[tuple[str, str]]:
    """The files of a path, glob or s3:// address, sorted: (path to open, name in tables).

    Raises:
        SeedsError: there is none, or one is of an unknown format.
    """
    address = configuration.address(given)
    with _errors_explained(address):
        system, path = _file_system(address, s3)
        found = [path] if system.isfile(path) else []
        found = found or sorted(
            file for file, facts in system.glob(path, detail=True).items() if facts["type"] == "file"
        )
    if not found:
        raise SeedsError(f"{address}: there is no such file; relative paths start at {configuration.folder}")
    for file in found:
        if _format(file) not in FORMATS:
            raise SeedsError(
                f"{file}: the name has no known ending; "
                f"known: {', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
            )
    if address.startswith("s3://"):
        return [(f"s3://{file}", f"s3://{file}") for file in found]
    if Path(given).expanduser().is_absolute():
        return [(file, file) for file in found]
    return [(file, Path(os.path.relpath(file, configuration.folder)).as_posix()) for file in found]


def file_rows(
    path: str, shown: str, wanted: tuple[str, ...], s3: S3Options = DEFAULT_S3
) -> Iterator[SourceRow | RejectedRow]:
    """The rows of one file, which tables name `shown`. Of Parquet only the fields in `wanted` are read, see
    `parquet_rows`."""
    with _errors_explained(path):
        system, name = _file_system(path, s3)
        # The buffer is needed because fsspec's remote files have no readline with a limit.
        with system.open(name, "rb") as opened, io.BufferedReader(opened) as raw, _decompressed(raw, path) as stream:
            kind = _format(path)
            if kind == ".parquet":
                yield from parquet_rows(stream, shown, wanted)
            elif kind == ".csv":
                yield from csv_rows(stream, shown)
            elif kind == ".json" and starts_with_bracket(stream):
                yield from json_array_rows(stream, shown)
            else:
                yield from json_lines_rows(stream, shown)


def _file_system(address: str, s3: S3Options) -> tuple[Any, str]:
    import fsspec

    options = s3.reading_options if address.startswith("s3://") else {}
    system, path = fsspec.core.url_to_fs(address, **options)
    return system, str(path)


def _format(path: str) -> str:
    file = Path(path)
    return file.with_suffix("").suffix.lower() if file.suffix.lower() in COMPRESSIONS else file.suffix.lower()


@contextmanager
def _errors_explained(address: str) -> Iterator[None]:
    """Turn errors of file systems and decoders into `SeedsError`."""
    import zstandard
    from botocore.exceptions import BotoCoreError, ClientError
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise SeedsError(f"{address}: there is no such file or bucket") from None
    except PermissionError as error:
        raise SeedsError(f"{address}: permission denied: {error}; check its permissions or the credentials") from error
    except (EOFError, gzip.BadGzipFile, zstandard.ZstdError, ArrowException) as error:
        raise SeedsError(f"{address}: is corrupt or incomplete: {error}; download the file again") from error
    except (OSError, BotoCoreError, ClientError) as error:
        advice = "check the address, the region and the credentials" if "://" in address else "check the disk"
        raise SeedsError(f"{address}: cannot be read: {error}; {advice}") from error


@contextmanager
def _decompressed(raw: BinaryIO, path: str) -> Iterator[Any]:
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream
    elif suffix == ".zst":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
        with io.BufferedReader(reader) as stream:
            yield stream
    else:
        yield raw


# -- the hub -----------------------------------------------------------------------------------------------------------


def hub_rows(hub: HubDataset, wanted: tuple[str, ...], folder: Path) -> Iterator[SourceRow]:
    """The rows of a hub dataset, streamed; a local one is relative to `folder`. Only `wanted` fields if all are there.

    Raises:
        SeedsError: it cannot be opened or read.
    """
    import datasets

    local = hub.id.startswith((".", "/"))
    try:
        dataset = datasets.load_dataset(
            str(folder / hub.id) if local else hub.id,
            name=hub.config,
            split=hub.split,
            revision=hub.revision,
            streaming=True,
        )
        if wanted and set(wanted) <= set(dataset.column_names or []):
            dataset = dataset.select_columns(list(wanted))
        for number, values in enumerate(dataset):
            yield SourceRow(hub.id, number, dict(values))
    except Exception as error:  # the hub, the network and the dataset's files raise many types
        raise SeedsError(
            f"hub dataset {hub.id!r} (config {hub.config or 'default'}, split {hub.split}) cannot be read: "
            f"{type(error).__name__}: {beginning(str(error), 400)}; check its name on the hub and the network, "
            "or download its files and list them under `files`"
        ) from error
