"""Brings a lake of an earlier format to the present one.

Format 1 had the table `lesson_plans`; format 2 calls it `dialogue_plans`. The files keep their content, so no partition
becomes stale.
"""

import json

from resources.lake.store import Store
from resources.lake.tables import FORMAT, FORMAT_FILE, read_format

RENAMED_FOLDERS = {"lesson_plans": "dialogue_plans", "_index/lesson_plans": "_index/dialogue_plans"}


def migrate_lake(store: Store) -> int:
    """Move the files of renamed tables, then write the present format. No run may write to the lake meanwhile.

    Every file is copied before any is deleted, and the format is written last. After an interruption the same call
    continues; a lake of the present format is left as it is.

    Returns:
        The number of files that were moved.

    Raises:
        StoreError: the lake has a format that this version does not know, or cannot be written.
    """
    found = read_format(store)
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
    store.put(FORMAT_FILE, json.dumps({**found, "format": FORMAT}).encode())
    return len(moves)
