from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandera.polars as pa
import polars as pl
import pytest

from resources.identity import stable_hash
from resources.lake.store import Store, StoreError
from resources.lake.tables import USUAL_FOOTER, AlreadyWritten, Gate, Lake, PartitionRecord, Table, TableError
from tests.s3_proxy import S3Proxy

APPLES = Table(
    name="apples",
    keys=("orchard", "tree"),
    schema=pa.DataFrameSchema(
        {
            "orchard": pa.Column(pl.String),
            "tree": pa.Column(pl.String),
            "grams": pa.Column(pl.Int64, pa.Check.gt(0)),
            "spots": pa.Column(pl.List(pl.Struct({"x": pl.Float64, "note": pl.String}))),
        },
        strict=True,
    ),
)
KEYS = {"orchard": "north", "tree": "1"}


@pytest.fixture
def lake(store: Store) -> Lake:
    return Lake(store)


def rows(*grams: int, tree: str = "1") -> pl.DataFrame:
    return APPLES.frame(
        [{"orchard": "north", "tree": tree, "grams": weight, "spots": [{"x": 0.5, "note": "red"}]} for weight in grams]
    )


def test_a_partition_is_read_as_it_was_written(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(120, 90), fingerprint="f1")
    assert lake.read(APPLES).equals(rows(120, 90))
    assert lake.read(APPLES, [KEYS], columns=["grams"])["grams"].to_list() == [120, 90]


def test_an_empty_partition_keeps_its_columns(lake: Lake) -> None:
    lake.write(APPLES, KEYS, APPLES.empty(), fingerprint="f1")
    assert lake.read(APPLES).schema == APPLES.empty().schema


def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(lake: Lake) -> None:
    with pytest.raises(TableError, match="apples/orchard=north/tree=1"):
        lake.write(APPLES, KEYS, rows(-1), fingerprint="f1")
    assert lake.records(APPLES) == []
    assert lake.record(APPLES, KEYS) is None


def test_rows_of_another_partition_are_refused(lake: Lake) -> None:
    with pytest.raises(TableError, match="another tree"):
        lake.write(APPLES, KEYS, rows(100, tree="2"), fingerprint="f1")


def test_the_footer_and_the_index_say_the_same(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", facts={"profile": "laptop"})
    written = lake.write(APPLES, KEYS, rows(100, 101), fingerprint="f2", gate="failed")
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]
    assert (written.fingerprint, written.gate, written.rows, written.name) == ("f2", "failed", 2, "north|1")


def test_facts_come_back(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", facts={"profile": "laptop", "n": 3})
    assert lake.facts(APPLES, KEYS) == {"profile": "laptop", "n": 3}


def test_an_index_that_was_lost_is_mended_from_the_footer(lake: Lake) -> None:
    written = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    for file in lake.store.list("_index"):
        lake.store.delete(file.path)
    assert lake.records(APPLES) == []
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]


def killed_before_its_marker(lake: Lake, frame: pl.DataFrame, fingerprint: str, gate: Gate) -> PartitionRecord:
    """Write a partition and put back the index that was there before."""
    before = [file.path for file in lake.store.list("_index")]
    written = lake.write(APPLES, KEYS, frame, fingerprint=fingerprint, gate=gate)
    for file in lake.store.list("_index"):
        lake.store.delete(file.path)
    for path in before:
        lake.store.put(path, b"{}")
    return written


@pytest.mark.parametrize(("frame", "gate"), [(rows(100), "failed"), (rows(100, 90), "passed"), (rows(100), "passed")])
def test_an_index_that_lags_behind_the_same_fingerprint_is_mended(lake: Lake, frame: pl.DataFrame, gate: Gate) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    written = killed_before_its_marker(lake, frame, "f1", gate)
    assert lake.records(APPLES) != [written]
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]


def test_a_marker_from_the_future_gives_way_to_the_footer(lake: Lake) -> None:
    written = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake.store.put("_index/apples/orchard=north/tree=1/29990101T000000000000Z~f0~passed~7.json", b"{}")
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]


def test_a_clock_that_steps_back_does_not_hide_the_newer_partition(store: Store) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    Lake(store, now=lambda: noon).write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake = Lake(store, now=lambda: noon - timedelta(hours=1))
    written = lake.write(APPLES, KEYS, rows(90), fingerprint="f2")
    assert written.written_at > noon
    assert lake.records(APPLES) == [written]
    assert len(store.list("_index")) == 1


