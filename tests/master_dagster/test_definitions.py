"""The code location: its assets, checks, jobs, schedules and sensors, how they depend on each other, descriptions."""

from functools import cache
from typing import Literal

import pytest
from dagster import (
    AssetKey,
    AssetsDefinition,
    Definitions,
    DynamicPartitionsDefinition,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
)

from master_dagster.definitions import build_definitions
from master_dagster.settings import Settings, load_deployment

ASSETS = {  # name: (group, partitions, upstream)
    "raw_seeds": ("seeds", "demo_math demo_code demo_general", ""),
    "seed_embeddings": ("seeds", "demo_math demo_code demo_general", "raw_seeds"),
    "dialogue_plans": ("seeds", "dynamic shards", "raw_seeds seed_embeddings"),
    "scenario_dialogues": ("dialogues", "scenario and shard", "dialogue_plans raw_seeds"),
    "scored_dialogues": ("dialogues", "scenario and shard", "dialogue_plans raw_seeds scenario_dialogues"),
    "boost_qa": ("releases", "none", "dialogue_plans raw_seeds scenario_dialogues scored_dialogues"),
    "training_sets": (
        "releases",
        "boost_qa ori random_aug spelling_aug cot cot_collection tagcos me db ep me_db me_ep db_ep",
        "boost_qa chain_of_thought_answers gradient_features raw_seeds",
    ),
    "chain_of_thought_answers": ("releases", "none", "boost_qa raw_seeds"),
    "gradient_features": ("releases", "none", "boost_qa dialogue_plans raw_seeds"),
    "checkpoints": ("training", "base and variant", "training_sets"),
    "benchmark_scores": ("evaluation", "base and variant", "checkpoints"),
    "experiment_report": (
        "evaluation",
        "none",
        "benchmark_scores boost_qa dialogue_browser scored_dialogues training_sets",
    ),
    "dialogue_browser": ("releases", "none", "boost_qa scored_dialogues"),
}
CHECKS = [
    "benchmark_scores: answered_once",
    "benchmark_scores: failed_share",
    "benchmark_scores: labels_within_options",
    "benchmark_scores: reasons_given",
    "benchmark_scores: scores_reproducible",
    "benchmark_scores: unreadable_share",
    "boost_qa: alternation",
    "boost_qa: complete",
    "boost_qa: contamination",
    "boost_qa: drift",
    "boost_qa: reconcile",
    "boost_qa: scenario_mix",
    "boost_qa: split_leakage",
    "boost_qa: split_pinned",
    "boost_qa: unique",
    "chain_of_thought_answers: answer_or_reason",
    "chain_of_thought_answers: answered_share",
    "chain_of_thought_answers: seeds_known",
    "checkpoints: adapter_loads",
    "checkpoints: all_steps",
    "checkpoints: claimed_release",
    "checkpoints: complete",
    "checkpoints: learned",
    "dialogue_browser: complete",
    "dialogue_browser: counts_reconcile",
    "dialogue_browser: every_dialogue_once",
    "experiment_report: complete",
    "experiment_report: current",
    "experiment_report: loads_nothing",
    "experiment_report: numbers_reproducible",
    "dialogue_plans: debates_have_rounds",
    "dialogue_plans: duplicates_in_one_split",
    "dialogue_plans: one_plan_a_seed",
    "dialogue_plans: partner_fits",
    "dialogue_plans: scenario_balance",
    "dialogue_plans: split_shares",
    "gradient_features: complete",
    "raw_seeds: final_answers_read",
    "raw_seeds: near_duplicate_share",
    "raw_seeds: rejected_share",
    "raw_seeds: representatives_stand",
    "raw_seeds: rows_accounted_for",
    "raw_seeds: seed_ids_match",
    "raw_seeds: seed_ids_unique",
    "raw_seeds: shards_within_size",
    "raw_seeds: texts_are_clean",
    "scenario_dialogues: as_planned",
    "scenario_dialogues: counts_reconcile",
    "scenario_dialogues: dialogue_ids_unique",
    "scenario_dialogues: every_plan_taught",
    "scenario_dialogues: scenario_balance",
    "scenario_dialogues: set_aside_has_reason",
    "scenario_dialogues: set_aside_share",
    "scenario_dialogues: turns_in_order",
    "scenario_dialogues: weak_student_errs",
    "scored_dialogues: accepted_by_scenario",
    "scored_dialogues: accepted_without_fault",
    "scored_dialogues: as_told",
    "scored_dialogues: counts_reconcile",
    "scored_dialogues: judge_coverage",
    "scored_dialogues: judge_discriminates",
    "scored_dialogues: one_score_a_dialogue",
    "scored_dialogues: procedural_errors",
    "scored_dialogues: rejected_with_reason",
    "scored_dialogues: scores_in_range",
    "scored_dialogues: verdicts_in_form",
    "seed_embeddings: every_seed_embedded",
    "seed_embeddings: no_vector_without_seed",
    "seed_embeddings: one_embedder",
    "seed_embeddings: unit_length",
    "training_sets: complete",
    "training_sets: different",
    "training_sets: lineage",
    "training_sets: noise_spares",
    "training_sets: own_answers",
    "training_sets: own_dialogues",
    "training_sets: same_release",
    "training_sets: same_seeds",
    "training_sets: split_leakage",
]


