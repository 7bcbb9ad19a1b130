import contextlib
import csv
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.seeds.intake import sample_rows
from assets.seeds.reading import read_rows
from assets.seeds.rows import RejectedRow, SeedsError, SourceRow
from assets.seeds.schema import REJECTS, SEEDS

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

ROWS = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(5)]


def read(configuration: Any) -> list[SourceRow | RejectedRow]:
    return list(read_rows(configuration.sources[0], configuration))


def values(rows: list[SourceRow | RejectedRow]) -> list[dict[str, Any]]:
    return [row.values for row in rows if isinstance(row, SourceRow)]


def rejected(rows: list[SourceRow | RejectedRow]) -> list[tuple[int, str]]:
    return [(row.origin_row, row.reason) for row in rows if isinstance(row, RejectedRow)]


def as_lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.ndjson",
        "a.json",
        "lines.json",
        "a.csv",
        "a.parquet",
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.json.gz",
        "a.json.zst",
        "a.parquet.zst",
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, configure: "Configure", name: str) -> None:
    path = tmp_path / name
    array = json.dumps(ROWS, indent=1).encode()
    match name:
        case "a.csv":
            write_csv(path, ROWS)
        case "a.parquet":
            pl.DataFrame(ROWS).write_parquet(path)
        case "a.json":
            path.write_bytes(array)
        case "a.json.zst":
            path.write_bytes(zstd(array))
        case "a.parquet.zst":
            pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
            path.write_bytes(zstd((tmp_path / "a.parquet").read_bytes()))
        case "a.json.gz":
            path.write_bytes(gzip.compress(array))
        case "a.jsonl.gz":
            path.write_bytes(gzip.compress(as_lines(ROWS[:2])) + gzip.compress(as_lines(ROWS[2:])))
        case "a.jsonl.zst":
            path.write_bytes(zstd(as_lines(ROWS[:2])) + zstd(as_lines(ROWS[2:])))
        case _:
            path.write_bytes(as_lines(ROWS))
    rows = read(configure({"files": [name]}))
    assert values(rows) == ROWS
    assert [(row.origin_file, row.origin_row) for row in rows] == [(name, number) for number in range(5)]


def test_a_glob_reads_its_files_in_the_order_of_their_names(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "sub").mkdir()
    for name, part in {"sub/b.jsonl": ROWS[2:], "sub/a.jsonl": ROWS[:2], "other.jsonl": ROWS}.items():
        (tmp_path / name).write_bytes(as_lines(part))
    rows = read(configure({"files": ["sub/*.jsonl"]}))
    assert values(rows) == ROWS
    assert {row.origin_file for row in rows} == {"sub/a.jsonl", "sub/b.jsonl"}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nowhere.jsonl", "nowhere.jsonl: there is no such file; relative paths start at {folder}"),
        ("*.parquet", "there is no such file"),
        ("seeds.xlsx", r"known: \.jsonl"),
        (".", r"is a folder; list its files, such as \./\*\.parquet, or give it as `hub: "),
    ],
)
def test_a_file_that_cannot_be_found_or_has_no_known_format_is_named(
    tmp_path: Path, configure: "Configure", file: str, message: str
) -> None:
    (tmp_path / "seeds.xlsx").write_bytes(b"PK")
    with pytest.raises(SeedsError, match=message.format(folder=tmp_path)):
        read(configure({"files": [file]}))


