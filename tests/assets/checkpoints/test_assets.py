"""The asset `checkpoints`, with a trainer whose results are scripted."""

from collections.abc import Callable
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult

from assets.checkpoints.checkpoint import CHECKPOINTS, specification_for
from assets.framework.run_report import OUTAGE_TAG
from assets.training_programs.recipe import Training
from resources.lake.store import StoreUnreachable
from resources.training_jobs.backend import BackendUnreachable
from resources.training_jobs.launcher import TrainingFailed
from tests.tiny_lake import TinyLake

Run = Callable[[str], ExecuteInProcessResult]


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def error(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def test_a_tuned_model_shows_its_loss_curve_first_and_passes_its_checks(run: Run) -> None:
    result = run("boost_qa")
    metadata = shown(result)
    assert next(iter(metadata)) == "loss"
    assert "data:image/png;base64" in metadata["loss"]
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}


def test_a_tuned_model_names_the_release_it_was_trained_on(run: Run, sets: TinyLake) -> None:
    assert shown(run("ori"))["release"] == sets.release().id


def test_a_further_seed_of_a_base_model_is_a_job_of_its_own(sets: TinyLake, training: Training) -> None:
    (first,) = training.bases
    again = first.model_copy(update={"name": "again", "seed_of": first.name, "seed": 5})
    both = training.model_copy(update={"bases": (first, again)})
    jobs = [specification_for(sets.lake, both, both.base(base.name), "ori", "local") for base in both.bases]
    assert [job.recipe.seed for job in jobs] == [0, 5]
    assert jobs[0].id != jobs[1].id


def test_the_cost_follows_from_the_price_of_the_machine(run: Run, trainer: Any) -> None:
    trainer.configuration = trainer.configuration.model_copy(update={"usd_per_hour": 2.0})
    assert shown(run("boost_qa"))["cost in USD"] == 0.05


def test_untuned_needs_no_job_and_has_no_adapter(run: Run, trainer: Any) -> None:
    result = run("untuned")
    assert result.success
    assert trainer.taken == []
    assert "none" in shown(result)["adapter"]


def test_untuned_passes_its_checks(run: Run) -> None:
    assert {evaluation.passed for evaluation in run("untuned").get_asset_check_evaluations()} == {True}


def test_the_latest_checkpoint_is_the_one_that_was_made(run: Run, trainer: Any, training: Training) -> None:
    run("boost_qa")
    made = CHECKPOINTS.latest(trainer.lake, training.bases[0].name, "boost_qa")
    assert made.folder == trainer.taken[0].folder


def test_the_same_work_is_asked_for_when_nothing_has_changed(run: Run, trainer: Any) -> None:
    run("boost_qa")
    run("boost_qa")
    first, second = trainer.taken
    assert first == second


def test_a_failed_job_fails_the_run_with_its_reason(run: Run, trainer: Any) -> None:
    trainer.fails = TrainingFailed("out of memory at step 3")
    assert error(run("boost_qa")).count("out of memory at step 3") == 1


@pytest.mark.parametrize(
    "outage", [StoreUnreachable("the lake is unreachable"), BackendUnreachable("no cluster answers")], ids=repr
)
def test_an_outage_is_reported_as_one(run: Run, trainer: Any, instance: DagsterInstance, outage: Exception) -> None:
    trainer.fails = outage
    result = run("boost_qa")
    assert str(outage) in error(result)
    record = instance.get_run_by_id(result.run_id)
    assert record and record.tags[OUTAGE_TAG] == type(outage).__name__


def test_too_few_rows_start_nothing(run: Run, trainer: Any, training: Training) -> None:
    object.__setattr__(training.recipe, "minimum_rows", 100)
    assert "the recipe wants at least 100" in error(run("boost_qa"))
    assert trainer.taken == []


def test_a_method_that_does_not_fit_the_set_starts_nothing(run: Run, trainer: Any, training: Training) -> None:
    object.__setattr__(training.recipe, "method", "dpo")
    found = error(run("boost_qa"))
    assert "the recipe of 'boost_qa' has method dpo, which trains on preference pairs" in found
    assert "the training set has conversations: set variants.boost_qa.method to sft in the training file" in found
    assert trainer.taken == []


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("quantization", "nf4", "quantization is nf4, which needs an NVIDIA GPU, and this machine has none"),
        ("sharding", "fsdp", "sharding is fsdp, which needs an NVIDIA GPU, and this machine has none"),
        ("nodes", 2, "wants 2 nodes, and a job of the backend `local` has one: set recipe.nodes to 1"),
    ],
)
def test_a_recipe_that_the_backend_cannot_run_starts_nothing(
    run: Run, trainer: Any, training: Training, monkeypatch: pytest.MonkeyPatch, key: str, value: Any, fault: str
) -> None:
    monkeypatch.setenv("PATH", "")
    object.__setattr__(training.recipe, key, value)
    assert fault in error(run("boost_qa"))
    assert trainer.taken == []


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_damaged_rows_start_nothing(run: Run, trainer: Any, sets: TinyLake, harm: str) -> None:
    (file,) = sets.release().files("data/train-")
    if harm == "missing":
        sets.lake.store.delete(file)
    else:
        sets.lake.store.put(file, sets.lake.store.get(file)[:-1] + b"x")
    assert "is damaged" in error(run("boost_qa"))
    assert trainer.taken == []


def test_without_a_training_set_the_run_says_what_to_make(run: Run, sets: TinyLake) -> None:
    sets.lake.store.delete("training_sets/ori/latest.json")
    assert "materialise training_sets, partition 'ori', first" in error(run("ori"))
