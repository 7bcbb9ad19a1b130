"""Identity under growth: whatever happens upstream, what was written stays as it is and where it is."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.framework.near_duplicates import group_near_duplicates
from assets.seeds import intake as intake_module
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.intake import take_in
from assets.seeds.reading import Row, SeedsError
from assets.seeds.sampling import seed_id
from assets.seeds.schema import READINGS, REJECTS, SEEDS
from resources.lake.tables import Lake, PartitionRecord

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure, WriteRows


def sums(*numbers: int) -> list[dict[str, str]]:
    return [
        {"question": f"What is {number} + {number}?", "answer": f"Twice {number}. The answer is {2 * number}."}
        for number in numbers
    ]


def sum_id(number: int) -> str:
    (row,) = sums(number)
    return seed_id("sums", row["question"], row["answer"])


def files(lake: Lake) -> dict[str, bytes]:
    """Path to content of every shard."""
    return {file.path: lake.store.get(file.path) for file in lake.store.list(SEEDS.name)}


def test_rows_become_seeds_with_where_they_came_from(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(4, 5))
    take_in(lake, configure(), "sums")
    rows = {row["seed_id"]: row for row in lake.read(SEEDS).to_dicts()}
    assert rows[sum_id(5)] == {
        "seed_id": sum_id(5),
        "source": "sums",
        "shard": "sums-0000",
        "reading": 1,
        "domain": "math",
        "system": None,
        "question": "What is 5 + 5?",
        "answer": "Twice 5. The answer is 10.",
        "reference_final": "10",
        "representative": sum_id(5),
        "licence": "CC0-1.0",
        "origin_file": "sums.jsonl",
        "origin_row": 1,
    }


def test_seeds_are_cut_into_shards_in_the_order_of_their_ids(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(*range(7)))
    intake = take_in(lake, configure(shard_size=3), "sums")
    assert intake.new_shards == ["sums-0000", "sums-0001", "sums-0002"]
    seeds = lake.read(SEEDS)
    assert seeds["seed_id"].to_list() == sorted(sum_id(number) for number in range(7))
    assert seeds["shard"].value_counts(sort=True)["count"].to_list() == [3, 3, 1]


def test_near_duplicates_are_kept_under_one_representative(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    (row,) = sums(3)
    write_rows([row, row | {"answer": "It is six. The answer is 6."}])
    intake = take_in(lake, configure(), "sums")
    assert intake.duplicates == 1
    assert lake.read(SEEDS)["representative"].n_unique() == 1


def test_repeated_rows_are_one_seed(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows([*sums(1, 2), *sums(1, 1)])
    intake = take_in(lake, configure(), "sums")
    assert (intake.rows, intake.added, intake.repeated) == (4, 2, 2)


def test_source_and_lake_may_lie_on_s3(configure: "Configure", s3_client: Any) -> None:
    body = "".join(json.dumps(row) + "\n" for row in sums(1, 2, 3))
    s3_client.put_object(Bucket="seeds", Key="given/sums.jsonl", Body=body.encode())
    lake = Lake.at("s3://seeds/lake")
    configuration = configure({"files": ["s3://seeds/given/*.jsonl"]}, shard_size=2)
    assert take_in(lake, configuration, "sums").new_shards == ["sums-0000", "sums-0001"]
    assert take_in(lake, configuration, "sums").new_shards == []


# -- growth ------------------------------------------------------------------------------------------------------------


def test_reading_unchanged_rows_again_adds_nothing(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows(sums(1, 2, 3))
    take_in(lake, configure(), "sums")
    before = files(lake)
    intake = take_in(lake, configure(), "sums")
    assert (intake.added, intake.held, intake.new_shards) == (0, 3, [])
    assert files(lake) == before


def test_new_rows_go_into_a_new_shard_even_if_the_last_has_room(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(1, 2))
    take_in(lake, configure(), "sums")
    write_rows(sums(3, 1, 2))
    assert take_in(lake, configure(), "sums").new_shards == ["sums-0001"]
    newest = lake.read(SEEDS, [{"source": "sums", "shard": "sums-0001"}])
    assert newest.select("seed_id", "reading").rows() == [(sum_id(3), 2)]


def test_an_edited_row_is_a_new_seed_and_the_old_one_stays(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(1))
    take_in(lake, configure(), "sums")
    write_rows([sums(1)[0] | {"answer": "Two. The answer is 2."}])
    take_in(lake, configure(), "sums")
    assert lake.read(SEEDS)["answer"].to_list() == ["Twice 1. The answer is 2.", "Two. The answer is 2."]


def test_a_new_near_duplicate_joins_the_held_seed(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows(sums(1))
    take_in(lake, configure(), "sums")
    write_rows([sums(1)[0] | {"answer": "Two. The answer is 2."}])
    take_in(lake, configure(), "sums")
    assert lake.read(SEEDS)["representative"].to_list() == [sum_id(1)] * 2


def test_a_smaller_shard_size_holds_for_new_shards_only(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(1, 2, 3))
    take_in(lake, configure(), "sums")
    write_rows(sums(1, 2, 3, 4, 5))
    assert take_in(lake, configure(shard_size=1), "sums").new_shards == ["sums-0001", "sums-0002"]


def test_a_bigger_sample_adds_to_the_smaller_one(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows(sums(*range(30)))
    take_in(lake, configure({"sample": 5}), "sums")
    intake = take_in(lake, configure({"sample": 12}), "sums")
    assert (intake.held, intake.added, intake.beyond_sample) == (5, 7, 18)


UPSTREAM = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=20), min_size=1, max_size=5)


@settings(max_examples=15)
@given(UPSTREAM, st.integers(1, 6), st.one_of(st.none(), st.integers(1, 8)))
def test_whatever_comes_and_goes_upstream_nothing_written_moves(
    upstream: list[list[int]], shard_size: int, sample: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.at(f"{folder}/lake")
        configuration = configured(Path(folder), shard_size, sample)
        before: dict[str, bytes] = {}
        for numbers in upstream:
            put(Path(folder), sums(*numbers))
            take_in(lake, configuration, "sums")
            now = files(lake)
            assert {path: now[path] for path in before} == before
            before = now
        seeds = lake.read(SEEDS)
        assert seeds["seed_id"].is_unique().all()
        assert seeds["shard"].value_counts()["count"].max() <= shard_size  # type: ignore[operator]
        if sample is None:
            assert set(seeds["seed_id"]) == {sum_id(number) for numbers in upstream for number in numbers}


@settings(max_examples=8)
@given(st.sets(st.integers(0, 60), min_size=1, max_size=20), st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_shards_do_not_depend_on_the_order_upstream(numbers: set[int], random: Random, sample: int) -> None:
    written = []
    order = list(numbers)
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake.at(f"{folder}/lake")
            put(Path(folder), sums(*order))
            take_in(lake, configured(Path(folder), 4, sample), "sums")
            written.append(lake.read(SEEDS).drop("origin_row"))
        random.shuffle(order)
    assert written[0].equals(written[1])


def configured(folder: Path, shard_size: int, sample: int | None) -> SeedsConfiguration:
    source = {
        "name": "sums",
        "files": ["sums.csv"],
        "fields": {"question": "question", "answer": "answer"},
        "domain": "math",
        "licence": "CC0-1.0",
        "sample": sample,
    }
    return SeedsConfiguration.model_validate({"sources": [source], "folder": folder, "shard_size": shard_size})


def put(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    pl.DataFrame(rows).write_csv(folder / "sums.csv")


# -- killed and concurrent readings ------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours handles it."""