@cache
def definitions() -> Definitions:
    return build_definitions(load_deployment(Settings(_env_file=None)))


def asset(name: str) -> AssetsDefinition:
    return definitions().resolve_assets_def(name)


def partitions(definition: PartitionsDefinition | None) -> str:
    match definition:
        case None:
            return "none"
        case StaticPartitionsDefinition():
            return " ".join(definition.get_partition_keys())
        case DynamicPartitionsDefinition():
            return f"dynamic {definition.name}"
        case MultiPartitionsDefinition():
            return " and ".join(definition.partition_dimension_names)
    raise AssertionError(definition)


def test_the_assets_are_those_of_the_graph() -> None:
    keys = definitions().resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys} == set(ASSETS)


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_has_its_group_partitions_and_upstream(name: str) -> None:
    made, key = asset(name), AssetKey(name)
    upstream = sorted(dependency.asset_key.to_user_string() for dependency in made.specs_by_key[key].deps)
    found = (made.group_names_by_key[key], partitions(made.partitions_def), " ".join(upstream))
    assert found == ASSETS[name]


def test_only_assets_that_ask_models_or_train_wait_for_a_pool() -> None:
    pools = {name: pool for name in ASSETS if (pool := asset(name).node_def.pool)}
    assert pools == {
        "scenario_dialogues": "models",
        "scored_dialogues": "models",
        "benchmark_scores": "models",
        "chain_of_thought_answers": "models",
        "checkpoints": "training",
        "gradient_features": "training",
    }


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_has_a_description_owners_kinds_and_a_code_version(name: str) -> None:
    spec = asset(name).specs_by_key[AssetKey(name)]
    assert spec.description
    assert spec.owners
    assert spec.kinds
    assert spec.code_version


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_shows_its_columns_with_descriptions(name: str) -> None:
    schema = asset(name).specs_by_key[AssetKey(name)].metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns if not column.description] == []


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_has_checks(name: str) -> None:
    checks = definitions().resolve_asset_graph().get_check_keys_for_assets({AssetKey(name)})
    assert checks


def test_the_checks_are_those_of_the_graph() -> None:
    checks = definitions().resolve_asset_graph().asset_check_keys
    assert sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in checks) == sorted(CHECKS)


def test_jobs_schedules_and_sensors_are_described() -> None:
    repository = definitions().get_repository_def()
    jobs = {job.name: job.description for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert set(jobs) == {
        "dialogues_and_scores",
        "publish",
        "release",
        "comparison_inputs",
        "estimate_cost",
        "regenerate_rejected",
        "mirror_lake",
        "delete_released_journals",
        "delete_leftovers",
    }
    schedules = {schedule.name: schedule.description for schedule in repository.schedule_defs}
    assert set(schedules) == {"nightly_partitions", "weekly_cleanup"}
    sensors = {sensor.name: sensor.description for sensor in repository.sensor_defs}
    assert set(sensors) == {"release_when_enough", "report_failures", "end_dead_runs", "backfill_missing_partitions"}
    assert all([*jobs.values(), *schedules.values(), *sensors.values()])


@pytest.mark.parametrize(("deployment", "status"), [("local", "STOPPED"), ("aws", "RUNNING")])
def test_leftovers_are_deleted_weekly_by_default_where_the_lake_is_on_s3(
    deployment: Literal["local", "aws"], status: str
) -> None:
    settings = Settings(_env_file=None, deployment=deployment, lake_root="s3://lake/x")
    schedule = build_definitions(load_deployment(settings)).resolve_schedule_def("weekly_cleanup")
    assert schedule.default_status.value == status


def test_everything_can_be_loaded_and_bound() -> None:
    Definitions.validate_loadable(definitions())
