"""Checkpoints in the lake."""

import json
from collections.abc import Callable
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


@pytest.fixture
def save(store: Store, tmp_path: Path) -> Callable[..., None]:
    """Saves checkpoints of the given steps."""

    def save(*steps: int) -> None:
        for step in steps:
            made = tmp_path / f"checkpoint-{step}"
            made.mkdir(parents=True)
            (made / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
            (made / "trainer_state.json").write_text(json.dumps({"global_step": step}))
            (made / "tokenizer.json").write_text("not needed to resume")
            saving.save(store, FOLDER, WEIGHTS, made)

    return save


def saved_steps(store: Store) -> set[str]:
    return {file.path.split("/")[-2] for file in store.list(PROGRESS)}


def test_the_newest_two_are_kept_without_what_is_not_needed(store: Store, save: Callable[..., None]) -> None:
    save(2, 8, 10)
    assert saved_steps(store) == {"checkpoint-8", "checkpoint-10"}
    assert not store.exists(f"{PROGRESS}/checkpoint-10/tokenizer.json")


def test_a_run_resumes_from_the_newest_one_as_it_was(store: Store, save: Callable[..., None], tmp_path: Path) -> None:
    assert saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", lambda _: None) is None
    save(8, 10)
    found = saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", lambda _: None)
    assert found is not None
    assert found.name == "checkpoint-10"
    assert (found / "adapter_model.safetensors").read_bytes() == b"weights 10"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("manifest.json", None, "it has no manifest, so it is incomplete"),
        ("trainer_state.json", None, "trainer_state.json is missing"),
        ("adapter_model.safetensors", b"weights 1O", "adapter_model.safetensors is damaged"),
    ],
)
def test_an_incomplete_one_is_skipped_with_the_reason(
    store: Store, save: Callable[..., None], tmp_path: Path, file: str, content: bytes | None, reason: str
) -> None:
    save(8, 10)
    path, lines = f"{PROGRESS}/checkpoint-10/{file}", []
    if content is None:
        store.delete(path)
    else:
        store.put(path, content)
    found = saving.resume(store, FOLDER, WEIGHTS, tmp_path / "resumed", lines.append)
    assert found is not None
    assert found.name == "checkpoint-8"
    assert lines == [f"checkpoint-10 is skipped: {reason}"]


def test_one_of_other_base_weights_is_skipped(store: Store, save: Callable[..., None], tmp_path: Path) -> None:
    save(8)
    lines: list[str] = []
    assert saving.resume(store, FOLDER, "commit 2", tmp_path / "resumed", lines.append) is None
    assert lines[0].startswith("checkpoint-8 is skipped: its base model was commit 1, now it is commit 2")


def test_an_incomplete_one_does_not_replace_a_complete_one(store: Store, save: Callable[..., None]) -> None:
    save(4)
    store.put(f"{PROGRESS}/checkpoint-6/adapter_model.safetensors", b"half")
    save(8)
    assert {"checkpoint-4", "checkpoint-8"} <= saved_steps(store)


def test_all_are_deleted_when_the_job_is_done(store: Store, save: Callable[..., None]) -> None:
    save(8)
    saving.delete_all(store, FOLDER)
    assert store.list(PROGRESS) == []
