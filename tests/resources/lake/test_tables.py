"""Tables of the lake: partitions, their index, and DuckDB over them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandera.polars as pa
import polars as pl
import pytest

from resources.identity import stable_hash
from resources.lake.ranged_file import READ_AHEAD
from resources.lake.records import Gate
from resources.lake.store import Store, StoreError
from resources.lake.tables import AlreadyWritten, Lake, Table, TableError
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
    assert lake.read(APPLES, [KEYS], columns=["spots", "grams"]).equals(rows(120, 90).select("spots", "grams"))


def with_columns(**columns: pa.Column) -> Table:
    schema = pa.DataFrameSchema({**APPLES.schema.columns, **columns}, strict=True)
    return Table("apples", APPLES.keys, schema, extensible=True)


def test_a_partition_may_lack_a_column_of_a_plug_in_or_have_that_of_another(lake: Lake) -> None:
    sweetness, colour = (pa.Column(kind, nullable=True) for kind in (pl.Float64, pl.String))
    later, other = with_columns(sweetness=sweetness), with_columns(colour=colour)
    lake.write(APPLES, KEYS, rows(120), fingerprint="f1")
    lake.write(other, {**KEYS, "tree": "2"}, rows(90, tree="2").with_columns(colour=pl.lit("red")), fingerprint="f1")
    lake.write(later, {**KEYS, "tree": "3"}, rows(80, tree="3").with_columns(sweetness=0.5), fingerprint="f1")
    read = lake.read(later)
    assert (read.columns, read["sweetness"].to_list()) == (list(later.columns), [None, None, 0.5])
    query = "SELECT sweetness FROM {} ORDER BY tree"
    with lake.connect([later], only={"early": lake.records(later)[:1]}) as connection:
        assert connection.sql(query.format("apples")).fetchall() == [(None,), (None,), (0.5,)]
        assert connection.sql(query.format("early")).fetchall() == [(None,)]


def test_an_empty_partition_keeps_its_columns(lake: Lake) -> None:
    lake.write(APPLES, KEYS, APPLES.empty(), fingerprint="f1")
    assert lake.read(APPLES).schema == APPLES.empty().schema


@pytest.mark.parametrize(
    ("frame", "message"),
    [(rows(-1), "apples/orchard=north/tree=1"), (rows(100, tree="2"), "another tree")],
    ids=["another schema", "another partition"],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(lake: Lake, frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(TableError, match=message):
        lake.write(APPLES, KEYS, frame, fingerprint="f1")
    assert (lake.records(APPLES), lake.record(APPLES, KEYS)) == ([], None)


def test_footer_and_index_agree(lake: Lake) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    written = lake.write(
        APPLES, KEYS, rows(100, 101), fingerprint="f2", gate="failed", facts={"profile": "laptop", "n": 3}
    )
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]
    assert lake.facts(APPLES, KEYS) == {"profile": "laptop", "n": 3}
    assert (written.fingerprint, written.gate, written.rows, written.name) == ("f2", "failed", 2, "north|1")


def test_a_footer_that_is_longer_than_usual_is_read(lake: Lake) -> None:
    facts = {"long": "x" * (READ_AHEAD + 1)}
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1", facts=facts)
    assert lake.facts(APPLES, KEYS) == facts


def set_index(lake: Lake, names: list[str]) -> None:
    """Replace the index of the partition."""
    for file in lake.store.list("_index"):
        lake.store.delete(file.path)
    for name in names:
        lake.store.put(f"_index/apples/orchard=north/tree=1/{name}.json", b"{}")


@pytest.mark.parametrize(("frame", "gate"), [(rows(100), "failed"), (rows(100, 90), "passed"), (rows(100), "passed")])
@pytest.mark.parametrize("index", ["lost", "earlier", "future"])
def test_an_index_that_disagrees_with_the_footer_is_corrected(
    lake: Lake, frame: pl.DataFrame, gate: Gate, index: str
) -> None:
    """As after a writer was killed between its file and its marker, or had a wrong clock."""
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    earlier = [Path(file.path).stem for file in lake.store.list("_index")]
    written = lake.write(APPLES, KEYS, frame, fingerprint="f1", gate=gate)
    set_index(lake, {"lost": [], "earlier": earlier, "future": ["29990101T000000000000Z~f0~passed~7"]}[index])
    assert lake.records(APPLES) != [written]
    assert lake.record(APPLES, KEYS) == written
    assert lake.records(APPLES) == [written]


@pytest.mark.parametrize(
    "path",
    [
        "Thumbs.db",
        "orchard=north/Thumbs.db",
        "orchard=north/tree=1/Thumbs.db",
        "orchard=north/tree=1/copy of 20260101T000000000000Z~f0~passed~7.json",
        "orchard=north/tree=1/20990101T000000000000Z~f0~done~7.json",
        "backup/20260101T000000000000Z~f0~passed~7.json",
    ],
)
def test_a_stray_file_in_the_index_is_left_alone(lake: Lake, path: str) -> None:
    lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake.store.put(f"_index/apples/{path}", b"x")
    written = lake.write(APPLES, KEYS, rows(90), fingerprint="f2")
    assert lake.records(APPLES) == [written]
    assert lake.record(APPLES, KEYS) == written
    assert lake.read(APPLES).equals(rows(90))
    assert lake.store.exists(f"_index/apples/{path}")


def test_a_partition_of_an_earlier_version_has_no_content_hash(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.lake.tables._content_hash", lambda frame: "")
    written = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    (marker,) = lake.store.list("_index")
    assert marker.path.endswith("Z~f1~passed~1.json")
    assert lake.records(APPLES) == [lake.record(APPLES, KEYS)] == [written]


def test_the_content_hash_is_of_the_rows_alone(lake: Lake) -> None:
    first = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    again = lake.write(APPLES, KEYS, rows(100), fingerprint="f2", gate="failed", facts={"n": 3})
    other = lake.write(APPLES, KEYS, rows(90), fingerprint="f2", made_from=again)
    assert (again.content, other.made_from) == (first.content, again.content)
    assert other.content != first.content


def test_a_clock_that_was_set_back_does_not_hide_the_newer_partition(store: Store) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    Lake(store, now=lambda: noon).write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake = Lake(store, now=lambda: noon - timedelta(hours=1))
    written = lake.write(APPLES, KEYS, rows(90), fingerprint="f2")
    assert written.written_at > noon
    assert lake.records(APPLES) == [written]
    assert len(store.list("_index")) == 1


def test_of_two_writers_at_once_the_index_names_the_one_whose_file_remains(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    def put_after_another_writer(path: str, data: bytes) -> None:
        monkeypatch.setattr(store, "put", put)
        Lake(store).write(APPLES, KEYS, rows(90, 80), fingerprint="the other")
        put(path, data)

    monkeypatch.setattr(store, "put", put_after_another_writer)
    written = Lake(store).write(APPLES, KEYS, rows(100), fingerprint="ours")
    assert Lake(store).read(APPLES).equals(rows(100))
    assert Lake(store).records(APPLES) == [written]


def test_a_partition_that_is_written_once_is_never_replaced(lake: Lake) -> None:
    written = lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True)
    assert lake.write(APPLES, KEYS, rows(100), fingerprint="f1", once=True) == written
    with pytest.raises(AlreadyWritten, match="apples/orchard=north/tree=1"):
        lake.write(APPLES, KEYS, rows(90), fingerprint="f2", once=True)
    assert lake.read(APPLES).equals(rows(100))


def test_sql_sees_every_partition_named_subsets_and_empty_tables(lake: Lake) -> None:
    with lake.connect([APPLES]) as connection:
        assert connection.execute("SELECT count(*) FROM apples WHERE spots[1].note = 'red'").fetchone() == (0,)
    first = lake.write(APPLES, KEYS, rows(100), fingerprint="f1")
    lake.write(APPLES, {"orchard": "north", "tree": "2"}, rows(50, 60, tree="2"), fingerprint="f1")
    with lake.connect([APPLES], only={"this_run": [first]}) as connection:
        assert connection.execute("SELECT count(*), sum(grams) FROM apples").fetchone() == (3, 210)
        assert connection.execute("SELECT count(*) FROM this_run").fetchone() == (1,)


def test_a_lake_of_a_newer_format_is_refused(lake: Lake) -> None:
    lake.store.put("lake.json", b'{"format": 99}')
    with pytest.raises(StoreError, match="format 99"):
        lake.read(APPLES)


# -- how much is read from S3 ------------------------------------------------------------------------------------------


def fetched(proxy: S3Proxy) -> int:
    """The bytes of all answers to GetObject since the last call."""
    count = sum(call.bytes for call in proxy.calls if call.name == "GetObject")
    proxy.calls.clear()
    return count


def test_records_columns_and_sql_read_only_what_they_need(s3_root: str, s3_proxy: S3Proxy) -> None:
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
    size = lake.store.list("apples")[0].size
    fetched(s3_proxy)
    record = lake.record(APPLES, KEYS)
    assert record is not None
    assert (record.rows, lake.facts(APPLES, KEYS)) == (20_000, {"profile": "laptop"})
    assert fetched(s3_proxy) <= 2 * READ_AHEAD
    assert lake.read(APPLES, [KEYS], columns=["grams"])["grams"].sum() == 200_010_000
    assert fetched(s3_proxy) < size / 4
    with lake.connect([APPLES]) as connection:
        assert connection.execute("SELECT sum(grams) FROM apples").fetchone() == (200_010_000,)
    assert fetched(s3_proxy) < size / 2


def test_a_partition_is_written_and_read_during_an_outage(
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
