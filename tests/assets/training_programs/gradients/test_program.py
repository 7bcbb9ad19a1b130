"""The program that computes gradient features, on a tiny model."""

import json
from typing import Any

import numpy as np
import pytest

from assets.training_programs.gradients import features

FOLDER = "training_sets/tagcos/features-abc"
ANSWERS = ("one two three", "one two three", "zzz qqq xxx", "apples and pears", "seven times six is 42")


def test_every_row_has_a_feature_and_the_manifest_describes_them(program: Any) -> None:
    program.ask(ANSWERS)
    assert program.run() == 0
    found = program.features()
    assert (found.shape, found.dtype) == ((5, 64), np.float16)
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found.astype(np.float32), axis=1) <= 1.01).all()
    assert np.array_equal(found[0], found[1]), "equal rows have equal features"
    assert not np.allclose(found[0], found[2], atol=0.01), "different rows have different features"
    manifest = json.loads(program.store.get(f"{FOLDER}/manifest.json"))
    assert (manifest["rows"], manifest["dimensions"], len(manifest["warm_up_losses"])) == (5, 64, 2)
    assert [file["path"] for file in manifest["files"]] == ["features.npy"]
    assert not list(program.store.list(f"{FOLDER}/progress")), "parts are deleted at the end"


def test_the_same_job_gives_the_same_features(program: Any) -> None:
    program.ask(ANSWERS)
    program.run()
    first = program.features()
    program.store.delete(f"{FOLDER}/manifest.json")
    program.run()
    assert np.array_equal(program.features(), first)


def test_a_job_that_is_done_is_not_done_again(program: Any) -> None:
    program.ask(ANSWERS)
    program.run()
    program.store.delete(f"{FOLDER}/features.npy")
    assert program.run() == 0
    assert not program.store.exists(f"{FOLDER}/features.npy")


def test_a_row_that_does_not_fit_the_model_has_no_feature_and_is_counted(program: Any) -> None:
    program.ask([*ANSWERS, "far too long " * 40])
    program.run()
    assert not program.features()[5].any()
    assert json.loads(program.store.get(f"{FOLDER}/manifest.json"))["left_out"] == {"too long": 1}


def test_rows_that_all_do_not_fit_are_a_fault(program: Any, failure: Any) -> None:
    program.ask(["far too long " * 40] * 2)
    assert program.run() == 2
    assert "none of 2 rows" in failure()["message"]


def test_a_pool_of_another_size_is_a_fault(program: Any, failure: Any) -> None:
    program.ask(ANSWERS)
    program.specification["data"]["rows"] = 4
    program.store.put(f"{FOLDER}/specification.json", json.dumps(program.specification).encode())
    assert program.run() == 2
    assert "hold 5 rows, 4 are specified" in failure()["message"]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ({"dimensions": 12}, "model.dimensions"),
        ({"model": "/nowhere"}, "no such folder"),
        ({"template": "x"}, "template"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(program: Any, failure: Any, model: Any, fault: str) -> None:
    program.ask(ANSWERS, **model)
    program.run()
    assert fault in failure()["message"]


def test_a_missing_specification_is_a_fault(program: Any, failure: Any) -> None:
    assert program.run() == 2
    assert "the job has no specification" in failure()["message"]


def test_a_restarted_attempt_that_ends_well_leaves_no_failure(program: Any) -> None:
    program.ask(ANSWERS)
    program.store.put(f"{FOLDER}/attempts/0001/failure.json", b"{}")
    assert program.run() == 0
    assert not program.store.exists(f"{FOLDER}/attempts/0001/failure.json")


def test_an_interrupted_run_resumes_after_its_saved_parts(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PART", 2)
    program.ask(ANSWERS)
    program.run()
    undisturbed = program.features()
    program.store.delete(f"{FOLDER}/manifest.json")
    computed: list[int] = []
    compute = features._scaled_gradient

    def interrupted(*given: Any) -> Any:
        computed.append(1)
        if len(computed) == 8:  # five rows after the first epoch, and three after the second
            raise RuntimeError("the node is gone")
        return compute(*given)

    monkeypatch.setattr(features, "_scaled_gradient", interrupted)
    assert program.run() != 0
    before = len(computed)
    assert program.run() == 0
    assert len(computed) - before == 3  # of ten; the part that was under way, and the last
    assert np.array_equal(program.features(), undisturbed)


def test_a_damaged_part_is_computed_again(program: Any) -> None:
    program.ask(ANSWERS)
    program.run()
    undisturbed = program.features()
    program.store.delete(f"{FOLDER}/manifest.json")
    program.store.put(f"{FOLDER}/progress/gradients-0-00000.npy", b"half a file")
    assert program.run() == 0
    assert np.array_equal(program.features(), undisturbed)
