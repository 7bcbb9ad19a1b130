"""random_aug and spelling_aug on the tiny lake."""

from typing import Any

import polars as pl
import pytest

VARIANTS = ("random_aug", "spelling_aug")


@pytest.mark.parametrize("variant", VARIANTS)
def test_noise_falls_on_questions_and_answers_of_the_same_seeds(studio: Any, variant: str) -> None:
    noisy, original = studio.rows(variant), studio.rows("ori")
    assert noisy.drop("conversations", "scenario").equals(original.drop("conversations", "scenario"))
    assert noisy["scenario"].unique().to_list() == [variant]
    assert not noisy["conversations"].equals(original["conversations"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_code_and_numbers_are_those_of_the_seed(studio: Any, variant: str) -> None:
    row = studio.rows(variant).row(by_predicate=pl.col("seed_id") == studio.seed_id("eggs"), named=True)
    assert row["conversations"][1]["value"] == "10"


def test_the_manifest_tells_the_rules_and_how_many_rows_changed(studio: Any) -> None:
    manifest = studio.make("random_aug").manifest
    assert manifest["made_with"] == {"noise": studio.rules.noise.model_dump()}
    assert sum(manifest["counts"].values()) == 7


def test_the_two_kinds_of_noise_differ(studio: Any) -> None:
    assert studio.make("random_aug").manifest["rows_sha256"] != studio.make("spelling_aug").manifest["rows_sha256"]


def test_other_rules_give_another_set_and_the_old_one_stays(studio: Any) -> None:
    first = studio.make("random_aug")
    noise = studio.rules.noise.model_copy(update={"seed": 1})
    studio.rules = studio.rules.model_copy(update={"noise": noise})
    second = studio.make("random_aug")
    assert second.id != first.id
    assert studio.tiny.lake.store.exists(f"{first.folder}/manifest.json")
