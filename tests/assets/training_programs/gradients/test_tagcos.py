"""Gradient features and the variant `tagcos` as runs make them: the program on this machine, by the trainer."""

from pathlib import Path

import pytest
from dagster import DagsterInstance, StaticPartitionsDefinition, materialize

from assets.boost_qa.configuration import ReleaseRules
from assets.seeds.configuration import load_seeds_configuration
from assets.training_programs.gradients.specification import GradientModel
from assets.training_sets.ablations import variants
from assets.training_sets.assets import gradient_features, training_sets_asset
from assets.training_sets.checks import CHECKS
from assets.training_sets.configuration import ComparisonRules, CoresetRules
from assets.training_sets.variants import TRAINING_SETS
from resources.chat.profile import load_profile
from resources.chat.service import ChatService
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.launcher import JobLauncher
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake

PROJECT = Path(__file__).parents[4]


def test_a_run_has_the_gradients_computed_and_makes_the_coreset(
    tiny_lake: TinyLake, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    tiny_lake.release()
    features = GradientModel(model=tiny_model, dimensions=64, warm_up_share=0.5, checkpoints=1, max_tokens=200)
    place = {"kind": "local", "folder": str(tmp_path / "jobs"), "grace_seconds": 5}
    configuration = TrainerConfiguration.model_validate({"backend": place, "timeouts": {"poll_seconds": 0.1}})
    lake = tiny_lake.lake
    resources = {
        "lake": lake,
        "chat": ChatService(load_profile("laptop"), lake.store),
        "job_launcher": JobLauncher(configuration, lake.store, configuration.backend.open(lake.store, False), {}),
        "scenarios": SCENARIOS,
        "release_rules": ReleaseRules(),
        "comparison_rules": ComparisonRules(tagcos=CoresetRules(clusters=2, features=features)),
        "seeds_configuration": load_seeds_configuration("demo"),
    }
    training_sets = training_sets_asset(StaticPartitionsDefinition(variants(SCENARIOS)))
    with DagsterInstance.ephemeral() as instance:
        assert materialize([gradient_features], instance=instance, resources=resources).success
        result = materialize([training_sets, *CHECKS], instance=instance, partition_key="tagcos", resources=resources)
    assert result.success
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    assert TRAINING_SETS.latest(lake, "tagcos").manifest["rows"]
