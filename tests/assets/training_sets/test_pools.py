"""tagcos and cot_collection: sets that are taken from a pool of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.framework.publication import NotPublished
from assets.seeds.configuration import load_seeds_configuration
from assets.training_sets.configuration import load_comparison_rules
from assets.training_sets.gradient_features import FEATURE_SETS
from assets.training_sets.makers import make_variant
from assets.training_sets.variants import TrainingSetError
from resources.configuration import ConfigurationError

NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ROWS = [  # in the form of the CoT Collection
    {
        "source": f"Tell me everything that you know about the number {name} and its friends.",
        "rationale": f"The number {name} is the place in the row.",
        "target": name,
    }
    for name in NAMES
]
TRAINING = pl.col("split") == "train"


@pytest.fixture
def collection(maker: Any, tmp_path: Path) -> Any:
    """Lets cot_collection take some rows, by a seeds configuration."""

    def use(rows: Sequence[dict[str, Any]], **form: Any) -> Any:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        source = {
            "name": "cot_rows",
            "files": ["rows.jsonl"],
            "domain": "general",
            "licence": "CC-BY-4.0",
            **(form or {"fields": {"question": "source", "answer": ["rationale", "target"]}}),
        }
        (tmp_path / "pool.yaml").write_text(yaml.safe_dump({"sources": [source]}), encoding="utf-8")
        maker.change_rules("cot_collection", pool=str(tmp_path / "pool.yaml"))
        return maker

    return use


# -- an external pool -----------------------------------------------------------------------------------------------


def test_a_sampled_set_trains_on_the_pool_and_has_the_held_out_splits_of_ori(collection: Any) -> None:
    maker = collection(ROWS)
    rows, original = maker.rows("cot_collection"), maker.rows("ori")
    assert rows["split"].to_list() == original["split"].to_list()
    assert rows.filter(~TRAINING).equals(original.filter(~TRAINING))
    trained = rows.filter(TRAINING)
    assert trained.select("source", "licence").unique().rows() == [("cot_rows", "CC-BY-4.0")]
    assert all("The number" in turns[1]["value"] for turns in trained["conversations"])


def test_the_pool_says_where_each_row_was_read(collection: Any) -> None:
    maker = collection(ROWS)
    pool = maker.make("cot_collection").manifest["made_with"]["pool"]
    lineage = pl.read_parquet(maker.tiny.lake.store.uri(f"{pool['folder']}/lineage.parquet"))
    assert sorted(lineage["origin_row"].to_list()) == list(range(10))
    assert set(maker.rows("cot_collection").filter(TRAINING)["id"]) <= set(lineage["seed_id"])


def test_the_same_rows_in_another_order_give_the_same_set(collection: Any) -> None:
    first = collection(ROWS).make("cot_collection")
    assert collection(ROWS[::-1]).make("cot_collection").id == first.id


def test_a_question_of_test_or_of_a_benchmark_never_comes_from_a_pool(collection: Any, tmp_path: Path) -> None:
    verbs = {"source": "Name the past tense of the verb to swim.", "rationale": "It is irregular.", "target": "swam"}
    maker = collection([*ROWS, verbs])
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"question": ROWS[0]["source"]}) + "\n")
    benchmark = Benchmark(name="numbers", path=str(tmp_path / "benchmark.jsonl"), question=("question",))
    maker.release_rules = ReleaseRules(benchmarks=(benchmark,))
    folder = maker.make("cot_collection").manifest["made_with"]["pool"]["folder"]
    manifest = json.loads(maker.tiny.lake.store.get(f"{folder}/manifest.json"))
    assert manifest["rows"] == 9
    assert manifest["left_out"] == {"near-duplicate of validation or test": 1, "contaminated by a benchmark": 1}


def test_a_conversation_with_a_question_of_test_never_comes_from_a_pool(collection: Any) -> None:
    asked = ["Name the past tense of the verb to swim.", "And of the verb to sing?", "And of the verb to go?"]
    conversations = [[row["source"]] for row in ROWS] + [asked]
    rows = [
        {"conversations": [{"from": who, "value": text} for text in texts for who in ("human", "gpt")]}
        for texts in conversations
    ]
    maker = collection(rows, conversations=True, multi_turn="all")
    folder = maker.make("cot_collection").manifest["made_with"]["pool"]["folder"]
    manifest = json.loads(maker.tiny.lake.store.get(f"{folder}/manifest.json"))
    assert (manifest["rows"], manifest["left_out"]) == (10, {"near-duplicate of validation or test": 3})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:5], r"has 5 rows, and 5 are to be selected.*cot_collection\.pool"),
        (
            [*ROWS[:8], *[{"source": "", "rationale": "r", "target": "t"}] * 2],
            r"2 of 10 rows of source 'cot_rows' cannot be used \(2 empty_question\)",
        ),
    ],
)
def test_a_pool_that_is_too_small_or_has_bad_rows_is_refused(
    collection: Any, rows: Sequence[dict[str, str]], message: str
) -> None:
    with pytest.raises(TrainingSetError, match=message):
        collection(rows).make("cot_collection")


def test_a_pool_whose_file_is_missing_is_named(maker: Any, tmp_path: Path) -> None:
    maker.change_rules("cot_collection", pool=str(tmp_path / "nothing.yaml"))
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml"):
        maker.make("cot_collection")


# -- TAGCOS ---------------------------------------------------------------------------------------------------------


def test_a_coreset_is_selected_from_the_training_seeds_including_rejected_ones(maker: Any) -> None:
    assert maker.make("tagcos").manifest["made_with"]["pool"]["rows"] == 6
    rows = maker.rows("tagcos")
    assert rows["split"].to_list() == maker.rows("ori")["split"].to_list()
    assert rows.filter(TRAINING)["scenario"].unique().to_list() == ["tagcos"]


@pytest.fixture
def two_sources(maker: Any, tmp_path: Path) -> Any:
    """Lets tagcos select from a pool with these numbers of rows of two sources, of which the release has both."""
    for name in ("loop", "capital"):
        maker.tiny.change(name, source="words", partner=None)

    def use(sums: int, words: int, **rules: Any) -> Any:
        sources = []
        for name, size in (("sums", sums), ("words", words)):
            rows = [{"q": f"Say in {name} what {row['target']} is.", "a": row["rationale"]} for row in ROWS[:size]]
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            fields = {"question": "q", "answer": "a"}
            source = {"name": name, "files": [f"{name}.jsonl"], "fields": fields, "domain": "general", "licence": "MIT"}
            sources.append({**source, "sample": 3})
        (tmp_path / "pool.yaml").write_text(yaml.safe_dump({"sources": sources}))
        maker.change_rules("tagcos", pool=str(tmp_path / "pool.yaml"), **rules)
        return maker

    return use


@pytest.mark.parametrize(("rules", "pool"), [({}, 6), ({"whole_sources": True}, 14)], ids=["sampled", "whole"])
def test_a_coreset_has_of_each_source_of_the_pool_as_many_rows_as_the_release_trains_on(
    two_sources: Any, rules: dict[str, bool], pool: int
) -> None:
    maker = two_sources(4, 10, **rules)
    made_with = maker.make("tagcos").manifest["made_with"]
    assert (made_with["pool"]["rows"], made_with["rows_by_source"]) == (pool, {"sums": 3, "words": 2})
    trained = maker.rows("tagcos").filter(TRAINING)
    assert dict(trained["source"].value_counts().iter_rows()) == {"sums": 3, "words": 2}


def test_the_papers_pool_is_its_datasets_as_a_whole() -> None:
    rules = load_comparison_rules("paper").tagcos
    assert rules.whole_sources
    assert load_seeds_configuration(rules.pool or "").sources == load_seeds_configuration("paper").sources


def test_a_pool_with_too_few_rows_of_a_source_launches_no_job(two_sources: Any) -> None:
    maker = two_sources(10, 1, whole_sources=True)
    with pytest.raises(TrainingSetError, match=r"has 1 rows of source 'words', and 2 are to be selected.*tagcos\.pool"):
        maker.make("tagcos")
    assert maker.jobs == []


def test_every_folder_of_the_variant_has_a_manifest_as_the_sweep_of_unfinished_ones_expects(maker: Any) -> None:
    maker.make("tagcos")
    folders = [path for path in Path(maker.tiny.lake.store.uri("training_sets/tagcos")).iterdir() if path.is_dir()]
    assert len(folders) == 3
    assert all((folder / "manifest.json").is_file() for folder in folders)


def test_one_job_gets_the_pools_files_and_the_model_and_its_features_are_the_latest(maker: Any) -> None:
    maker.make("tagcos")
    maker.make("tagcos")
    (job,) = maker.jobs
    (file,) = job.specification["data"]["files"]
    assert maker.tiny.lake.store.exists(file["path"])
    assert job.specification["model"]["model"] == "embedded"
    assert FEATURE_SETS.latest(maker.tiny.lake).folder == job.folder


def test_without_features_the_set_is_refused_and_no_job_is_launched(maker: Any) -> None:
    with pytest.raises(NotPublished, match=r"no complete set of gradient features in .*materialise gradient_features"):
        make_variant(maker.context, "tagcos")
    assert maker.jobs == []


def test_a_pool_that_is_too_small_without_its_retracted_seeds_launches_no_job(maker: Any) -> None:
    maker.retracted = frozenset({maker.tiny.dialogues["moon"].seed_id})
    with pytest.raises(TrainingSetError, match=r"has 5 rows, and 5 are to be selected.*left out of it: 1 retracted"):
        maker.make("tagcos")
    assert maker.jobs == []


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda rows: np.ones((rows - 1, 8)), "should have 6 rows × 8 dimensions"),
        (lambda rows: np.ones((rows, 4)), "should have 6 rows × 8 dimensions"),
        (lambda rows: np.full((rows, 8), np.nan), "row 0 are not finite"),
    ],
)
def test_features_that_do_not_fit_the_pool_are_refused(maker: Any, features: Any, message: str) -> None:
    maker.features = features
    with pytest.raises(TrainingSetError, match=message):
        maker.make("tagcos")


def test_features_whose_file_is_missing_are_named(maker: Any) -> None:
    maker.make("tagcos")
    maker.tiny.lake.store.delete(f"{maker.jobs[0].folder}/features.npy")
    maker.change_rules("tagcos", clusters=1)
    with pytest.raises(TrainingSetError, match="has no gradient features"):
        maker.make("tagcos")
