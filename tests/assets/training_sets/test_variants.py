"""boost_qa, ori, the noisy sets and the ablations, on the tiny lake."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.framework.publication import NotPublished
from assets.training_sets.ablations import ablations
from assets.training_sets.augmented import AUGMENTERS
from assets.training_sets.variants import TRAINING_SETS, TrainingSetError
from tests.shipped_scenarios import SCENARIOS

ABLATIONS = ablations(SCENARIOS)
LINEAGE = ["seed_id", "source", "domain", "split", "licence", "system"]


def test_boost_qa_points_at_the_release_and_copies_nothing(maker: Any) -> None:
    made, store = maker.make("boost_qa"), maker.tiny.lake.store
    assert made.files("data/") == maker.release.files("data/")
    assert {file.path for file in store.list(made.folder)} == {
        f"{made.folder}/{n}" for n in ("manifest.json", "README.md")
    }
    assert f'load_dataset("{maker.release.folder}")' in store.get(f"{made.folder}/README.md").decode()


@pytest.mark.parametrize(
    ("variant", "about"),
    [
        ("ori", "each with its original answer instead of a dialogue."),
        ("random_aug", "with character noise."),
        ("me_db", "The dialogues of error correction, debate, and the original answers"),
    ],
)
def test_the_first_line_of_a_sets_card_loads_it(
    maker: Any, variant: str, about: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    made, store = maker.make(variant), maker.tiny.lake.store
    card = store.get(f"{made.folder}/README.md").decode()
    assert about in " ".join(card.split())
    assert card.index(f'load_dataset("{made.folder}")') < card.index("data_files=")
    monkeypatch.chdir(store.root)
    loaded = datasets.load_dataset(made.folder)
    assert {split: rows.num_rows for split, rows in loaded.items()} == made.manifest["rows"]


@pytest.mark.parametrize("variant", ["ori", *AUGMENTERS, *ABLATIONS])
def test_every_variant_has_the_releases_seeds_in_its_splits_order_and_form(maker: Any, variant: str) -> None:
    maker.tiny.change("paint", system="Be brief.")
    made, released = maker.rows(variant), maker.rows("boost_qa")
    assert made.select(LINEAGE).equals(released.select(LINEAGE))
    assert "Be brief." in made["system"]
    assert made.schema == released.schema


def test_ori_rows_are_the_seeds_own_questions_and_answers(maker: Any) -> None:
    maker.tiny.change("paint", system="Be brief.")
    row, paint = maker.row("ori", "paint"), maker.tiny.dialogues["paint"]
    assert [turn["value"] for turn in row["conversations"]] == [paint.question, paint.answer]
    assert (row["system"], row["scenario"], row["quality_score"]) == ("Be brief.", "original", None)


def test_ori_is_described_for_llama_factory(maker: Any) -> None:
    folder = Path(maker.tiny.lake.store.uri(maker.make("ori").folder))
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert all((folder / entry["file_name"]).is_file() for entry in info.values())


@pytest.mark.parametrize("variant", AUGMENTERS)
def test_noise_changes_prose_and_no_numbers(maker: Any, variant: str) -> None:
    noisy = maker.rows(variant)
    assert not noisy["conversations"].equals(maker.rows("ori")["conversations"])
    assert noisy["scenario"].unique().to_list() == [variant]
    assert maker.row(variant, "eggs")["conversations"][1]["value"] == "10"


def test_the_manifest_of_a_noisy_set_has_its_rules_and_how_many_rows_changed(maker: Any) -> None:
    manifest = maker.make("random_aug").manifest
    assert manifest["made_with"] == {"noise": maker.rules.noise.model_dump()}
    assert sum(manifest["counts"].values()) == 7
    assert manifest["rows_sha256"] != maker.make("spelling_aug").manifest["rows_sha256"]


@pytest.mark.parametrize("variant", ABLATIONS)
def test_an_ablation_has_the_dialogues_of_its_scenarios_and_other_seeds_original_answers(
    maker: Any, variant: str
) -> None:
    rows, original = maker.rows(variant), pl.col("scenario") == "original"
    kept = maker.rows("boost_qa").filter(pl.col("scenario").is_in(ABLATIONS[variant]))
    assert rows.filter(~original).equals(kept)
    filled = rows.filter(original)
    assert filled.equals(maker.rows("ori").filter(pl.col("seed_id").is_in(filled["seed_id"].implode())))
    counts = maker.make(variant).manifest["counts"]
    assert (counts.pop("original"), sum(counts.values())) == (filled.height, kept.height)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("me_db", r"no rows of debate, so 'me_db' would show nothing of it"),
        ("me_ep", "'me_ep' would equal boost_qa"),
    ],
)
def test_an_ablation_that_would_show_nothing_is_refused(maker: Any, variant: str, message: str) -> None:
    for name in ("trains", "eggs", "verbs"):
        maker.tiny.change(name, accepted=False)
    with pytest.raises(TrainingSetError, match=message):
        maker.make(variant)


def test_the_same_release_gives_the_same_set_and_writes_nothing(maker: Any) -> None:
    first = [maker.make(variant) for variant in ("boost_qa", "ori")]
    before = maker.tiny.lake.store.list("training_sets")
    assert [maker.make(variant) for variant in ("boost_qa", "ori")] == first
    assert maker.tiny.lake.store.list("training_sets") == before


def test_a_new_release_and_other_rules_give_new_sets_and_the_old_ones_stay(maker: Any) -> None:
    made = [maker.make("random_aug")]
    maker.change_rules("noise", seed=1)
    made.append(maker.make("random_aug"))
    maker.tiny.change("moon", accepted=True)
    maker.made_release = None
    made.append(maker.make("random_aug"))
    assert TRAINING_SETS.latest(maker.tiny.lake, "random_aug") == made[-1]
    assert len({one.id for one in made}) == 3
    assert all(TRAINING_SETS.find(maker.tiny.lake, one.folder) for one in made)


def test_a_seed_that_is_missing_is_named(maker: Any) -> None:
    lost, _ = maker.tiny.dialogues["paint"].seed_id, maker.release
    maker.tiny.remove("paint")
    with pytest.raises(TrainingSetError, match=f"seed {lost} of the release is not in raw_seeds"):
        maker.make("ori")


def test_the_error_on_a_variant_that_was_not_made_says_how_to_make_it(maker: Any) -> None:
    with pytest.raises(NotPublished, match=r"ori yet.*materialise training_sets, partition 'ori'"):
        TRAINING_SETS.latest(maker.tiny.lake, "ori")


def test_on_s3_the_sets_are_the_same(maker: Any, maker_of: Any, tiny_s3_lake: Any) -> None:
    for variant in ("ori", "tagcos"):
        assert maker_of(tiny_s3_lake).make(variant).id == maker.make(variant).id