def test_a_file_without_permission_is_named(
    tmp_path: Path, configure: "Configure", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")  # root, which runs the tests in CI, may read every file

    (tmp_path / "sums.jsonl").write_bytes(as_lines(ROWS))
    monkeypatch.setattr(LocalFileSystem, "open", refuse)
    with pytest.raises(SeedsError, match=r"sums\.jsonl: permission denied"):
        read(configure())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.jsonl.gz", gzip.compress(as_lines(ROWS * 100), mtime=0)[:-20]),
        ("cut.jsonl.zst", zstd(as_lines(ROWS * 100))[:-20]),
        ("cut.json.zst", zstd(json.dumps(ROWS * 100).encode())[:-1]),
        ("damaged.jsonl.gz", gzip.compress(as_lines(ROWS * 100), mtime=0)[:40] + b"x" * 40),
        ("no.jsonl.gz", as_lines(ROWS)),
        ("no.jsonl.zst", as_lines(ROWS)),
        ("no.parquet", as_lines(ROWS)),
    ],
)
def test_a_corrupt_file_is_named(tmp_path: Path, configure: "Configure", name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SeedsError, match=f"{name}.*corrupt or incomplete"):
        read(configure({"files": [name]}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.parquet",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "a Git LFS pointer.*git lfs pull",
        ),
        ("a.jsonl", b"<!DOCTYPE html><html>", "a web page"),
        ("a.jsonl", gzip.compress(as_lines(ROWS), mtime=0), "compressed with gzip; let its name end with .gz"),
        ("a.csv", zstd(b"a,b"), "compressed with zstd"),
        ("a.csv", b"PK\x03\x04", "a zip archive or a spreadsheet"),
        ("a.json", b"PAR1", "a Parquet file"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says_is_named(
    tmp_path: Path, configure: "Configure", name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SeedsError, match=f"{name}: is {message}"):
        read(configure({"files": [name]}))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_the_encoding_of_unicode_files_is_recognised(
    tmp_path: Path, configure: "Configure", encoding: str, name: str
) -> None:
    rows = [{"question": "Wie heißt das Tier? 🐑", "answer": "Schaf"}]
    write_csv(tmp_path / "a.csv", rows)
    text = {
        "a.csv": (tmp_path / "a.csv").read_text(encoding="utf-8"),
        "a.json": json.dumps(rows, ensure_ascii=False, indent=1),
        "a.jsonl": json.dumps(rows[0], ensure_ascii=False) + "\n",
    }[name]
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert values(read(configure({"files": [name]}))) == rows


def test_another_encoding_is_read_where_it_is_configured_and_advised_where_not(
    tmp_path: Path, configure: "Configure"
) -> None:
    (tmp_path / "a.csv").write_bytes("question,answer\nWie heißt es?,Käse\n".encode("cp1252"))
    configured = configure({"files": ["a.csv"], "encoding": "cp1252"})
    assert values(read(configured)) == [{"question": "Wie heißt es?", "answer": "Käse"}]
    (row,) = read(configure({"files": ["a.csv"]}))
    assert isinstance(row, RejectedRow)
    assert (row.reason, "write the file's `encoding` into its source" in row.detail) == ("not_utf8", True)


def test_a_cut_utf_16_file_is_named(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "a.csv").write_bytes("question,answer\na,b".encode("utf-16")[:-1])
    with pytest.raises(SeedsError, match=r"a\.csv: is not utf-16"):
        read(configure({"files": ["a.csv"]}))


# -- Parquet -----------------------------------------------------------------------------------------------------------


def test_of_parquet_only_the_wanted_columns_are_decoded(tmp_path: Path, configure: "Configure") -> None:
    pl.DataFrame([row | {"embedding": [0.5]} for row in ROWS]).write_parquet(tmp_path / "a.parquet")
    assert values(read(configure({"files": ["a.parquet"]}))) == ROWS


def test_parquet_conversations_are_lists_of_messages(tmp_path: Path, configure: "Configure") -> None:
    messages = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hi."}]
    pl.DataFrame({"conversations": [messages]}).write_parquet(tmp_path / "a.parquet")
    rows = read(configure({"files": ["a.parquet"], "conversations": True}))
    assert values(rows) == [{"conversations": messages}]


def test_of_parquet_the_field_around_a_nested_one_is_decoded(tmp_path: Path, configure: "Configure") -> None:
    pl.DataFrame([{"q": "a", "answers": {"text": ["b"]}, "other": 1}]).write_parquet(tmp_path / "a.parquet")
    fields = {"question": "q", "answer": "answers.text"}
    assert values(read(configure({"files": ["a.parquet"], "fields": fields}))) == [
        {"q": "a", "answers": {"text": ["b"]}}
    ]


def test_a_parquet_text_that_is_not_utf8_costs_its_row(tmp_path: Path, configure: "Configure") -> None:
    answers = pa.array([b"one", b"caf\xe9", b"three"]).view(pa.string())
    pq.write_table(pa.table({"question": ["a", "b", "c"], "answer": answers}), tmp_path / "a.parquet")
    rows = read(configure({"files": ["a.parquet"]}))
    assert rejected(rows) == [(1, "not_utf8")]
    assert [row["answer"] for row in values(rows)] == ["one", "three"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_parquet_file_is_a_seeds_error_or_has_other_rows(
    tmp_path: Path, configure: "Configure", data: st.DataObject
) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame(ROWS).write_parquet(path)
    content = bytearray(path.read_bytes())
    for _ in range(3):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(SeedsError):
        read(configure({"files": ["a.parquet"]}))


# -- S3 ----------------------------------------------------------------------------------------------------------------


def test_s3_addresses_and_globs_are_read(configure: "Configure", s3_client: Any) -> None:
    s3_client.put_object(Bucket="seeds", Key="q/a.jsonl", Body=as_lines(ROWS[:2]))
    s3_client.put_object(Bucket="seeds", Key="q/b.jsonl.gz", Body=gzip.compress(as_lines(ROWS[2:])))
    rows = read(configure({"files": ["s3://seeds/q/*"]}))
    assert values(rows) == ROWS
    assert {row.origin_file for row in rows} == {"s3://seeds/q/a.jsonl", "s3://seeds/q/b.jsonl.gz"}


def test_a_file_added_to_s3_between_two_readings_is_read(configure: "Configure", s3_client: Any) -> None:
    configuration = configure({"files": ["s3://seeds/grow/*.jsonl"]})
    s3_client.put_object(Bucket="seeds", Key="grow/a.jsonl", Body=as_lines(ROWS[:2]))
    read(configuration)
    s3_client.put_object(Bucket="seeds", Key="grow/b.jsonl", Body=as_lines(ROWS[2:]))
    assert values(read(configuration)) == ROWS


@pytest.mark.parametrize("address", ["s3://seeds/nowhere.jsonl", "s3://no-such-bucket/a.jsonl"])
def test_a_file_missing_on_s3_is_named(configure: "Configure", s3_client: Any, address: str) -> None:
    with pytest.raises(SeedsError, match=f"{address}: there is no such file"):
        read(configure({"files": [address]}))


PIECES = (
    b'" { } [ ] , : \x00 \xff\xfe \xef\xbb\xbf \\ud800 a {"question":"a","answer":"b"} question,answer sep=; 1e999 null'
)
SOUP = st.lists(st.sampled_from([*PIECES.split(b" "), b" ", b"\n", b"\r\n", b"9" * 400]), max_size=30).map(b"".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(SOUP, st.binary(max_size=60)), st.sampled_from(["a.jsonl", "a.json", "a.csv"]))
def test_whatever_a_file_holds_its_rows_are_read_or_rejected_or_the_file_is_named(
    tmp_path: Path, configure: "Configure", content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    configuration = configure({"files": [name]})
    try:
        sampled = sample_rows(read_rows(configuration.sources[0], configuration), configuration.sources[0], 1000)
    except SeedsError as error:
        assert name in str(error) or "no row has a field" in str(error)
    else:
        pairs = [one.pair for one in sampled.sample.kept.values()]
        SEEDS.frame([{"question": pair.question, "answer": pair.answer} for pair in pairs])
        REJECTS.frame([{"detail": row.detail, "origin_file": row.origin_file} for row in sampled.rejects])
