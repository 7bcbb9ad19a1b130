import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assets.seeds.json_files import json_array_rows, json_lines_rows
from assets.seeds.reading import read_rows
from assets.seeds.rows import RejectedRow, SeedsError, SourceRow

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

ROWS = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(5)]
CHAT = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hi."}]


def read(configuration: Any) -> list[SourceRow | RejectedRow]:
    return list(read_rows(configuration.sources[0], configuration))


def values(rows: list[SourceRow | RejectedRow]) -> list[dict[str, Any]]:
    return [row.values for row in rows if isinstance(row, SourceRow)]


def rejected(rows: list[SourceRow | RejectedRow]) -> list[tuple[int, str]]:
    return [(row.origin_row, row.reason) for row in rows if isinstance(row, RejectedRow)]


def as_lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"version": "1.1", "data": ROWS}, indent=2),
        json.dumps({"data": ROWS, "tags": ["x"], "size": 5}),
        '{"data": [\n' + ",\n".join(map(json.dumps, ROWS)) + "\n]}",
        json.dumps(ROWS, indent=2),
        json.dumps(ROWS),
        "[" + ",\n".join(map(json.dumps, ROWS)) + "]",
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "\ufeff\n " + "\n".join(map(json.dumps, ROWS)),
    ],
    ids=[
        "wrapped",
        "in one line",
        "a row per line",
        "array",
        "array in one line",
        "array of lines",
        "objects",
        "lines",
    ],
)
def test_every_layout_of_json_gives_the_same_rows(tmp_path: Path, configure: "Configure", name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    rows = read(configure({"files": [name]}))
    assert values(rows) == ROWS
    assert rejected(rows) == []
    assert len({row.origin_row for row in rows}) == len(ROWS)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([CHAT, CHAT]),
        json.dumps([CHAT, CHAT], indent=1),
        f"{json.dumps(CHAT)}\n{json.dumps(CHAT)}\n",
        json.dumps({"data": [CHAT, CHAT]}),
        json.dumps({"conversations": [{"conversations": CHAT}] * 2}),
        json.dumps([{"conversations": CHAT}] * 2),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_conversation_may_be_a_bare_list(tmp_path: Path, configure: "Configure", name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert values(read(configure({"files": [name], "conversations": True}))) == [{"conversations": CHAT}] * 2


@pytest.mark.parametrize("text", [json.dumps(CHAT), json.dumps({"conversations": CHAT})])
def test_a_file_may_hold_one_conversation(tmp_path: Path, configure: "Configure", text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    assert values(read(configure({"files": ["a.jsonl"], "conversations": True}))) == [{"conversations": CHAT}]


def test_a_row_may_be_the_only_one_and_hold_lists(tmp_path: Path, configure: "Configure") -> None:
    row = {"question": "Which?", "choices": [{"text": "a"}], "answer": "a"}
    (tmp_path / "a.json").write_text(json.dumps(row, indent=1))
    assert values(read(configure({"files": ["a.json"]}))) == [row]


def test_the_list_of_rows_can_be_configured(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "a.json").write_text(json.dumps({"train": ROWS, "test": ROWS[:1], "about": {"rows": 5}}))
    with pytest.raises(SeedsError, match="write `rows_in: train` or `rows_in: test` into its source"):
        read(configure({"files": ["a.json"]}))
    assert values(read(configure({"files": ["a.json"], "rows_in": "test"}))) == ROWS[:1]
    with pytest.raises(SeedsError, match="the members train, test, about; write `rows_in: train`"):
        read(configure({"files": ["a.json"], "rows_in": "dev"}))


@pytest.mark.parametrize(
    "content", [{"title": "Q", "0": {"question": "a", "answer": "b"}}, {"rows": {"0": "a"}}, {"count": 5}]
)
def test_an_object_without_rows_is_named(tmp_path: Path, configure: "Configure", content: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(SeedsError, match=r"one JSON object with the members .* none is a list of rows; convert it"):
        read(configure({"files": ["a.json"]}))


def test_a_whole_number_of_any_length_is_read(tmp_path: Path, configure: "Configure") -> None:
    (tmp_path / "sums.jsonl").write_text(
        f'{{"question": "2**1100?", "answer": {2**1100}}}\n{{"question": "x", "answer": {"7" * 9999}}}'
    )
    assert [str(row["answer"]) for row in values(read(configure()))] == [str(2**1100), "7" * 9999]


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
        (b'[{"question": "a"}] {"question": "b"}', r"broken or cut off at element 1: text follows the array"),
        (b"[" * 200_000, r"broken or cut off at element 0: it is nested too deeply"),
        (b'{"data": [\n{"question": "a"},\n{"ques', r"broken or cut off at element 1: .*JSON lines"),
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