def test_of_two_writers_of_a_partition_the_index_names_the_one_whose_file_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    def overtaken(path: str, data: bytes) -> None:
        monkeypatch.setattr(store, "put", put)
        Lake(store).write(APPLES, KEYS, rows(90, 80), fingerprint="the other")
        put(path, data)

    monkeypatch.setattr(store, "put", overtaken)
    written = Lake(store).write(APPLES, KEYS, rows(100), fingerprint="ours")
    assert Lake(store).read(APPLES).equals(rows(100))
    assert Lake(store).records(APPLES) == [written]


def test_what_is_written_once_is_never_replaced(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True)
    with pytest.raises(AlreadyWritten, match="apples/orchard=north/tree=1"):
        lake.write(APPLES, KEYS, rows(90), fingerprint="f2", once=True)
    assert lake.read(APPLES).equals(rows(100))


def test_writing_once_what_is_there_already_changes_nothing(lake: Lake) -> None:
    written = lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True)
    assert lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True) == written


def test_sql_sees_every_partition_and_named_subsets(lake: Lake) -> None:
    first = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake.write(APPLES, {"orchard": "north", "tree": "2"}, rows(50, 60, tree="2"), fingerprint="f1")
    with lake.connect([APPLES], only={"this_run": [first]}) as connection:
        assert connection.execute("SELECT count(*), sum(grams) FROM apples").fetchone() == (3, 210)
        assert connection.execute("SELECT count(*) FROM this_run").fetchone() == (1,)


def test_sql_over_a_table_without_files_is_empty(lake: Lake) -> None:
    with lake.connect([APPLES]) as connection:
        assert connection.execute("SELECT count(*) FROM apples WHERE spots[1].note = 'red'").fetchone() == (0,)


def test_a_lake_of_a_newer_format_is_refused(lake: Lake) -> None:
    lake.store.put("lake.json", b'{"format": 99}')
    with pytest.raises(StoreError, match="format 99"):
        lake.read(APPLES)


@pytest.fixture
def long_partition(s3_root: str, s3_proxy: S3Proxy) -> Lake:
    """A partition of some megabytes on S3, most of them in one column; what is asked for is counted from here."""
    lake = Lake.at(s3_root)
    frame = pl.DataFrame(
        {
            "orchard": ["north"] * 20_000,
            "tree": ["1"] * 20_000,
            "grams": range(1, 20_001),
            "spots": [[{"x": 0.5, "note": f"{stable_hash(row)}{stable_hash(-row)}"}] for row in range(20_000)],
        }
    )
    lake.write(APPLES, KEYS, frame, fingerprint="f1", facts={"profile": "laptop"})
    s3_proxy.calls.clear()
    return lake


def fetched(gate: S3Proxy) -> int:
    return sum(call.bytes for call in gate.calls if call.name == "GetObject")


def test_a_record_and_its_facts_are_read_from_the_end_of_the_file(long_partition: Lake, s3_proxy: S3Proxy) -> None:
    record = long_partition.record(APPLES, KEYS)
    assert record is not None
    assert record.rows == 20_000
    assert long_partition.facts(APPLES, KEYS) == {"profile": "laptop"}
    assert fetched(s3_proxy) <= 2 * USUAL_FOOTER


def test_a_column_is_read_without_the_others(long_partition: Lake, s3_proxy: S3Proxy) -> None:
    size = long_partition.store.list("apples")[0].size
    assert long_partition.read(APPLES, [KEYS], columns=["grams"])["grams"].sum() == 200_010_000
    assert fetched(s3_proxy) < size / 4


def test_sql_reads_the_columns_it_asks_for(long_partition: Lake, s3_proxy: S3Proxy) -> None:
    size = long_partition.store.list("apples")[0].size
    with long_partition.connect([APPLES]) as connection:
        assert connection.execute("SELECT sum(grams) FROM apples").fetchone() == (200_010_000,)
    assert fetched(s3_proxy) < size / 2


def test_a_footer_that_is_longer_than_usual_is_read(lake: Lake) -> None:
    facts = {"long": "x" * (USUAL_FOOTER + 1)}
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", facts=facts)
    assert lake.facts(APPLES, KEYS) == facts


def test_some_columns_come_in_the_order_asked_for_with_their_types(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    assert lake.read(APPLES, [KEYS], columns=["spots", "grams"]).equals(rows(100).select("spots", "grams"))


def test_writing_and_reading_a_partition_survives_an_outage(
    s3_root: str, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    lake = Lake.at(s3_root)
    for call in ("PutObject", "GetObject", "ListObjectsV2"):
        s3_proxy.drop(call, times=3)
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True)
    with lake.connect([APPLES]) as connection:
        s3_proxy.refuse("GetObject", 503, times=3)
        assert connection.execute("SELECT grams FROM apples").fetchall() == [(100,)]
