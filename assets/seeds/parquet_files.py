"""Reading rows out of Parquet files."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from assets.seeds.rows import RejectedRow, SourceRow

BATCH_ROWS = 256  # rows that are decoded at once


def parquet_rows(stream: BinaryIO, shown: str, wanted: tuple[str, ...]) -> Iterator[SourceRow | RejectedRow]:
    """The fields in `wanted` of each row if the file has them all, and every field otherwise or if none is wanted."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(stream) as file:
        names = file.schema_arrow.names
        columns = {name if name in names else name.split(".")[0] for name in wanted}
        # All fields where one is missing, because the error message lists the fields of the file.
        chosen = [name for name in names if name in columns] if columns <= set(names) else []
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=chosen or None):
            for row in _values(batch):
                if isinstance(row, UnicodeDecodeError):
                    yield RejectedRow(shown, number, "not_utf8", str(row))
                else:
                    yield SourceRow(shown, number, row)
                number += 1


def _values(batch: Any) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    """The rows of a batch; the error in place of a row whose text is not UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                yield batch.slice(at, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield error
