"""Streaming rows out of files and hub datasets. A row that cannot be read becomes a fault and reading goes on."""

import codecs
import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from assets.seeds.configuration import HubDataset, SeedsConfiguration, SourceConfiguration
from resources.lake.store import DEFAULT_S3, S3Options

LONGEST_ROW = 32 * 2**20  # bytes; what is longer is skipped without being held in memory
WINDOW = 2**16  # characters of a JSON array that are read at once
BATCH_ROWS = 256  # rows of a Parquet file that are decoded at once
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
COMPRESSIONS = (".gz", ".zst")


class SeedsError(RuntimeError):
    """A source cannot be taken in. The message names the source or file, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in its file."""

    origin_file: str
    origin_row: int  # from 0: the line in JSON lines, the record after the header in CSV
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one row is set aside."""

    origin_file: str
    origin_row: int
    reason: str  # short code
    detail: str  # in words, with the beginning of the row


def beginning(value: Any, limit: int = 160) -> str:
    """The first characters of a row, on one line, for a fault's detail."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text[: 4 * limit].encode("utf-8", "replace").decode().split())
    return text if len(text) <= limit else text[:limit] + " …"


def read_rows(
    source: SourceConfiguration, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3
) -> Iterator[Row | Fault]:
    """Every row of a source, in the order of its sorted files, a bounded part in memory at a time.

    `s3` says how s3:// addresses are reached.

    Raises:
        SeedsError: a file is missing, of an unknown kind or broken beyond its rows; a dataset cannot be opened.
    """
    if source.hub is not None:
        yield from hub_rows(source.hub, source.wanted_fields, configuration.folder)
        return
    for given in source.files or []:
        for path, shown in find_files(given, configuration, s3):
            yield from file_rows(path, shown, source.wanted_fields, s3)


# -- files -------------------------------------------------------------------------------------------------------------


def find_files(given: str, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3) -> list[tuple[str, str]]:
    """The files that a path, glob or s3:// address names, sorted: (what to open, what to call it in tables).

    Raises:
        SeedsError: there is none, or one is of an unknown kind.
    """
    address = configuration.address(given)
    with _explained(address):
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
                f"{file}: its kind cannot be told from its name; "
                f"known: {', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
            )
    if address.startswith("s3://"):
        return [(f"s3://{file}", f"s3://{file}") for file in found]
    if Path(given).expanduser().is_absolute():
        return [(file, file) for file in found]
    return [(file, Path(os.path.relpath(file, configuration.folder)).as_posix()) for file in found]


def file_rows(path: str, shown: str, wanted: tuple[str, ...], s3: S3Options = DEFAULT_S3) -> Iterator[Row | Fault]:
    """The rows of one file, which the tables call `shown`. Parquet gives the fields in `wanted` if it has
    them all, and every field where none is wanted."""
    with _explained(path):
        system, name = _file_system(path, s3)
        # fsspec's remote files have no readline with a limit.
        with system.open(name, "rb") as opened, io.BufferedReader(opened) as raw, _decompressed(raw, path) as stream:
            kind = _format(path)
            if kind == ".parquet":
                yield from _parquet_rows(stream, shown, wanted)
            elif kind == ".csv":
                yield from _csv_rows(stream, shown)
            elif kind == ".json" and _starts_with_bracket(stream):
                yield from _json_array_rows(stream, shown)
            else:
                yield from _json_lines_rows(stream, shown)


def _file_system(address: str, s3: S3Options) -> tuple[Any, str]:
    import fsspec

    options = s3.reading_options if address.startswith("s3://") else {}
    system, path = fsspec.core.url_to_fs(address, **options)
    return system, str(path)


def _format(path: str) -> str:
    file = Path(path)
    return file.with_suffix("").suffix.lower() if file.suffix.lower() in COMPRESSIONS else file.suffix.lower()


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn what file systems and decoders raise into one message of ours."""
    import zstandard
    from botocore.exceptions import BotoCoreError, ClientError
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise SeedsError(f"{address}: there is no such file or bucket") from None
    except PermissionError as error:
        raise SeedsError(f"{address}: may not be read: {error}; check its permissions or the credentials") from error
    except (EOFError, gzip.BadGzipFile, zstandard.ZstdError, ArrowException) as error:
        raise SeedsError(f"{address}: is broken or cut off: {error}; fetch the file again") from error
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


def _starts_with_bracket(stream: BinaryIO) -> bool:
    """Whether the first thing in the stream is `[`; leaves the stream at its start."""
    head = stream.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
    stream.seek(0)
    return head.startswith(b"[")


def _json_lines_rows(stream: BinaryIO, shown: str) -> Iterator[Row | Fault]:
    for number, line in enumerate(_lines(stream)):
        if line is None:
            yield Fault(shown, number, "oversized", f"the line is longer than {LONGEST_ROW:,} bytes")
            continue
        if number == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Fault(shown, number, "not_utf8", f"byte {error.start}: {beginning(line.decode('utf-8', 'replace'))}")
        except (ValueError, RecursionError) as error:
            yield Fault(shown, number, "broken_json", f"{error}: {beginning(line.decode())}")
        else:
            yield _row(shown, number, value)


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines without ever holding more than `LONGEST_ROW` bytes; None stands for a longer one."""
    while line := stream.readline(LONGEST_ROW):
        if line.endswith(b"\n") or len(line) < LONGEST_ROW:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_ROW)
        yield None


