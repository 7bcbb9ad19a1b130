import json
from pathlib import Path

import polars as pl
import pytest

from assets.boost_qa.release import RELEASES
from assets.framework.publication import NotPublished
from assets.training_sets.variants import (
    TRAINING_SETS,
    TrainingSet,
    TrainingSetError,
    make_boost_qa,
    make_ori,
)
from tests.tiny_lake import TinyLake


def rows(tiny_lake: TinyLake, made: TrainingSet) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(tiny_lake.lake.store.uri(path)) for path in made.files("data/")])


def test_boost_qa_points_at_the_release_and_copies_nothing(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    made = make_boost_qa(tiny_lake.lake, release)
    assert made.files("data/") == release.files("data/")
    assert [file.path for file in tiny_lake.lake.store.list(made.folder)] == [f"{made.folder}/manifest.json"]


def test_ori_has_the_same_seeds_in_the_same_splits_and_order(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    lake = tiny_lake.lake
    columns = ["seed_id", "split"]
    original = rows(tiny_lake, make_ori(lake, release)).select(columns)
    assert original.equals(rows(tiny_lake, make_boost_qa(lake, release)).select(columns))


def test_ori_rows_are_the_seeds_own_questions_and_answers(tiny_lake: TinyLake) -> None:
    tiny_lake.change("paint", system="Be brief.")
    made = make_ori(tiny_lake.lake, tiny_lake.release())
    paint = tiny_lake.taught["paint"]
    row = rows(tiny_lake, made).row(by_predicate=pl.col("seed_id") == paint.seed_id, named=True)
    assert [turn["value"] for turn in row["conversations"]] == [paint.question, paint.answer]
    assert (row["system"], row["scenario"], row["quality_score"]) == ("Be brief.", "original", None)


def test_ori_is_one_form_with_boost_qa(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    assert rows(tiny_lake, make_ori(tiny_lake.lake, release)).schema == (
        rows(tiny_lake, make_boost_qa(tiny_lake.lake, release)).schema
    )


def test_ori_is_described_for_llama_factory(tiny_lake: TinyLake) -> None:
    made = make_ori(tiny_lake.lake, tiny_lake.release())
    folder = Path(tiny_lake.lake.store.uri(made.folder))
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert all((folder / entry["file_name"]).is_file() for entry in info.values())


def test_the_same_release_gives_the_same_set_and_writes_nothing(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    first = [make_boost_qa(tiny_lake.lake, release), make_ori(tiny_lake.lake, release)]
    before = tiny_lake.lake.store.list("training_sets")
    assert [make_boost_qa(tiny_lake.lake, release), make_ori(tiny_lake.lake, release)] == first
    assert tiny_lake.lake.store.list("training_sets") == before


def test_a_new_release_gives_new_sets_and_the_old_ones_stay(tiny_lake: TinyLake) -> None:
    first = make_ori(tiny_lake.lake, tiny_lake.release())
    tiny_lake.change("moon", accepted=True)
    second = make_ori(tiny_lake.lake, tiny_lake.release())
    assert TRAINING_SETS.latest(tiny_lake.lake, "ori") == second
    assert second.id != first.id
    assert tiny_lake.lake.store.exists(f"{first.folder}/manifest.json")


def test_a_seed_that_is_not_there_is_named(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    lost = tiny_lake.taught["paint"].seed_id
    tiny_lake.forget("paint")
    with pytest.raises(TrainingSetError, match=f"seed {lost} of the release is not in raw_seeds"):
        make_ori(tiny_lake.lake, RELEASES.latest(tiny_lake.lake))


def test_a_variant_that_was_not_made_is_told_how_to_make(tiny_lake: TinyLake) -> None:
    with pytest.raises(NotPublished, match=r"ori yet.*materialise training_sets, partition 'ori'"):
        TRAINING_SETS.latest(tiny_lake.lake, "ori")


def test_on_s3_the_sets_are_the_same(tiny_lake: TinyLake, tiny_s3_lake: TinyLake) -> None:
    made = make_ori(tiny_s3_lake.lake, tiny_s3_lake.release())
    assert made.id == make_ori(tiny_lake.lake, tiny_lake.release()).id
