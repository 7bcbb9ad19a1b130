"""tagcos and cot_collection: sets that are taken from a pool of their own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.training_sets.variants import TrainingSetError
from resources.configuration import ConfigurationError

HELD_OUT = "How many moons does the planet Jupiter have, roughly speaking, as far as is known?"
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def pool(folder: Path, rows: list[dict[str, str]], **settings: Any) -> str:
    """A seeds configuration over these rows; its path."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = {
        "name": "cot_rows",
        "files": ["rows.jsonl"],
        "fields": {"question": "source", "answer": ["rationale", "target"]},
        "domain": "general",
        "licence": "CC-BY-4.0",
    }
    (folder / "pool.yaml").write_text(yaml.safe_dump({"sources": [source], **settings}), encoding="utf-8")
    return str(folder / "pool.yaml")


def reasoned(count: int) -> list[dict[str, str]]:
    """Rows in the form of the CoT Collection."""
    return [
        {
            "source": f"Tell me everything that you know about the number {name} and its friends.",
            "rationale": f"The number {name} is the place in the row.",
            "target": name,
        }
        for name in NAMES[:count]
    ]


@pytest.fixture
def external(studio: Any, tmp_path: Path) -> Any:
    """Lets cot_collection take these rows."""

    def use(rows: list[dict[str, str]], **settings: Any) -> Any:
        rules = studio.rules.cot_collection.model_copy(update={"pool": pool(tmp_path, rows, **settings)})
        studio.rules = studio.rules.model_copy(update={"cot_collection": rules})
        return studio

    return use


# -- an external pool -----------------------------------------------------------------------------------------------


def test_a_sampled_set_has_the_releases_size_and_its_held_out_splits(external: Any) -> None:
    studio = external(reasoned(10))
    rows, original = studio.rows("cot_collection"), studio.rows("ori")
    assert rows["split"].to_list() == original["split"].to_list()
    held_out = pl.col("split") != "train"
    assert rows.filter(held_out).equals(original.filter(held_out))


def test_its_training_rows_are_the_pools(external: Any) -> None:
    rows = external(reasoned(10)).rows("cot_collection").filter(pl.col("split") == "train")
    assert rows["source"].unique().to_list() == ["cot_rows"]
    assert rows["licence"].unique().to_list() == ["CC-BY-4.0"]
    assert all("The number" in turns[1]["value"] for turns in rows["conversations"])


def test_the_pool_tells_where_each_row_was_read(external: Any) -> None:
    studio = external(reasoned(10))
    made = studio.make("cot_collection")
    folder = Path(studio.tiny.lake.store.uri(made.manifest["made_with"]["pool"]["folder"]))
    lineage = pl.read_parquet(folder / "lineage.parquet")
    assert sorted(lineage["origin_row"].to_list()) == list(range(10))
    assert set(studio.rows("cot_collection").filter(pl.col("split") == "train")["id"]) <= set(lineage["seed_id"])


def test_a_bigger_pool_of_the_same_rows_in_another_order_gives_the_same_set(external: Any) -> None:
    first = external(reasoned(10)).make("cot_collection")
    assert external(reasoned(10)[::-1]).make("cot_collection").id == first.id


def test_a_pool_that_is_no_larger_than_the_budget_is_refused(external: Any) -> None:
    with pytest.raises(TrainingSetError, match=r"has 5 rows, and 5 are to be chosen.*cot_collection\.pool"):
        external(reasoned(5)).make("cot_collection")


def test_a_question_of_test_never_comes_from_a_pool(external: Any) -> None:
    verbs = {"source": "Name the past tense of the verb to swim.", "rationale": "It is irregular.", "target": "swam"}
    studio = external([*reasoned(9), verbs])
    made = studio.make("cot_collection")
    folder = made.manifest["made_with"]["pool"]["folder"]
    told = json.loads(studio.tiny.lake.store.get(f"{folder}/manifest.json"))
    assert (told["rows"], told["left_out"]) == (9, {"near-duplicate of validation or test": 1})