def _row(shown: str, number: int, value: Any) -> Row | Fault:
    if isinstance(value, dict):
        return Row(shown, number, value)
    return Fault(shown, number, "not_a_row", f"should be an object with fields, is {beginning(value)}")


def _json_array_rows(stream: BinaryIO, shown: str) -> Iterator[Row | Fault]:
    """The elements of one JSON array, decoded one after the other from a window of the file."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig")
    decoder = json.JSONDecoder()
    window, position, number, ended = "", 0, 0, False
    try:
        window = text.read(WINDOW)
        position = window.index("[") + 1
        while True:
            position = _skip_separators(window, position)
            if window.startswith("]", position):
                return
            try:
                value, end = decoder.raw_decode(window, position)
                complete = end < len(window) or ended  # a number may go on behind the window
            except ValueError as error:
                if ended or len(window) - position > LONGEST_ROW:
                    raise SeedsError(
                        f"{shown}: the JSON array is broken or cut off at element {number}: {error.args[0]}; "
                        "mend it, or give the rows as JSON lines, of which broken ones are set aside"
                    ) from None
                complete = False
            if complete:
                yield _row(shown, number, value)
                number, position = number + 1, end
            else:
                window, position = window[position:], 0
                more = text.read(max(WINDOW, len(window)))
                ended = not more
                window += more
    except UnicodeDecodeError as error:
        raise SeedsError(f"{shown}: is not UTF-8 after element {number - 1}: {error}; save it as UTF-8") from error
    finally:
        text.detach()


def _skip_separators(window: str, position: int) -> int:
    while position < len(window) and window[position] in " \t\r\n,":
        position += 1
    return position


def _csv_rows(stream: BinaryIO, shown: str) -> Iterator[Row | Fault]:
    """Records below a header line. Bytes that are not UTF-8 come through as surrogates, so that one row is lost."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    csv.field_size_limit(LONGEST_ROW)
    try:
        records = csv.reader(text, strict=True)
        header = next(records, [])
        number = -1
        while True:
            number += 1
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield Fault(shown, number, "broken_csv", f"line {records.line_num}: {error}")
                continue
            if not record:
                continue
            if any(
                "\udc80" <= character <= "\udcff" for value in record for character in value if character > "\ud7ff"
            ):
                yield Fault(shown, number, "not_utf8", beginning(" ".join(record)))
            elif len(record) != len(header):
                counts = f"{len(record)} fields where the header has {len(header)}"
                yield Fault(shown, number, "broken_csv", f"{counts}: {beginning(' '.join(record))}")
            else:
                yield Row(shown, number, dict(zip(header, record, strict=True)))
    finally:
        text.detach()


def _parquet_rows(stream: BinaryIO, shown: str, wanted: tuple[str, ...]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(stream) as file:
        names = file.schema_arrow.names
        # All fields where one is missing: the message that says so lists those there are.
        columns = list(wanted) if wanted and set(wanted) <= set(names) else None
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for values in batch.to_pylist():
                yield Row(shown, number, values)
                number += 1


# -- the hub -----------------------------------------------------------------------------------------------------------


def hub_rows(hub: HubDataset, wanted: tuple[str, ...], folder: Path) -> Iterator[Row]:
    """The rows of a hub dataset, streamed; a local one is relative to `folder`. See `file_rows` for `wanted`.

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
        for number, values in enumerate(_as_dicts(dataset)):
            yield Row(hub.id, number, values)
    except Exception as error:  # whatever the hub, the network or the dataset's files raise
        raise SeedsError(
            f"hub dataset {hub.id!r} (config {hub.config or 'default'}, split {hub.split}) cannot be read: "
            f"{type(error).__name__}: {beginning(str(error), 400)}; check its name on the hub and the network, "
            "or download its files and list them under `files`"
        ) from error


def _as_dicts(dataset: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for values in dataset:
        yield dict(values)
