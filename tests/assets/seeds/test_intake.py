"""Reading a source: what becomes a seed, what is rejected, and that written shards never change."""

import json
import tempfile
from collections.abc import Iterator, Sequence
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
from assets.seeds.intake import sample_rows, take_in
from assets.seeds.rows import SeedsError, SourceRow
from assets.seeds.sampling import seed_id
from assets.seeds.schema import READINGS, REJECTS, SEEDS
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure, Intakes, WriteRows

WRONG_FIELD = {"fields": {"question": "questoin", "answer": "answer"}}


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


def test_the_first_rows_alone_can_be_read(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    write_rows([*sums(4, 5, 6), {"no": "seed"}])
    intake = take_in(lake, configure(), "sums", most_rows=2)
    assert (intake.rows, intake.added, intake.rejected) == (2, 2, 0)


def test_a_row_becomes_a_seed_with_its_origin(lake: Lake, read_in: "Intakes") -> None:
    read_in(sums(4, 5))
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
        "tests": None,
        "representative": sum_id(5),
        "licence": "CC0-1.0",
        "origin_file": "sums.jsonl",
        "origin_row": 1,
    }


def test_seeds_are_cut_into_shards_in_the_order_of_their_ids(lake: Lake, read_in: "Intakes") -> None:
    assert read_in(sums(*range(7)), shard_size=3).new_shards == ["sums-0000", "sums-0001", "sums-0002"]
    seeds = lake.read(SEEDS)
    assert seeds["seed_id"].to_list() == sorted(sum_id(number) for number in range(7))
    assert seeds["shard"].value_counts(sort=True)["count"].to_list() == [3, 3, 1]


def test_repeated_rows_are_one_seed(read_in: "Intakes") -> None:
    intake = read_in([*sums(1, 2), *sums(1, 1)])
    assert (intake.rows, intake.added, intake.repeated) == (4, 2, 2)


def test_source_and_lake_can_be_on_s3(configure: "Configure", s3_client: Any) -> None:
    body = "".join(json.dumps(row) + "\n" for row in sums(1, 2, 3))
    s3_client.put_object(Bucket="seeds", Key="given/sums.jsonl", Body=body.encode())
    lake = Lake.at("s3://seeds/lake")
    configuration = configure({"files": ["s3://seeds/given/*.jsonl"]}, shard_size=2)
    assert take_in(lake, configuration, "sums").new_shards == ["sums-0000", "sums-0001"]
    assert take_in(lake, configuration, "sums").new_shards == []


# -- growth ------------------------------------------------------------------------------------------------------------


def test_reading_unchanged_rows_again_adds_nothing(lake: Lake, read_in: "Intakes") -> None:
    read_in(sums(1, 2, 3))
    before = files(lake)
    intake = read_in()
    assert (intake.added, intake.held, intake.new_shards) == (0, 3, [])
    assert files(lake) == before


def test_new_rows_become_a_new_shard_even_if_the_last_is_not_full(lake: Lake, read_in: "Intakes") -> None:
    read_in(sums(1, 2))
    assert read_in(sums(3, 1, 2)).new_shards == ["sums-0001"]
    newest = lake.read(SEEDS, [{"source": "sums", "shard": "sums-0001"}])
    assert newest.select("seed_id", "reading").rows() == [(sum_id(3), 2)]
    assert read_in(sums(1, 2, 3, 4, 5), shard_size=1).new_shards == ["sums-0002", "sums-0003"]


@pytest.mark.parametrize("readings", [1, 2], ids=["in one reading", "in a later reading"])
def test_the_same_question_with_another_answer_is_a_new_seed_of_the_same_group(
    lake: Lake, read_in: "Intakes", readings: int
) -> None:
    rows = [*sums(1), sums(1)[0] | {"answer": "Two. The answer is 2."}]
    for reading in range(readings):
        intake = read_in(rows[: len(rows) - readings + 1 + reading])
    assert intake.duplicates == 1
    seeds = lake.read(SEEDS)
    assert set(seeds["answer"]) == {row["answer"] for row in rows}
    assert seeds["representative"].n_unique() == 1
    if readings == 2:
        assert set(seeds["representative"]) == {sum_id(1)}


def test_a_bigger_sample_adds_to_the_smaller_one(read_in: "Intakes") -> None:
    read_in(sums(*range(30)), {"sample": 5})
    intake = read_in(None, {"sample": 12})
    assert (intake.held, intake.added, intake.beyond_sample) == (5, 7, 18)


UPSTREAM = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=20), min_size=1, max_size=5)


