"""The format of a lake, and a lake in the layout of an earlier version."""

import json
from collections.abc import Callable
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

from resources.lake.format import FORMAT, RENAMED_FOLDERS, migrate_lake
from resources.lake.store import Store, StoreError
from resources.lake.tables import Lake, Table
from tests.resources.lake.test_tables import APPLES

PLANS = Table(name="dialogue_plans", keys=("shard",), schema=APPLES.schema.select_columns(["tree", "grams"]))
KEYS = [{"shard": f"x-{number:04d}"} for number in range(3)]
FRAME = pl.DataFrame({"tree": ["1"], "grams": [100]})


def old_layout(store: Store) -> None:
    """Turn the lake's layout into that of format 1."""
    for old, new in RENAMED_FOLDERS.items():
        for file in store.list(new):
            store.put(f"{old}/{file.path.removeprefix(f'{new}/')}", store.get(file.path))
            store.delete(file.path)
    store.put("lake.json", json.dumps({"format": 1, "created_at": "2026-01-01T00:00:00Z"}).encode())


@pytest.fixture
def lake(store: Store) -> Lake:
    """A lake of format 1 with three plans and one apple."""
    lake = Lake(store)
    for keys in KEYS:
        lake.write(PLANS, keys, FRAME, fingerprint=f"of {keys['shard']}", facts={"rules": "r"})
    old_layout(store)
    return Lake(store)


@pytest.mark.parametrize(
    "use",
    [
        lambda lake: lake.records(PLANS),
        lambda lake: lake.record(PLANS, KEYS[0]),
        lambda lake: lake.read(PLANS, KEYS),
        lambda lake: lake.facts(PLANS, KEYS[0]),
        lambda lake: lake.write(PLANS, KEYS[0], FRAME, fingerprint="other"),
    ],
    ids=["records", "record", "read", "facts", "write"],
)
def test_a_lake_of_the_old_format_is_refused_with_the_command_that_migrates_it(
    lake: Lake, use: Callable[[Lake], object]
) -> None:
    with pytest.raises(StoreError, match=r"has format 1, .* run `master-dagster migrate-lake` once"):
        use(lake)


def assert_migrated(store: Store) -> None:
    lake = Lake(store)
    records = lake.records(PLANS)
    assert [(one.keys, one.fingerprint, one.rows) for one in records] == [
        (keys, f"of {keys['shard']}", 1) for keys in KEYS
    ]
    assert [lake.record(PLANS, keys) for keys in KEYS] == records
    assert lake.read(PLANS).height == 3
    assert [store.list(old) for old in RENAMED_FOLDERS] == [[], []]
    assert json.loads(store.get("lake.json")) == {"format": FORMAT, "created_at": "2026-01-01T00:00:00Z"}


def test_a_migrated_lake_holds_the_same_partitions_with_the_same_fingerprints(lake: Lake) -> None:
    assert migrate_lake(lake.store) == 6
    assert_migrated(lake.store)


def test_migrating_again_changes_nothing(lake: Lake) -> None:
    migrate_lake(lake.store)
    assert migrate_lake(lake.store) == 0
    assert_migrated(lake.store)


@pytest.mark.parametrize("writes", range(13))
def test_a_migration_that_was_interrupted_is_continued(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Six files are copied and deleted, then the format is written: interrupted before each of these calls."""
    left = iter(range(writes))

    def interrupted(write: Callable[..., Any]) -> Callable[..., Any]:
        def write_or_stop(*arguments: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return write(*arguments)

        return write_or_stop

    with monkeypatch.context() as patch:
        for name in ("put", "put_if_absent", "delete"):
            patch.setattr(lake.store, name, interrupted(getattr(lake.store, name)))
        with pytest.raises(KeyboardInterrupt):
            migrate_lake(lake.store)
    migrate_lake(lake.store)
    assert_migrated(lake.store)


def test_a_lake_that_was_never_written_needs_no_migration(store: Store) -> None:
    assert migrate_lake(store) == 0
    assert store.list("") == []


def test_a_newer_format_is_not_migrated(store: Store) -> None:
    store.put("lake.json", b'{"format": 99}')
    with pytest.raises(StoreError, match="has format 99"):
        migrate_lake(store)


def test_a_renamed_column_keeps_its_rows_and_the_footer(store: Store) -> None:
    old = Table("dialogue_plans", ("shard",), pa.DataFrameSchema({"debate_rounds": pa.Column(pl.Int8, nullable=True)}))
    new = Table("dialogue_plans", ("shard",), pa.DataFrameSchema({"repetitions": pa.Column(pl.Int8, nullable=True)}))
    rows = pl.DataFrame({"debate_rounds": [2, None]}, schema={"debate_rounds": pl.Int8})
    record = Lake(store).write(old, KEYS[0], rows, fingerprint="plans", facts={"rules": "r"})
    store.put("dialogue_plans/Thumbs.db", b"x")
    store.put("lake.json", json.dumps({"format": 2}).encode())
    assert [migrate_lake(store), migrate_lake(store)] == [1, 0]
    lake = Lake(store)
    assert lake.read(new)["repetitions"].to_list() == [2, None]
    assert (lake.record(new, KEYS[0]), lake.facts(new, KEYS[0])) == (record, {"rules": "r"})
