"""Checkpoints in the lake."""

import json
from pathlib import Path

import pytest

from assets.training_programs.fine_tuning import saving
from resources.lake.opening import open_store
from resources.lake.store import Store

FOLDER = "checkpoints/tiny/ori/abc"
WEIGHTS = "commit 1"
PROGRESS = f"{FOLDER}/progress"


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A lake on this machine's disk, and one on S3."""
    return open_store(str(tmp_path / "lake") if request.param == "disk" else request.getfixturevalue("s3_root"))


def checkpoint(folder: Path, step: int) -> Path:
    """A checkpoint on this machine's disk."""
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (made / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (made / "tokenizer.json").write_text("not needed to go on")
    return made


def saved_steps(store: Store) -> set[str]:
    return {file.path.split("/")[-2] for file in store.list(PROGRESS)}


def resumed(store: Store, tmp_path: Path) -> str | None:
    """The name of what a run would go on from."""
    found = saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", lambda _: None)
    return found.name if found else None


def test_a_saved_checkpoint_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 5))

    found = saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", lambda _: None)

    assert found is not None
    assert (found / "adapter_model.safetensors").read_bytes() == b"weights 5"


def test_what_going_on_does_not_need_is_not_saved(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 5))

    assert not store.exists(f"{PROGRESS}/checkpoint-5/tokenizer.json")


def test_without_checkpoints_there_is_nothing_to_go_on_from(store: Store, tmp_path: Path) -> None:
    assert resumed(store, tmp_path) is None


def test_the_newest_two_are_kept(store: Store, tmp_path: Path) -> None:
    for step in (2, 8, 10):
        saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, step))

    assert saved_steps(store) == {"checkpoint-8", "checkpoint-10"}


def test_the_newest_is_gone_on_from(store: Store, tmp_path: Path) -> None:
    for step in (8, 10):
        saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, step))

    assert resumed(store, tmp_path) == "checkpoint-10"


def test_one_without_manifest_is_passed_over(store: Store, tmp_path: Path) -> None:
    for step in (8, 10):
        saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, step))
    store.delete(f"{PROGRESS}/checkpoint-10/manifest.json")

    assert resumed(store, tmp_path) == "checkpoint-8"


def test_one_with_a_changed_file_is_passed_over(store: Store, tmp_path: Path) -> None:
    for step in (8, 10):
        saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, step))
    store.put(f"{PROGRESS}/checkpoint-10/adapter_model.safetensors", b"weights 1O")

    assert resumed(store, tmp_path) == "checkpoint-8"


def test_one_with_a_missing_file_is_passed_over(store: Store, tmp_path: Path) -> None:
    for step in (8, 10):
        saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, step))
    store.delete(f"{PROGRESS}/checkpoint-10/trainer_state.json")

    assert resumed(store, tmp_path) == "checkpoint-8"


def test_one_of_other_base_weights_is_passed_over(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 8))
    said: list[str] = []

    assert saving.resume(store, FOLDER, "commit 2", tmp_path / "resumed", said.append) is None
    assert said[0].startswith("checkpoint-8 is passed over: its base model was commit 1, now it is commit 2")


def test_it_is_said_why_one_is_passed_over(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 8))
    store.delete(f"{PROGRESS}/checkpoint-8/manifest.json")
    said: list[str] = []

    saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", said.append)

    assert said == ["checkpoint-8 is passed over: it has no manifest, so it was never whole"]


def test_half_a_checkpoint_never_pushes_a_whole_one_out(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 4))
    store.put(f"{PROGRESS}/checkpoint-6/adapter_model.safetensors", b"half")

    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 8))

    assert {"checkpoint-4", "checkpoint-8"} <= saved_steps(store)


def test_all_are_forgotten_when_the_work_is_done(store: Store, tmp_path: Path) -> None:
    saving.save(store, FOLDER, WEIGHTS, checkpoint(tmp_path, 8))

    saving.forget(store, FOLDER)

    assert store.list(PROGRESS) == []
