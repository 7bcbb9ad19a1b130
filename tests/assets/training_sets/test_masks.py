"""The release's rows with loss on fewer turns, on the tiny lake."""

from typing import Any

import pytest

from assets.training_sets.masks import MASKS
from assets.training_sets.variants import NothingToMake


@pytest.fixture(autouse=True)
def wrong_attempts(maker: Any) -> None:
    """An error correction and a debate have a wrong answer before the right one."""
    maker.tiny.change("paint", finals=(None, "wrong", None, "right"))
    maker.tiny.change("trains", finals=(None, "wrong", "right", "right"))


@pytest.mark.parametrize(
    ("variant", "paint", "apples"),
    [
        ("boost_qa", [False, True, False, True], [False, True, False, True]),
        ("boost_qa_unless_wrong", [False, False, False, True], [False, True, False, True]),
        ("boost_qa_final", [False, False, False, True], [False, False, False, True]),
    ],
)
def test_a_mask_changes_which_turns_carry_loss_and_nothing_else(
    maker: Any, variant: str, paint: list[bool], apples: list[bool]
) -> None:
    assert maker.row(variant, "paint")["trains"] == paint
    assert maker.row(variant, "apples")["trains"] == apples
    rows, released = maker.rows(variant), maker.rows("boost_qa")
    assert rows.drop("trains").equals(released.drop("trains"))
    assert maker.make(variant).manifest.get("same_size", True)


@pytest.mark.parametrize(
    ("variant", "loss", "mask_history"),
    [("boost_qa_final", "all", "true"), ("boost_qa", "all", "false"), ("boost_qa", "final", "true")],
)
def test_the_card_says_how_llama_factory_trains_the_last_turn_alone(
    maker: Any, variant: str, loss: str, mask_history: str
) -> None:
    maker.made_release = maker.tiny.release(loss=loss)
    card = maker.tiny.lake.store.get(f"{maker.make(variant).folder}/README.md").decode()
    assert f"\nmask_history: {mask_history}\n" in card


def test_a_row_without_a_turn_that_carries_loss_is_left_out_and_counted(maker: Any) -> None:
    maker.tiny.change("apples", finals=(None, "wrong", None, "wrong"))  # accepted by a manual decision
    manifest = maker.make("boost_qa_unless_wrong").manifest
    assert manifest["counts"]["no turn carries loss"] == 1
    assert (manifest["rows"], manifest["same_size"]) == ({"train": 4, "validation": 1, "test": 1}, False)
    assert maker.tiny.dialogues["apples"].seed_id not in set(maker.rows("boost_qa_unless_wrong")["seed_id"])


def test_a_dialogue_that_changed_since_the_release_is_left_out_and_counted(maker: Any) -> None:
    assert maker.release
    maker.tiny.change("apples", words=("What?", "One.", "Look.", "Seven."))
    manifest = maker.make("boost_qa_final").manifest
    assert manifest["counts"]["changed since the release"] == 1
    assert not manifest["same_size"]


@pytest.mark.parametrize(("variant", "loss"), MASKS.items())
def test_a_mask_that_the_release_has_itself_is_refused(maker: Any, variant: str, loss: str) -> None:
    maker.made_release = maker.tiny.release(loss=loss)
    with pytest.raises(NothingToMake, match=f"loss: {loss} in its rules.*would equal boost_qa"):
        maker.make(variant)


def test_a_mask_that_changes_nothing_is_refused(maker: Any) -> None:
    maker.tiny.change_every(finals=(None, "right", None, "right"))
    with pytest.raises(NothingToMake, match="'boost_qa_unless_wrong' would equal boost_qa"):
        maker.make("boost_qa_unless_wrong")
