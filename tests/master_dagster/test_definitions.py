"""The code location: its assets, checks, jobs, schedules and sensors, how they depend on each other, descriptions."""

import re
from functools import cache
from operator import attrgetter
from pathlib import Path
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

from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.resources import dagster_resources
from master_dagster.settings import Settings

ASSETS_FOLDER = Path(__file__).parents[2] / "assets"
ASSETS = {  # name: (group, partitions, upstream)
    "raw_seeds": ("seeds", "demo_math demo_code demo_general", ""),
    "seed_embeddings": ("seeds", "demo_math demo_code demo_general", "raw_seeds"),
    "dialogue_plans": ("seeds", "dynamic shards", "raw_seeds seed_embeddings"),
    "scenario_dialogues": ("dialogues", "scenario and shard", "dialogue_plans raw_seeds"),
    "scored_dialogues": ("dialogues", "scenario and shard", "dialogue_plans raw_seeds scenario_dialogues"),
    "judge_calibration": ("dialogues", "none", "dialogue_plans raw_seeds scenario_dialogues scored_dialogues"),
    "boost_qa": ("releases", "none", "dialogue_plans judge_calibration raw_seeds scenario_dialogues scored_dialogues"),
    "training_sets": (
        "releases",
        "boost_qa ori boost_qa_unless_wrong boost_qa_final dpo kto critique rlvr random_aug spelling_aug cot "
        "cot_collection tagcos me db ep me_db me_ep db_ep",
        "boost_qa chain_of_thought_answers gradient_features raw_seeds scenario_dialogues scored_dialogues",
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
    "review_sample": ("dialogues", "none", "scored_dialogues"),
    "judge_agreement": ("dialogues", "none", "review_sample scored_dialogues"),
    "tonight": ("operations", "none", ""),
    "spending": (
        "operations",
        "none",
        "benchmark_scores scenario_dialogues scored_dialogues",
    ),
}
CHECKS = {  # name of the asset: names of its checks
    "benchmark_scores": "answered_once failed_share labels_within_options reasons_given scores_reproducible "
    "unreadable_share",
    "boost_qa": "alternation complete contamination drift reconcile scenario_mix split_leakage split_pinned unique",
    "chain_of_thought_answers": "answer_or_reason answered_share seeds_known",
    "checkpoints": "adapter_loads all_steps claimed_release complete learned",
    "dialogue_browser": "complete counts_reconcile every_dialogue_once",
    "judge_agreement": "",
    "spending": "",
    "tonight": "",
    "review_sample": "complete",
    "experiment_report": "complete current loads_nothing numbers_reproducible",
    "dialogue_plans": "duplicates_in_one_split first_or_second one_plan_per_seed partner_fits repetitions_drawn "
    "scenario_balance split_shares",
    "gradient_features": "complete",
    "judge_calibration": "better_than_chance judged_share",
    "raw_seeds": "final_answers_read near_duplicate_share rejected_share representatives_exist rows_accounted_for "
    "seed_ids_match seed_ids_unique shards_within_size texts_are_clean",
    "scenario_dialogues": "as_planned counts_reconcile dialogue_ids_unique one_dialogue_per_plan scenario_balance "
    "set_aside_has_reason set_aside_share turns_in_order weak_student_errs",
    "scored_dialogues": "accepted_by_scenario accepted_without_fault as_in_dialogue counts_reconcile judge_coverage "
    "judge_discriminates one_score_per_dialogue procedural_errors rejected_with_reason scores_in_range verdicts_valid",
    "seed_embeddings": "every_seed_embedded no_vector_without_seed one_embedder unit_length",
    "training_sets": "complete different length_shows_chosen lineage long_chosen noise_spares own_answers "
    "own_dialogues pairs_differ questions_in_one_split released_dialogues role_shows_chosen same_release same_seeds "
    "split_leakage",
}


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
def test_an_asset_has_its_group_partitions_upstream_and_checks(name: str) -> None:
    made, key = asset(name), AssetKey(name)
    upstream = sorted(dependency.asset_key.to_user_string() for dependency in made.specs_by_key[key].deps)
    found = (made.group_names_by_key[key], partitions(made.partitions_def), " ".join(upstream))
    assert found == ASSETS[name]
    checks = definitions().resolve_asset_graph().get_check_keys_for_assets({key})
    assert sorted(check.name for check in checks) == CHECKS[name].split()


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_has_a_description_owners_kinds_a_code_version_and_described_columns(name: str) -> None:
    spec = asset(name).specs_by_key[AssetKey(name)]
    assert all([spec.description, spec.owners, spec.kinds, spec.code_version])
    schema = spec.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns if not column.description] == []


