import csv
import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import zstandard
from fsspec.implementations.local import LocalFileSystem

from assets.seeds.file_formats import json_array_rows, json_lines_rows
from assets.seeds.reading import read_rows
from assets.seeds.rows import RejectedRow, SeedsError, SourceRow

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


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.ndjson", "a.json", "lines.json", "a.csv", "a.parquet", "a.jsonl.gz", "a.jsonl.zst", "a.json.gz"],
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
        case "a.json.gz":
            path.write_bytes(gzip.compress(array))
        case "a.jsonl.gz":
            path.write_bytes(gzip.compress(as_lines(ROWS[:2])) + gzip.compress(as_lines(ROWS[2:])))
        case "a.jsonl.zst":
            path.write_bytes(zstandard.compress(as_lines(ROWS[:2])) + zstandard.compress(as_lines(ROWS[2:])))
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
        ("cut.jsonl.gz", gzip.compress(as_lines(ROWS * 100))[:-20]),
        ("no.jsonl.gz", as_lines(ROWS)),
        ("no.jsonl.zst", as_lines(ROWS)),
        ("no.parquet", as_lines(ROWS)),
    ],
)
def test_a_corrupt_file_is_named(tmp_path: Path, configure: "Configure", name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SeedsError, match=f"{name}.*corrupt or incomplete"):
        read(configure({"files": [name]}))


# -- JSON lines --------------------------------------------------------------------------------------------------------


def test_broken_lines_are_rejected_and_the_others_read(tmp_path: Path, configure: "Configure") -> None:
    lines = [
        b'{"question": "a',
        b"[1, 2]",
        b'{"question": "caf\xe9"}',
        b"",
        b"[" * 100_000,
        json.dumps(ROWS[0]).encode(),
    ]
    (tmp_path / "sums.jsonl").write_bytes(b"\n".join(lines))
    rows = read(configure())
    assert rejected(rows) == [(0, "broken_json"), (1, "not_a_row"), (2, "not_utf8"), (4, "broken_json")]
    assert values(rows) == ROWS[:1]


def test_a_rejected_row_shows_the_beginning_of_its_line(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "sums.jsonl").write_text('{"question": "How far' + " and far" * 1000)
    (row,) = read(configure())
    assert isinstance(row, RejectedRow)
    assert "How far and far" in row.detail
    assert len(row.detail) < 400


def test_a_byte_order_mark_is_not_part_of_the_first_row(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "sums.jsonl").write_bytes(b"\xef\xbb\xbf" + as_lines(ROWS))
    assert values(read(configure())) == ROWS


def test_a_line_that_is_too_long_is_rejected_and_the_next_one_read() -> None:
    stream = BytesIO(b"x" * 1050 + b"\n" + as_lines(ROWS[:1]))
    rows = list(json_lines_rows(stream, "sums.jsonl", longest=100))
    assert rejected(rows) == [(0, "oversized")]
    assert values(rows) == ROWS[:1]


# -- a JSON array ------------------------------------------------------------------------------------------------------


def test_an_array_is_read_through_a_small_window() -> None:
    elements = [*ROWS, 12345678, {"question": "ü" * 40, "answer": "]"}]
    rows = list(json_array_rows(BytesIO(json.dumps(elements).encode()), "a.json", window_size=7))
    assert values(rows) == [*ROWS, {"question": "ü" * 40, "answer": "]"}]
    assert rejected(rows) == [(5, "not_a_row")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"question": "a"}, {"ques', r"broken or cut off at element 1: .*JSON lines"),
        (b'[{"question": "a"}', r"broken or cut off at element 1: .*JSON lines"),
        (b'[{"question": "a"}, oh]', r"broken or cut off at element 1: .*JSON lines"),
        (b'[{"question": "caf\xe9"}]', r"a\.json: is not UTF-8"),
    ],
)
def test_a_broken_array_fails_the_reading(tmp_path: Path, configure: "Configure", content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SeedsError, match=message):
        read(configure({"files": ["a.json"]}))


def test_an_empty_array_has_no_rows(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "a.json").write_text(" [ ] ")
    assert read(configure({"files": ["a.json"]})) == []


# -- CSV ---------------------------------------------------------------------------------------------------------------


def test_csv_fields_may_hold_commas_quotes_and_line_breaks(tmp_path: Path, configure: "Configure") -> None:
    rows = [{"question": 'Say "a, b"\nand c?', "answer": "a"}]
    write_csv(tmp_path / "a.csv", rows)
    assert values(read(configure({"files": ["a.csv"]}))) == rows


def test_broken_csv_records_are_rejected(tmp_path: Path, configure: "Configure") -> None:
    lines = [b"question,answer", b"a,b,c", b"a", b'"a"b,c', b"caf\xe9,x", b"last,one"]
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    rows = read(configure({"files": ["a.csv"]}))
    assert rejected(rows) == [(0, "broken_csv"), (1, "broken_csv"), (2, "broken_csv"), (3, "not_utf8")]
    assert values(rows) == [{"question": "last", "answer": "one"}]


# -- Parquet -----------------------------------------------------------------------------------------------------------


def test_of_parquet_only_the_wanted_columns_are_decoded(tmp_path: Path, configure: "Configure") -> None:
    pl.DataFrame([row | {"embedding": [0.5]} for row in ROWS]).write_parquet(tmp_path / "a.parquet")
    assert values(read(configure({"files": ["a.parquet"]}))) == ROWS


def test_parquet_conversations_are_lists_of_messages(tmp_path: Path, configure: "Configure") -> None:
    messages = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hi."}]
    pl.DataFrame({"conversations": [messages]}).write_parquet(tmp_path / "a.parquet")
    rows = read(configure({"files": ["a.parquet"], "conversations": True}))
    assert values(rows) == [{"conversations": messages}]


# -- the hub -----------------------------------------------------------------------------------------------------------


def test_a_local_dataset_folder_is_streamed_as_from_the_hub(
    tmp_path: Path, configure: "Configure", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "dataset"
    folder.mkdir()
    pl.DataFrame([row | {"other": 1} for row in ROWS]).write_parquet(folder / "train-00000.parquet")
    rows = read(configure({"hub": {"id": "./dataset"}}))
    assert values(rows) == ROWS
    assert [row.origin_row for row in rows] == [0, 1, 2, 3, 4]


def test_a_dataset_that_cannot_be_read_is_named_with_what_to_do(configure: "Configure") -> None:
    with pytest.raises(SeedsError, match=r"'\./nowhere' .*check its name on the hub and the network"):
        read(configure({"hub": {"id": "./nowhere"}}))


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