def test_a_benchmarks_question_never_comes_from_a_pool(external: Any, tmp_path: Path) -> None:
    studio = external(reasoned(10))
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"question": reasoned(1)[0]["source"]}) + "\n")
    benchmark = Benchmark(name="numbers", path=str(tmp_path / "benchmark.jsonl"), question=("question",))
    studio.release_rules = ReleaseRules(benchmarks=(benchmark,))
    assert studio.make("cot_collection").manifest["made_with"]["pool"]["rows"] == 9


def test_rows_that_cannot_be_used_are_named(external: Any) -> None:
    with pytest.raises(
        TrainingSetError, match=r"2 of 10 rows of source 'cot_rows' cannot be used \(2 empty_question\)"
    ):
        external([*reasoned(8), *[{"source": "", "rationale": "r", "target": "t"}] * 2]).make("cot_collection")


def test_a_pool_that_is_not_there_is_named(studio: Any, tmp_path: Path) -> None:
    rules = studio.rules.cot_collection.model_copy(update={"pool": str(tmp_path / "nothing.yaml")})
    studio.rules = studio.rules.model_copy(update={"cot_collection": rules})
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml"):
        studio.make("cot_collection")


# -- TAGCOS ---------------------------------------------------------------------------------------------------------


def test_a_coreset_is_chosen_of_the_training_seeds_rejected_ones_included(studio: Any) -> None:
    made = studio.make("tagcos")
    assert made.manifest["made_with"]["pool"]["rows"] == 6
    rows = studio.rows("tagcos")
    assert rows["split"].to_list() == studio.rows("ori")["split"].to_list()
    assert rows.filter(pl.col("split") == "train")["scenario"].unique().to_list() == ["tagcos"]


def test_every_folder_of_the_variant_has_a_manifest_as_the_sweep_of_unfinished_ones_expects(studio: Any) -> None:
    studio.make("tagcos")
    folders = [path for path in Path(studio.tiny.lake.store.uri("training_sets/tagcos")).iterdir() if path.is_dir()]
    assert len(folders) == 3
    assert all((folder / "manifest.json").is_file() for folder in folders)


def test_gradients_are_computed_once(studio: Any) -> None:
    studio.make("tagcos")
    studio.make("tagcos")
    assert len(studio.compute.asked) == 1


def test_the_program_is_told_the_pools_files_and_the_model(studio: Any) -> None:
    studio.make("tagcos")
    told = studio.compute.asked[0].specification
    (file,) = told["data"]["files"]
    assert studio.tiny.lake.store.exists(file["path"])
    assert told["model"]["model"] == "embedded"


def test_retracted_seeds_are_in_no_pool(studio: Any) -> None:
    studio.retracted = frozenset({studio.seed_id("moon")})
    with pytest.raises(TrainingSetError, match=r"has 5 rows, and 5 are to be chosen.*left out of it: 1 retracted"):
        studio.make("tagcos")


@pytest.mark.parametrize(
    ("features", "fault"),
    [
        (lambda rows: np.ones((rows - 1, 8)), "should hold 6 rows × 8 dimensions"),
        (lambda rows: np.ones((rows, 4)), "should hold 6 rows × 8 dimensions"),
        (lambda rows: np.full((rows, 8), np.nan), "row 0 are not finite"),
    ],
)
def test_features_that_do_not_fit_the_pool_are_refused(studio: Any, features: Any, fault: str) -> None:
    studio.compute.features = features
    with pytest.raises(TrainingSetError, match=fault):
        studio.make("tagcos")


def test_features_that_were_lost_are_named(studio: Any) -> None:
    studio.make("tagcos")
    folder = studio.compute.asked[0].folder
    studio.tiny.lake.store.delete(f"{folder}/features.npy")
    studio.rules = studio.rules.model_copy(update={"tagcos": studio.rules.tagcos.model_copy(update={"clusters": 1})})
    with pytest.raises(TrainingSetError, match="does not hold gradient features"):
        studio.make("tagcos")


def test_on_s3_the_coreset_is_the_same(studio: Any, tiny_s3_lake: Any) -> None:
    first = studio.make("tagcos").id
    studio.tiny, studio.release = tiny_s3_lake, None
    studio.compute.lake = tiny_s3_lake.lake
    assert studio.make("tagcos").id == first
