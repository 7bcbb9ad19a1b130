"""What those who never heard of Dagster do with a release."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from assets.boost_qa.release import Release
from tests.tiny_lake import TinyLake

FEATURES = ["id", "conversations", "system", "trains", "scenario", "source", "domain", "split", "seed_id"]
FEATURES += ["partner_seed_id", "licence", "quality_score"]


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The `datasets` library, offline and with a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return datasets


@pytest.fixture
def release(tiny_lake: TinyLake) -> Release:
    return tiny_lake.release()


@pytest.fixture
def folder(tiny_lake: TinyLake, release: Release) -> Path:
    return Path(tiny_lake.lake.store.uri(release.folder))


def test_datasets_loads_the_parquet_files(datasets: Any, folder: Path) -> None:
    loaded = datasets.load_dataset("parquet", data_files={"train": str(folder / "data/train-*.parquet")})
    assert loaded["train"].column_names == FEATURES
    assert loaded["train"].num_rows == 5
    turn = loaded["train"].features["conversations"].feature
    assert {name: value.dtype for name, value in turn.items()} == {"from": "string", "value": "string"}


def test_datasets_loads_the_json_lines(datasets: Any, folder: Path) -> None:
    loaded = datasets.load_dataset("json", data_files={"train": str(folder / "jsonl/train.jsonl")})
    assert loaded["train"][0]["conversations"][0]["from"] == "human"


def test_datasets_loads_the_folder_by_its_card(datasets: Any, folder: Path) -> None:
    loaded = datasets.load_dataset(str(folder))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 5, "validation": 1, "test": 1}


def test_a_release_with_train_alone_loads_too(datasets: Any, tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(split="train")
    folder = Path(tiny_lake.lake.store.uri(tiny_lake.release().folder))
    assert {split: rows.num_rows for split, rows in datasets.load_dataset(str(folder)).items()} == {"train": 7}
    assert not list(folder.glob("*/validation*"))


def test_polars_reads_it(folder: Path) -> None:
    frame = pl.read_parquet(folder / "data/*.parquet")
    assert frame.schema["conversations"] == pl.List(pl.Struct({"from": pl.String, "value": pl.String}))


def test_duckdb_reads_it(folder: Path) -> None:
    rows = duckdb.read_parquet(f"{folder}/data/*.parquet").filter("scenario = 'debate'")
    assert rows.project("conversations[1].value").fetchall()[0][0].startswith("Teacher: ")


def test_llama_factory_finds_files_columns_and_tags_that_fit(folder: Path) -> None:
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert set(info) == {"boost_qa", "boost_qa_validation", "boost_qa_test"}
    for entry in info.values():
        assert entry["formatting"] == "sharegpt"
        tags, columns = entry["tags"], entry["columns"]
        for line in (folder / entry["file_name"]).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            order = [turn[tags["role_tag"]] for turn in row[columns["messages"]]]
            assert order == [tags["user_tag"], tags["assistant_tag"]] * (len(order) // 2)
            assert all(turn[tags["content_tag"]].strip() for turn in row[columns["messages"]])
            assert isinstance(row[columns["system"]], str)


def test_the_cards_own_words_load_it_and_give_trl_its_messages(
    datasets: Any, tiny_lake: TinyLake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tiny_lake.lake.store.root)
    shown: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(block, shown)  # noqa: S102 - the snippets of our own template
    assert shown["messages"]["train"].column_names == ["messages"]
    roles = [turn["role"] for turn in shown["messages"]["train"][0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]


def test_a_system_prompt_comes_first_in_trls_messages(
    datasets: Any, tiny_lake: TinyLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_lake.change("verbs", system="Answer in one word.")
    card = Path(tiny_lake.lake.store.uri(f"{tiny_lake.release().folder}/README.md")).read_text(encoding="utf-8")
    monkeypatch.chdir(tiny_lake.lake.store.root)
    shown: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(block, shown)  # noqa: S102 - the snippets of our own template
    first = shown["messages"]["test"][0]["messages"][0]
    assert first == {"role": "system", "content": "Answer in one word."}
