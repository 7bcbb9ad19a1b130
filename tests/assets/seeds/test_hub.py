from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import polars as pl
import pytest

from assets.seeds.hub import hub_rows
from assets.seeds.rows import SeedsError

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

ROWS = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(5)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def questions(configuration: Any) -> list[dict[str, Any]]:
    source = configuration.sources[0]
    return [row.values for row in hub_rows(source.hub, source.wanted_fields, configuration.folder)]


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train", ROWS),
        ("train[:2]", ROWS[:2]),
        ("train[3:]", ROWS[3:]),
        ("train[1:3]", ROWS[1:3]),
        ("train[:40%]", ROWS[:2]),
        ("train[-1:]", ROWS[-1:]),
        ("train[:1]+train[4:]", [ROWS[0], ROWS[4]]),
    ],
)
@pytest.mark.parametrize("form", ["files", "saved", "saved splits"])
def test_a_folder_of_a_dataset_is_read_with_a_part_of_a_split(
    tmp_path: Path, configure: "Configure", form: str, split: str, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path / "dataset"
    table = datasets.Dataset.from_list([row | {"other": 1} for row in ROWS])
    if form == "files":
        folder.mkdir()
        pl.DataFrame([row | {"other": 1} for row in ROWS]).write_parquet(folder / "train-00000.parquet")
    elif form == "saved":
        table.save_to_disk(folder)
    else:
        datasets.DatasetDict({"train": table, "test": table}).save_to_disk(folder)
    assert questions(configure({"hub": {"id": "./dataset", "split": split}})) == rows


def test_a_split_that_a_saved_dataset_does_not_have_is_named(tmp_path: Path, configure: "Configure") -> None:
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "dataset")
    with pytest.raises(SeedsError, match=r'Unknown split "dev".*train.*check the folder .*dataset and the split'):
        questions(configure({"hub": {"id": "./dataset", "split": "dev"}}))


def test_a_folder_that_cannot_be_read_is_named_with_what_to_do(configure: "Configure") -> None:
    with pytest.raises(SeedsError, match=r"'\./nowhere' .*check the folder .*nowhere and the split, or list its files"):
        questions(configure({"hub": {"id": "./nowhere"}}))