def kill_at_shard(monkeypatch: pytest.MonkeyPatch, lake: Lake, number: int, *, indexed: bool) -> None:
    """End the reading when it writes its shard of that number; before the index knows of it unless `indexed`."""
    mark = lake._put_marker

    def put_marker(table: Any, record: PartitionRecord, *older: Any) -> None:
        killed = record.keys.get("shard") == f"sums-{number:04d}"
        if indexed or not killed:
            mark(table, record, *older)
        if killed:
            raise Killed

    monkeypatch.setattr(lake, "_put_marker", put_marker)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_killed_reading_is_gone_on_with(
    lake: Lake, configure: "Configure", write_rows: "WriteRows", monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    write_rows(sums(*range(8)))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_at_shard(patched, lake, 1, indexed=indexed)
        take_in(lake, configure(shard_size=2), "sums")
    intake = take_in(lake, configure(shard_size=2), "sums")
    assert (intake.held, intake.new_shards) == (4, ["sums-0002", "sums-0003"])
    assert lake.read(SEEDS)["seed_id"].to_list() == sorted(sum_id(number) for number in range(8))


def test_a_shard_that_another_run_writes_meanwhile_is_not_replaced(
    lake: Lake, configure: "Configure", write_rows: "WriteRows", monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(sums(1, 2))

    def slowly(*arguments: Any, **options: Any) -> dict[str, str]:
        monkeypatch.undo()
        write_rows(sums(7))
        take_in(lake, configure(), "sums")  # the other run, which overtakes
        return group_near_duplicates(*arguments, **options)

    monkeypatch.setattr(intake_module, "group_near_duplicates", slowly)
    with pytest.raises(SeedsError, match="another run has written shard sums-0000 meanwhile; run this one again"):
        take_in(lake, configure(), "sums")
    assert lake.read(SEEDS)["seed_id"].to_list() == [sum_id(7)]


# -- retractions -------------------------------------------------------------------------------------------------------


def test_a_retracted_seed_is_not_taken_in(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows(sums(1, 2))
    intake = take_in(lake, configure(), "sums", retracted=frozenset([sum_id(1)]))
    assert (intake.added, intake.retracted) == (1, 1)
    assert lake.read(SEEDS)["seed_id"].to_list() == [sum_id(2)]


def test_retracting_a_held_seed_touches_no_shard_and_lets_no_other_in(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(*range(20)))
    configuration = configure({"sample": 5})
    take_in(lake, configuration, "sums")
    before = files(lake)
    held = lake.read(SEEDS)["seed_id"][0]
    assert take_in(lake, configuration, "sums", retracted=frozenset([held])).added == 0
    assert files(lake) == before


# -- rows set aside ----------------------------------------------------------------------------------------------------


def test_rows_set_aside_are_in_a_table_with_file_row_and_reason(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows([*sums(1), "{broken", {"question": "", "answer": "x"}])
    intake = take_in(lake, configure(max_rejected_share=1), "sums")
    assert intake.reasons == {"broken_json": 1, "empty_question": 1}
    rejects = lake.read(REJECTS)
    assert rejects.select("source", "origin_file", "origin_row", "reason").rows() == [
        ("sums", "sums.jsonl", 1, "broken_json"),
        ("sums", "sums.jsonl", 2, "empty_question"),
    ]


def test_the_rejects_are_those_of_the_last_reading(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows([*sums(1), "{broken"])
    take_in(lake, configure(max_rejected_share=1), "sums")
    write_rows(sums(1))
    take_in(lake, configure(), "sums")
    assert lake.read(REJECTS).is_empty()


def test_too_many_rows_set_aside_fail_the_reading_and_are_still_listed(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows([*sums(*range(8)), "{broken", "{broken"])
    with pytest.raises(
        SeedsError, match=r"2 of 10 rows .* max_rejected_share 0\.1 .*2 broken_json.*sums\.jsonl, row 8"
    ):
        take_in(lake, configure(max_rejected_share=0.1), "sums")
    assert lake.read(SEEDS).is_empty()
    assert lake.read(REJECTS).height == 2


def test_rows_that_the_configuration_sets_aside_are_no_fault(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    turn = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hi."}]
    write_rows([{"conversations": turn}, {"conversations": turn * 2}])
    source = {"conversations": True, "multi_turn": "set_aside", "domain": "general"}
    assert take_in(lake, configure(source, max_rejected_share=0), "sums").reasons == {"multi_turn": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "none of its 0 rows can be used .it is empty."),
        ([{"question": "", "answer": "x"}], "none of its 1 rows can be used .1 empty_question.*sums.jsonl, row 0"),
        (["oops", "oops"], "none of its 2 rows can be used .2 broken_json"),
    ],
)
def test_a_source_without_a_usable_row_fails(
    lake: Lake, configure: "Configure", write_rows: "WriteRows", rows: list[Any], message: str
) -> None:
    write_rows(rows)
    with pytest.raises(SeedsError, match=message):
        take_in(lake, configure(max_rejected_share=1), "sums")


def test_an_unknown_field_name_lists_the_fields_there_are(
    lake: Lake, configure: "Configure", write_rows: "WriteRows"
) -> None:
    write_rows(sums(1, 2))
    with pytest.raises(SeedsError, match="no row has a field 'questoin'; the rows have: answer, question"):
        take_in(lake, configure({"fields": {"question": "questoin", "answer": "answer"}}), "sums")


def test_an_unknown_field_name_is_told_before_a_long_source_is_read(configure: "Configure") -> None:
    def endless() -> Any:
        number = 0
        while True:
            yield Row("sums.jsonl", number, {"question": "q", "answer": "a"})
            number += 1

    source = configure({"fields": {"question": "questoin", "answer": "answer"}}).sources[0]
    with pytest.raises(SeedsError, match="no row has a field 'questoin'"):
        intake_module.sift(endless(), source, 100)


def test_only_so_many_rejects_are_held_and_all_are_counted(
    configure: "Configure", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "REJECTS_KEPT", 3)
    rows = [Row("sums.jsonl", number, {"question": "", "answer": "a"}) for number in range(10)]
    sifted = intake_module.sift(rows, configure().sources[0], 100)
    assert (len(sifted.rejects), sifted.reasons["empty_question"]) == (3, 10)


def test_every_reading_leaves_a_line_that_adds_up(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows([*sums(*range(9)), *sums(0), "{broken"])
    configuration = configure({"sample": 6}, max_rejected_share=1)
    take_in(lake, configuration, "sums", retracted=frozenset([sum_id(0)]))
    take_in(lake, configuration, "sums")
    parts = ("rejected", "repeated", "beyond_sample", "retracted", "held", "added")
    for line in lake.read(READINGS).to_dicts():
        assert sum(line[part] for part in parts) == line["rows"] == 11
    assert lake.read(READINGS)["reading"].to_list() == [1, 2]


def test_progress_is_noted_now_and_then(
    lake: Lake, configure: "Configure", write_rows: "WriteRows", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "PROGRESS_ROWS", 4)
    write_rows(sums(*range(9)))
    notes: list[str] = []
    take_in(lake, configure(), "sums", note=notes.append)
    assert notes == [f"sums: {count} rows read, {count} in the sample, 0 set aside" for count in (4, 8)]
