"""The version of the lake's layout, in the file `lake.json`, and the migration of a lake of an earlier version.

Format 1 had the table `lesson_plans`; format 2 calls it `dialogue_plans`. Format 3 renames a column of that table. The
rows and the footers stay the same, so no partition becomes stale by the migration.
"""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow.parquet as pq

from resources.lake.store import Store, StoreError

FORMAT = 3
FORMAT_FILE = "lake.json"
MIGRATE_COMMAND = "master-dagster migrate-lake"
RENAMED_FOLDERS = {"lesson_plans": "dialogue_plans", "_index/lesson_plans": "_index/dialogue_plans"}
RENAMED_COLUMNS = {"dialogue_plans": {"debate_rounds": "repetitions"}}


def check_format(store: Store) -> bool:
    """Whether the lake has a format yet: one that was never written has none.

    Raises:
        StoreError: the lake has another format than `FORMAT`.
    """
    found = _read(store)
    if found is not None and found["format"] != FORMAT:
        raise StoreError(
            f"the lake at {store.root} has format {found['format']}, of an earlier version of this project; "
            f"run `{MIGRATE_COMMAND}` once, while no run is in progress"
        )
    return found is not None


def mark_format(store: Store) -> None:
    """Write the present format, unless the lake has one."""
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    store.put_if_absent(FORMAT_FILE, json.dumps({"format": FORMAT, "created_at": created_at}).encode())


def migrate_lake(store: Store) -> int:
    """Move the files of renamed tables, rename columns, then write the present format. No run may write meanwhile.

    Every file is copied before any is deleted, and the format is written last. After an interruption the same call
    continues; a lake of the present format is left as it is.

    Returns:
        The number of files that were moved or rewritten.

    Raises:
        StoreError: the lake has a newer format, or cannot be written.
    """
    found = _read(store)
    if found is None or found["format"] == FORMAT:
        return 0
    moves = {
        file.path: f"{new}/{file.path.removeprefix(f'{old}/')}"
        for old, new in RENAMED_FOLDERS.items()
        for file in store.list(old)
    }
    for path, new_path in moves.items():
        store.put_if_absent(new_path, store.get(path))
    for path in moves:
        store.delete(path)
    rewritten = sum(
        _rename_columns(store, file.path, renamed)
        for table, renamed in RENAMED_COLUMNS.items()
        for file in store.list(table)
        if file.path.endswith(".parquet")  # not a stray file, such as Thumbs.db
    )
    store.put(FORMAT_FILE, json.dumps({**found, "format": FORMAT}).encode())
    return len(moves) + rewritten


def _rename_columns(store: Store, path: str, renamed: Mapping[str, str]) -> bool:
    """Rewrite a Parquet file with other names of columns and the same rows and footer; False where it has them."""
    with pq.ParquetFile(io.BytesIO(store.get(path))) as file:
        table, footer = file.read(), dict(file.metadata.metadata)
    names = [renamed.get(name, name) for name in table.column_names]
    if names == table.column_names:
        return False
    buffer = io.BytesIO()
    footer.pop(b"ARROW:schema", None)  # has the earlier names
    renamed_table = table.rename_columns(names).replace_schema_metadata(footer)
    pq.write_table(renamed_table, buffer, compression="zstd", compression_level=1)
    store.put(path, buffer.getvalue())
    return True


def _read(store: Store) -> dict[str, int] | None:
    try:
        found: dict[str, int] = json.loads(store.get(FORMAT_FILE))
    except FileNotFoundError:
        return None
    if found["format"] > FORMAT:
        raise StoreError(
            f"the lake at {store.root} has format {found['format']}, this version reads format {FORMAT}; "
            "use the version that wrote it, or set MASTER_LAKE_ROOT to another lake"
        )
    return found