def test_the_settings_that_sql_checks_use_exist() -> None:
    resources = dagster_resources(load_deployment(Settings(_env_file=None)))
    used = [
        setting
        for path in ASSETS_FOLDER.glob("*/*/**/*.sql")
        for setting in re.findall(r"^-- .*\$(\w+)\.([\w.]+)", path.read_text(), re.MULTILINE)
    ]
    assert used
    assert all(attrgetter(attribute)(resources[name]) is not None for name, attribute in used)


def test_jobs_schedules_and_sensors_are_described() -> None:
    repository = definitions().get_repository_def()
    jobs = {job.name: job.description for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert set(jobs) == {
        "dialogues_and_scores",
        "publish",
        "release",
        "read_seeds",
        "plan_dialogues",
        "calibrate_judge",
        "comparison_inputs",
        "train_checkpoints",
        "score_checkpoints",
        "estimate_cost",
        "regenerate_rejected",
        "mirror_lake",
        "delete_released_journals",
        "delete_leftovers",
    }
    schedules = {schedule.name: schedule.description for schedule in repository.schedule_defs}
    assert set(schedules) == {"daily_spending", "nightly_partitions", "weekly_cleanup"}
    sensors = {sensor.name: sensor.description for sensor in repository.sensor_defs}
    assert set(sensors) == {
        "release_when_enough",
        "train_due_checkpoints",
        "score_due_checkpoints",
        "read_changed_sources",
        "continue_after_batches",
        "report_failures",
        "end_dead_runs",
        "register_shards",
        "backfill_missing_partitions",
    }
    assert all([*jobs.values(), *schedules.values(), *sensors.values()])


@pytest.mark.parametrize(("deployment", "status"), [("local", "STOPPED"), ("aws", "RUNNING")])
def test_leftovers_are_deleted_weekly_by_default_where_the_lake_is_on_s3(
    deployment: Literal["local", "aws"], status: str
) -> None:
    settings = Settings(_env_file=None, deployment=deployment, lake_root="s3://lake/x")
    schedule = build_definitions(load_deployment(settings)).resolve_schedule_def("weekly_cleanup")
    assert schedule.default_status.value == status


@pytest.mark.parametrize(
    ("name", "settings", "found"),
    [
        ("published_release", {"hub_repository": "team/data"}, ("releases", "none", "boost_qa", "complete")),
        ("published_adapters", {"hub_model_prefix": "team/model"}, ("training", "base and variant", "checkpoints", "")),
    ],
)
def test_an_asset_of_the_hub_exists_where_its_repository_is_named(
    name: str, settings: dict[str, str], found: tuple[str, ...]
) -> None:
    made, key = build_definitions(load_deployment(Settings(_env_file=None, **settings))), AssetKey(name)
    assert {one.to_user_string() for one in made.resolve_asset_graph().get_all_asset_keys()} == {*ASSETS, name}
    spec, definition = made.resolve_assets_def(name).specs_by_key[key], made.resolve_assets_def(name)
    upstream = " ".join(dependency.asset_key.to_user_string() for dependency in spec.deps)
    checks = " ".join(check.name for check in made.resolve_asset_graph().get_check_keys_for_assets({key}))
    assert (spec.group_name, partitions(definition.partitions_def), upstream, checks) == found
    assert all([spec.description, spec.owners, spec.kinds, spec.code_version])
    Definitions.validate_loadable(made)


def test_everything_can_be_loaded_and_bound() -> None:
    Definitions.validate_loadable(definitions())