@settings(max_examples=15)
@given(UPSTREAM, st.integers(1, 6), st.one_of(st.none(), st.integers(1, 8)))
def test_written_shards_never_change_whatever_changes_upstream(
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
    """Simulates SIGKILL: no code handles it."""


def kill_at_shard(monkeypatch: pytest.MonkeyPatch, lake: Lake, number: int, *, indexed: bool) -> None:
    """End the reading when it has written this shard, before or after the shard is in the index."""
    mark = lake._put_marker

    def put_marker(table: Any, record: PartitionRecord, *older: Any) -> None:
        killed = record.keys.get("shard") == f"sums-{number:04d}"
        if indexed or not killed:
            mark(table, record, *older)
        if killed:
            raise Killed

    monkeypatch.setattr(lake, "_put_marker", put_marker)


@pytest.mark.parametrize("indexed", [True, False])
def test_the_next_reading_completes_a_killed_one(
    lake: Lake, read_in: "Intakes", monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_at_shard(patched, lake, 1, indexed=indexed)
        read_in(sums(*range(8)), shard_size=2)
    intake = read_in(shard_size=2)
    assert (intake.held, intake.new_shards) == (4, ["sums-0002", "sums-0003"])
    assert lake.read(SEEDS)["seed_id"].to_list() == sorted(sum_id(number) for number in range(8))


def test_a_shard_that_another_run_has_just_written_is_not_replaced(
    lake: Lake, read_in: "Intakes", monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any, **options: Any) -> dict[str, str]:
        monkeypatch.undo()
        read_in(sums(7))  # the other run
        return group_near_duplicates(*arguments, **options)

    monkeypatch.setattr(intake_module, "group_near_duplicates", slowly)
    with pytest.raises(SeedsError, match="another run wrote shard sums-0000 meanwhile; run this one again"):
        read_in(sums(1, 2))
    assert lake.read(SEEDS)["seed_id"].to_list() == [sum_id(7)]


# -- retracted seeds and rejected rows ---------------------------------------------------------------------------------


def test_a_retracted_seed_is_not_added(lake: Lake, read_in: "Intakes") -> None:
    intake = read_in(sums(1, 2), retracted=[sum_id(1)])
    assert (intake.added, intake.retracted) == (1, 1)
    assert lake.read(SEEDS)["seed_id"].to_list() == [sum_id(2)]


def test_retracting_a_known_seed_changes_no_shard_and_adds_no_other_seed(lake: Lake, read_in: "Intakes") -> None:
    read_in(sums(*range(20)), {"sample": 5})
    before = files(lake)
    assert read_in(None, {"sample": 5}, retracted=[lake.read(SEEDS)["seed_id"][0]]).added == 0
    assert files(lake) == before


def test_rejected_rows_of_the_last_reading_are_in_a_table(lake: Lake, read_in: "Intakes") -> None:
    intake = read_in([*sums(1), "{broken", {"question": "", "answer": "x"}], max_rejected_share=1)
    assert intake.reasons == {"broken_json": 1, "empty_question": 1}
    assert lake.read(REJECTS).select("source", "origin_file", "origin_row", "reason").rows() == [
        ("sums", "sums.jsonl", 1, "broken_json"),
        ("sums", "sums.jsonl", 2, "empty_question"),
    ]
    read_in(sums(1))
    assert lake.read(REJECTS).is_empty()


def test_too_many_rejected_rows_fail_the_reading_and_are_in_the_table(lake: Lake, read_in: "Intakes") -> None:
    with pytest.raises(
        SeedsError, match=r"2 of 10 rows .* max_rejected_share 0\.1 .*2 broken_json.*sums\.jsonl, row 8"
    ):
        read_in([*sums(*range(8)), "{broken", "{broken"], max_rejected_share=0.1)
    assert lake.records(SEEDS) == []
    assert lake.read(REJECTS).height == 2


def test_rows_rejected_by_choice_do_not_count_as_unusable(read_in: "Intakes") -> None:
    turn = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hi."}]
    source = {"conversations": True, "multi_turn": "set_aside", "domain": "general"}
    intake = read_in([{"conversations": turn}, {"conversations": turn * 2}], source, max_rejected_share=0)
    assert intake.reasons == {"multi_turn": 1}


@pytest.mark.parametrize(
    ("rows", "source", "message"),
    [
        ([], {}, "none of its 0 rows can be used .it is empty."),
        ([{"question": "", "answer": "x"}], {}, "none of its 1 rows can be used .1 empty_question.*sums.jsonl, row 0"),
        (["oops", "oops"], {}, "none of its 2 rows can be used .2 broken_json"),
        (sums(1, 2), WRONG_FIELD, "no row has a field 'questoin'; the rows have: answer, question"),
    ],
)
def test_a_source_without_a_usable_row_fails(
    read_in: "Intakes", rows: list[Any], source: dict[str, Any], message: str
) -> None:
    with pytest.raises(SeedsError, match=message):
        read_in(rows, source, max_rejected_share=1)


def test_a_wrong_field_name_is_reported_before_a_long_source_is_read(configure: "Configure") -> None:
    def endless() -> Iterator[SourceRow]:
        while True:
            yield SourceRow("sums.jsonl", 0, {"question": "q", "answer": "a"})

    with pytest.raises(SeedsError, match="no row has a field 'questoin'"):
        sample_rows(endless(), configure(WRONG_FIELD).sources[0], 100)


def test_rejected_rows_in_memory_are_bounded_and_progress_is_reported(configure: "Configure") -> None:
    rows = [SourceRow("sums.jsonl", number, {"question": "", "answer": "a"}) for number in range(9)]
    lines: list[str] = []
    sampled = sample_rows(rows, configure().sources[0], 100, lines.append, most_rejects=3, progress_rows=4)
    assert (len(sampled.rejects), sampled.reasons["empty_question"]) == (3, 9)
    assert lines == [f"sums: {count} rows read, 0 in the sample, {count} rejected" for count in (4, 8)]


def test_the_counts_of_every_reading_add_up(lake: Lake, read_in: "Intakes") -> None:
    read_in([*sums(*range(9)), *sums(0), "{broken"], {"sample": 6}, retracted=[sum_id(0)], max_rejected_share=1)
    read_in(None, {"sample": 6}, max_rejected_share=1)
    parts = ("rejected", "repeated", "beyond_sample", "retracted", "held", "added")
    for line in lake.read(READINGS).to_dicts():
        assert sum(line[part] for part in parts) == line["rows"] == 11
    assert lake.read(READINGS)["reading"].to_list() == [1, 2]


# -- conversations -----------------------------------------------------------------------------------------------------

CHATS = {"conversations": True, "multi_turn": "all", "domain": "general"}


def chat(subject: str, turns: int) -> dict[str, Any]:
    """A conversation about a subject, with as many questions."""
    questions = [f"What is thing number {number} that people say of the {subject}?" for number in range(turns)]
    answers = [f"They say that the {subject} is {number}." for number in range(turns)]
    pairs = zip(questions, answers, strict=True)
    return {
        "conversations": [
            {"from": who, "value": text} for pair in pairs for who, text in zip(("human", "gpt"), pair, strict=True)
        ]
    }


def assert_one_group_each(lake: Lake) -> None:
    """The seeds about one subject have one representative, those about different ones have different ones."""
    groups = {
        (question.rpartition(" ")[2], representative)
        for question, representative in lake.read(SEEDS).select("question", "representative").iter_rows()
    }
    assert sorted(subject for subject, _ in groups) == ["bridge?", "hill?", "river?"]
    assert len({representative for _, representative in groups}) == 3


def test_all_questions_of_a_conversation_are_seeds_of_one_group(lake: Lake, read_in: "Intakes") -> None:
    intake = read_in([chat("bridge", 4), chat("river", 3), chat("hill", 1)], CHATS)
    assert (intake.rows, intake.added) == (8, 8)
    assert_one_group_each(lake)


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ({"multi_turn": "first"}, [chat("bridge", 4), chat("river", 3)]),
        ({"sample": 2}, [chat("river", 3), chat("bridge", 4)]),
        ({}, [chat("bridge", 2), chat("river", 1)]),
    ],
    ids=["the first question before", "a smaller sample before", "shorter conversations before"],
)
def test_later_seeds_of_a_conversation_join_its_group(
    lake: Lake, read_in: "Intakes", source: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    before = read_in(rows, CHATS | source)
    after = read_in([chat("hill", 2), chat("bridge", 4), chat("river", 3)], CHATS)
    assert (after.held, after.added) == (before.added, 9 - before.added)
    assert_one_group_each(lake)


def test_the_end_of_a_long_conversation_does_not_fail_the_reading(lake: Lake, read_in: "Intakes") -> None:
    intake = read_in([chat("bridge", 40)], CHATS, max_rejected_share=0, max_characters=600)
    assert intake.reasons == {"long_conversation": 1}
    assert intake.added > 1
    assert intake.rows == intake.added + 1


# -- language ----------------------------------------------------------------------------------------------------------

GERMAN = {
    "question": "Anna hat drei rote Murmeln und findet noch vier weitere. Wie viele Murmeln hat sie jetzt insgesamt?",
    "answer": "Wir rechnen zuerst die alten und dann die neuen Murmeln zusammen. Die Antwort ist sieben.",
}
CHINESE = {"question": "小明有2个苹果，又得到3个苹果。现在一共有多少个苹果？", "answer": "一共有2 + 3 = 5个苹果。"}


@pytest.mark.parametrize(("row", "language"), [(GERMAN, "German"), (CHINESE, "Chinese")], ids=["German", "Chinese"])
def test_seeds_in_another_language_than_configured_fail_the_reading(
    lake: Lake, read_in: "Intakes", row: dict[str, str], language: str
) -> None:
    with pytest.raises(SeedsError, match=rf"1 of 1 seeds .* not in English, .* `language: {language}`"):
        read_in([row])
    assert files(lake) == {}
    assert read_in(None, {"language": language}).added == 1


def test_a_source_may_mix_languages_where_its_configuration_says_so(read_in: "Intakes") -> None:
    rows = [GERMAN, *sums(1, 2)]
    with pytest.raises(SeedsError, match=r"1 of 3 seeds .* `max_other_language_share: 1`"):
        read_in(rows)
    assert read_in(None, {"max_other_language_share": 1}).added == 3
    assert read_in(None, {"max_other_language_share": 0.4}).added == 0
