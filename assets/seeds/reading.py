"""Streaming the rows of files and hub datasets. A row that cannot be read is rejected, and reading continues."""

import codecs
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from assets.seeds.configuration import SEED_SOURCES, SeedsConfiguration, SeedSource, SourceConfiguration
from assets.seeds.csv_files import csv_rows
from assets.seeds.hub import hub_rows
from assets.seeds.json_files import json_rows
from assets.seeds.parquet_files import parquet_rows
from assets.seeds.rows import ALL_FIELDS, ReadOptions, RejectedRow, SeedsError, SourceRow, beginning
from resources.lake.store import DEFAULT_S3, S3Options

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# What a file is that begins like this, although its name says otherwise, and what to do.
OTHER_CONTENT = {
    b"version https://git-lfs": "a Git LFS pointer and not the data; run `git lfs pull` in its folder",
    b"<!doctype": "a web page, perhaps an error page; download the file again",
    b"<html": "a web page, perhaps an error page; download the file again",
    b"\x1f\x8b": "compressed with gzip; let its name end with .gz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; let its name end with .zst",
    b"PAR1": "a Parquet file; let its name end with .parquet",
    b"PK\x03\x04": "a zip archive or a spreadsheet; extract it, or save it as CSV",
    b"ARROW1": "an Arrow file; give its folder as `hub: {id: ./folder}` if `save_to_disk` wrote it",
}


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
    if source.plugin is not None:
        yield from plugin_rows(source.plugin)
        return
    options = ReadOptions(source.wanted_fields, source.conversations_field, source.rows_in, source.encoding)
    for given in source.files or []:
        for path, shown in find_files(given, configuration, s3):
            yield from file_rows(path, shown, options, s3)


def plugin_rows(plugin: SeedSource) -> Iterator[SourceRow]:
    """The rows of a plug-in, which tables name by its kind.

    Raises:
        SeedsError: the plug-in raised an exception.
    """
    try:
        for number, values in enumerate(plugin.read_rows()):
            yield SourceRow(plugin.kind, number, dict(values))
    except Exception as error:  # code of others may raise anything
        raise SeedsError(
            f"plug-in {SEED_SOURCES.plugins[plugin.kind]}: {type(error).__name__}: {beginning(str(error), 400)}; "
            "correct its keys in the seeds configuration, or the plug-in"
        ) from error


# -- files -------------------------------------------------------------------------------------------------------------


def find_files(given: str, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3) -> list[tuple[str, str]]:
    """The files of a path, glob or s3:// address, sorted: (path to open, name in tables).

    Raises:
        SeedsError: there is none, or one is of an unknown format.
    """
    found = list(list_files(given, configuration, s3))
    if configuration.address(given).startswith("s3://"):
        return [(f"s3://{file}", _as_text(f"s3://{file}")) for file in found]
    if Path(given).expanduser().is_absolute():
        return [(file, _as_text(file)) for file in found]
    return [(file, _as_text(Path(os.path.relpath(file, configuration.folder)).as_posix())) for file in found]


def list_files(
    given: str, configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3
) -> dict[str, Mapping[str, Any]]:
    """The files of a path, glob or s3:// address, sorted, with the facts of `fsspec`, such as size and mtime or ETag.

    Raises:
        SeedsError: there is none, or one is of an unknown format.
    """
    address = configuration.address(given)
    with _errors_explained(address):
        system, path = _file_system(address, s3)
        listed = {path: system.info(path)} if system.isfile(path) else system.glob(path, detail=True)
        found = {file: listed[file] for file in sorted(listed) if listed[file]["type"] == "file"}
        is_folder = not found and system.isdir(path)
    if is_folder:
        raise SeedsError(
            f"{address}: is a folder; list its files, such as {given.rstrip('/')}/*.parquet, or give it as "
            "`hub: {id: ./folder}` if `datasets` wrote it"
        )
    if not found:
        raise SeedsError(f"{address}: there is no such file; relative paths start at {configuration.folder}")
    for file in found:
        if _format(file) not in FORMATS:
            raise SeedsError(
                f"{file}: the name has no known ending; "
                f"known: {', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
            )
    return found


