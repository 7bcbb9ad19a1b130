"""Every check on sets that pass it, and on sets that do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetCheckResult, AssetCheckSeverity, DagsterInstance, asset, materialize

from assets.training_sets.checks import ALL_CHECKS, CHECKS, TrainingSetCheckRun
from assets.training_sets.variants import HOME, make_boost_qa
from tests.check_cases import failing_after
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake, eight_seeds

Change = Callable[[pl.DataFrame], pl.DataFrame]

CONFIRMED = tuple(
    {"finding": name, "value": value, "good": True, "reason": "", "code": name, "agreed": True}
    for name, value in (("verdict_true", "yes"), ("gave_result", "no"), ("gave_calculation", "no"))
)
RESOURCES = {"scenarios": SCENARIOS}
MADE = ("boost_qa", "ori", "boost_qa_unless_wrong", "dpo", "kto", "critique", "random_aug", "tagcos", "me_db")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, maker_of: Callable[[TinyLake], Any]) -> Path:
    """A lake with variants of every kind, of one release."""
    root = tmp_path_factory.mktemp("sets") / "lake"
    tiny = eight_seeds(str(root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.boost_qa.release.draw_plots", lambda *_: None)
        maker = maker_of(tiny)
        tiny.change("apples", finals=(None, "wrong", None, "right"), findings=CONFIRMED)
        for variant in MADE:
            maker.make(variant)
    return root


@pytest.fixture
def sets(made_once: Path, tmp_path: Path, no_pictures: None) -> TinyLake:
    """A copy of it."""
    shutil.copytree(made_once, tmp_path / "lake", dirs_exist_ok=True)
    return eight_seeds(str(tmp_path / "lake"))


def results(tiny_lake: TinyLake) -> dict[str, AssetCheckResult]:
    return failing_after(HOME, ALL_CHECKS, TrainingSetCheckRun(tiny_lake.lake, RESOURCES, None, ""))


def rewrite(tiny_lake: TinyLake, variant: str, change: Change) -> None:
    """Write the training rows of a published set otherwise, which nothing in the project ever does."""
    (path,) = Path(tiny_lake.lake.store.uri(f"training_sets/{variant}")).glob("[!p]*/data/train-*.parquet")
    change(pl.read_parquet(path)).write_parquet(path)


def answered(value: str) -> pl.Expr:
    """The conversations with another answer."""
    turn = pl.struct(pl.lit("gpt").alias("from"), pl.lit(value).alias("value"))
    return pl.concat_list(pl.col("conversations").list.head(1), turn.implode()).alias("conversations")


def answer(text: str) -> pl.Expr:
    """An assistant's message."""
    return pl.struct(pl.lit("assistant").alias("role"), pl.lit(text).alias("content")).implode()


def test_sets_of_one_release_pass_every_check_in_dagster(sets: TinyLake) -> None:
    with DagsterInstance.ephemeral() as instance:
        made, checks = asset(name=HOME)(lambda: None), CHECKS[0]
        result = materialize([made, checks], instance=instance, resources={"lake": sets.lake, **RESOURCES})
    found = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert found == {check.name: True for check in ALL_CHECKS}


@pytest.mark.parametrize(
    ("check", "variant", "change"),
    [
        ("complete", "ori", lambda rows: rows.tail(-1)),
        ("same_seeds", "ori", lambda rows: rows.tail(-1)),
        ("same_seeds", "random_aug", lambda rows: rows.tail(-1)),
        ("same_seeds", "ori", lambda rows: rows.with_columns(split=pl.lit("test"))),
        ("own_answers", "ori", lambda rows: rows.with_columns(conversations=pl.col("conversations").first())),
        ("own_answers", "me_db", lambda rows: rows.with_columns(scenario=pl.lit("original"))),
        ("own_dialogues", "me_db", lambda rows: rows.with_columns(conversations=pl.col("conversations").last())),
        ("split_leakage", "ori", lambda rows: pl.concat([rows, rows.head(1).with_columns(split=pl.lit("test"))])),
        ("split_leakage", "tagcos", lambda rows: pl.concat([rows, rows.head(1).with_columns(split=pl.lit("test"))])),
        ("lineage", "ori", lambda rows: rows.with_columns(seed_id=pl.lit("nobody"))),
        ("lineage", "tagcos", lambda rows: rows.with_columns(seed_id=pl.lit("nobody"))),
        ("pairs_differ", "dpo", lambda rows: rows.with_columns(chosen=pl.col("rejected"))),
        ("questions_in_one_split", "kto", lambda rows: pl.concat([rows, rows.with_columns(split=pl.lit("test"))])),
        ("released_dialogues", "dpo", lambda rows: rows.with_columns(dialogue_id=pl.lit("nobody"))),
        ("released_dialogues", "dpo", lambda rows: rows.with_columns(split=pl.lit("test"))),
        ("released_dialogues", "kto", lambda rows: rows.with_columns(label=pl.lit(False))),
        ("released_dialogues", "critique", lambda rows: rows.with_columns(seed_id=pl.lit("nobody"))),
        ("length_shows_chosen", "dpo", lambda rows: pl.concat([rows] * 20)),
        ("role_shows_chosen", "dpo", lambda rows: pl.concat([rows] * 20)),
        ("long_chosen", "dpo", lambda rows: pl.concat([rows] * 20).with_columns(chosen=answer("so " * 100))),
        ("noise_spares", "random_aug", lambda rows: rows.with_columns(answered("nothing"))),
    ],
)
def test_a_set_that_was_tampered_with_fails(sets: TinyLake, check: str, variant: str, change: Change) -> None:
    rewrite(sets, variant, change)
    assert check in results(sets)


def test_two_variants_of_the_same_rows_fail(sets: TinyLake) -> None:
    manifests = {
        variant: next(Path(sets.lake.store.uri(f"training_sets/{variant}")).glob("*/manifest.json"))
        for variant in ("ori", "random_aug")
    }
    manifest = json.loads(manifests["random_aug"].read_text())
    manifest["rows_sha256"] = json.loads(manifests["ori"].read_text())["rows_sha256"]
    manifests["random_aug"].write_text(json.dumps(manifest))
    found = results(sets)["different"]
    assert "ori, random" in str(found.metadata["rows"].value).replace("\\", "")


def test_sets_of_two_releases_are_a_warning_and_are_not_compared(sets: TinyLake) -> None:
    sets.change("moon", accepted=True)
    make_boost_qa(sets.lake, sets.release())
    found = results(sets)
    assert found["same_release"].severity is AssetCheckSeverity.WARN
    assert "same_seeds" not in found


def test_a_variant_of_an_older_release_is_not_compared_with_the_new_one(sets: TinyLake) -> None:
    sets.change("moon", accepted=True)
    make_boost_qa(sets.lake, sets.release())
    assert not {"released_dialogues", "questions_in_one_split"} & set(results(sets))


def test_without_any_set_the_completeness_fails(tiny_lake: TinyLake) -> None:
    assert "complete" in results(tiny_lake)
