import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assets.seeds.reading import read_rows
from assets.seeds.rows import RejectedRow, SourceRow

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

SUMS = [f"What is {number} plus 1?,{number + 1}" for number in range(100)]


def read(configuration: Any) -> list[SourceRow | RejectedRow]:
    return list(read_rows(configuration.sources[0], configuration))


def values(rows: list[SourceRow | RejectedRow]) -> list[dict[str, Any]]:
    return [row.values for row in rows if isinstance(row, SourceRow)]


def rejected(rows: list[SourceRow | RejectedRow]) -> list[tuple[int, str]]:
    return [(row.origin_row, row.reason) for row in rows if isinstance(row, RejectedRow)]


def test_csv_fields_may_hold_commas_quotes_and_line_breaks(tmp_path: Path, configure: "Configure") -> None:
    rows = [{"question": 'Say "a, b"\nand c?', "answer": "a"}]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(rows)
    assert values(read(configure({"files": ["a.csv"]}))) == rows


def test_broken_csv_records_are_rejected(tmp_path: Path, configure: "Configure") -> None:
    lines = [b"question,answer", b"a,b,c", b"a", b'"a"b,c', b"caf\xe9,x", b"last,one"]
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    rows = read(configure({"files": ["a.csv"]}))
    assert rejected(rows) == [(0, "broken_csv"), (1, "broken_csv"), (2, "broken_csv"), (3, "not_utf8")]
    assert values(rows) == [{"question": "last", "answer": "one"}]


def write(path: Path, lines: list[str]) -> None:
    path.write_bytes("\r\n".join(["question,answer", *lines, ""]).encode())


@pytest.mark.parametrize(
    ("stray", "later"),
    [
        ('"5 inch nails: how many?,6', None),
        ('"5 inch nails: how many?,6', '"What is 7 plus 8, please?",15'),
        ('What is said?,"no', None),
        ('"5 inch nails: how many?,6', '"Say ""a"", please.",a'),
        ('"5 inch nails: how many?,6', 'one,two,"three"'),
    ],
    ids=["to the end", "to the next quotation mark", "in the answer", "doubled marks", "to a record that is too long"],
)
def test_a_quotation_mark_that_is_not_closed_costs_one_row(
    tmp_path: Path, configure: "Configure", stray: str, later: str | None
) -> None:
    lines = [*SUMS[:20], stray, *SUMS[21:]]
    if later:
        lines[60] = later
    write(tmp_path / "a.csv", lines)
    rows = read(configure({"files": ["a.csv"]}))
    broken = {20, 60} if later == 'one,two,"three"' else {20}
    assert rejected(rows) == [(number, "broken_csv") for number in sorted(broken)]
    assert len(values(rows)) == len(SUMS) - len(broken)
    detail = next(row.detail for row in rows if isinstance(row, RejectedRow))
    assert "line 22: a quotation mark opens in this line and is not closed in it" in detail


def test_rows_between_two_stray_quotation_marks_are_rejected_one_by_one(tmp_path: Path, configure: "Configure") -> None:
    write(
        tmp_path / "a.csv", [*SUMS[:20], '"5 inch nails?,6', *SUMS[21:60], 'What is 60 plus 1, please?",61', *SUMS[61:]]
    )
    rows = read(configure({"files": ["a.csv"]}))
    assert rejected(rows) == [(20, "broken_csv")] * 41
    assert len(values(rows)) == 59


@pytest.mark.parametrize(
    "text",
    ["Roses are red,\nviolets are blue,\nwhat is it?", "a,b\n1,2\n3,4\nWhat is the sum?", "x\ny\nz", "a,b,c\n" * 5],
)
def test_a_text_of_several_lines_is_one_row(tmp_path: Path, configure: "Configure", text: str) -> None:
    write(tmp_path / "a.csv", [*SUMS[:2], f'"{text}",poem', f'What is it?,"{text}"'])
    assert [row["question"] for row in values(read(configure({"files": ["a.csv"]})))][2:] == [
        text.replace("\r", ""),
        "What is it?",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "question;answer\nAnn, who owns 2, gets 3?;5\n",
        "question\tanswer\nAnn, who owns 2, gets 3?\t5\n",
        "sep=;\r\nquestion;answer\r\nAnn, who owns 2, gets 3?;5\r\n",
        'sep=,\nquestion,answer\n"Ann, who owns 2, gets 3?",5\n',
        "question;answer;a, b, c and d\nAnn, who owns 2, gets 3?;5;x\n",
        'question , answer\n"Ann, who owns 2, gets 3?",5\n',
    ],
)
def test_the_delimiter_of_a_spreadsheet_is_recognised(tmp_path: Path, configure: "Configure", text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    (row,) = values(read(configure({"files": ["a.csv"]})))
    assert (row["question"], row["answer"]) == ("Ann, who owns 2, gets 3?", "5")