def _as_text(path: str) -> str:
    """A path for tables: bytes of a name that are not UTF-8 are replaced."""
    return path.encode("utf-8", "replace").decode()


def file_rows(
    path: str, shown: str, options: ReadOptions = ALL_FIELDS, s3: S3Options = DEFAULT_S3
) -> Iterator[SourceRow | RejectedRow]:
    """The rows of one file, which tables name `shown`. Of Parquet only the wanted fields are read, see `parquet_rows`.

    Raises:
        SeedsError: the file cannot be read, or not further.
    """
    with _errors_explained(path):
        if _format(path) == ".parquet":
            with _opened(path, s3) as packed, _seekable(packed) as file:
                yield from parquet_rows(file, shown, options.wanted)
            return
        opened = partial(_opened_as_utf8, path, s3, options.encoding)
        if _format(path) == ".csv":
            with opened() as stream:
                yield from csv_rows(stream, shown, options.wanted)
        else:
            yield from json_rows(opened, shown, options)


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
    from botocore.exceptions import BotoCoreError, ClientError
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise SeedsError(f"{address}: there is no such file or bucket") from None
    except PermissionError as error:
        raise SeedsError(f"{address}: permission denied: {error}; check its permissions or the credentials") from error
    except UnicodeDecodeError as error:
        raise SeedsError(
            f"{address}: is not {error.encoding}: {error.reason}; write the file's `encoding` into its source"
        ) from error
    except (OSError, ArrowException, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            advice = "check the address, the region and the credentials" if "://" in address else "check the disk"
            raise SeedsError(f"{address}: cannot be read: {error}; {advice}") from error
        raise SeedsError(f"{address}: is corrupt or incomplete: {error}; download the file again") from error
    except (BotoCoreError, ClientError) as error:
        raise SeedsError(
            f"{address}: cannot be read: {error}; check the address, the region and the credentials"
        ) from error


@contextmanager
def _opened(path: str, s3: S3Options) -> Iterator[io.BufferedReader]:
    """The decompressed bytes of a file. Reading raises OSError where a compressed file is cut or damaged."""
    import pyarrow as pa

    system, name = _file_system(path, s3)
    with ExitStack() as stack:
        # The buffers are needed because fsspec's and Arrow's files have no readline with a limit.
        stream = stack.enter_context(io.BufferedReader(stack.enter_context(system.open(name, "rb"))))
        _refuse_other_content(path, stream.peek(64))
        compression = COMPRESSIONS.get(Path(path).suffix.lower())
        if compression:
            decompressed = pa.CompressedInputStream(stream, compression)
            stream = stack.enter_context(io.BufferedReader(cast("io.RawIOBase", decompressed)))
        yield stream


def _refuse_other_content(path: str, head: bytes) -> None:
    for start, problem in OTHER_CONTENT.items():
        begins = (head if start[:1].isupper() else head.lower()).startswith(start)
        if begins and not problem.endswith(Path(path).suffix.lower()):
            raise SeedsError(f"{path}: is {problem}")


@contextmanager
def _seekable(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    """The stream, or a temporary file with its content where it is decompressed."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file, 2**20)
        file.seek(0)
        yield file


@contextmanager
def _opened_as_utf8(path: str, s3: S3Options, encoding: str | None) -> Iterator[BinaryIO]:
    """The text of a file as UTF-8 without byte order mark. Bytes that are not UTF-8 stay as they are."""
    with _opened(path, s3) as stream:
        encoding = encoding or _utf_16(stream.peek(4))
        if encoding:
            yield io.BufferedReader(_Utf8(stream, encoding))
            return
        if stream.peek(3).startswith(codecs.BOM_UTF8):
            stream.read(len(codecs.BOM_UTF8))
        yield stream


def _utf_16(head: bytes) -> str | None:
    """The encoding of a text file that begins with `head`; None for UTF-8, ASCII and the like."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [byte == 0 for byte in head[:4]]  # the first characters of JSON and CSV are mostly ASCII
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else None


class _Utf8(io.RawIOBase):
    """A text stream of another encoding, as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or self._text.read(2**16).removeprefix("\ufeff").encode()
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)
