"""Every asset, check, job, schedule and sensor, with a deployment's resources."""

from datetime import timedelta

import pyarrow as pa
from dagster import (
    AssetSpec,
    Definitions,
    FreshnessPolicy,
    StaticPartitionsDefinition,
    in_process_executor,
    map_asset_specs,
)

from assets.boost_qa import assets as boost_qa
from assets.boost_qa import checks as boost_qa_checks
from assets.checkpoints import checks as checkpoints_checks
from assets.checkpoints.assets import checkpoint_asset
from assets.dialogue_browser import assets as browser
from assets.dialogue_browser import checks as browser_checks
from assets.dialogue_plans import assets as dialogue_plans
from assets.dialogue_plans import checks as dialogue_plans_checks
from assets.dialogues import assets as dialogues
from assets.dialogues import checks as dialogues_checks
from assets.evaluation import checks as evaluation_checks
from assets.evaluation.assets import benchmark_asset
from assets.framework.partitions import dialogue_partitions, sources
from assets.hub_publication.assets import hub_assets
from assets.hub_publication.checks import hub_checks
from assets.judge_calibration import checks as calibration_checks
from assets.judge_calibration.assets import judge_calibration
from assets.quality import assets as quality
from assets.quality import checks as quality_checks
from assets.report import checks as report_checks
from assets.report.assets import experiment_report
from assets.review import assets as review
from assets.review import checks as review_checks
from assets.seeds import checks as seeds_checks
from assets.seeds.assets import seed_assets
from assets.spending.assets import spending
from assets.training_sets import assets as training_sets
from assets.training_sets import checks as training_sets_checks
from assets.training_sets.ablations import variants
from master_dagster.automation.batches import batches_sensor
from master_dagster.automation.checkpoints import checkpoint_sensors
from master_dagster.automation.releases import release_sensor
from master_dagster.automation.schedule import nightly_schedule, tonight_asset
from master_dagster.automation.sensors import (
    backfill_sensor,
    backfilled_when_missing,
    dead_runs,
    failure_sensor,
    register_shards,
)
from master_dagster.automation.sources import sources_sensor
from master_dagster.deployment import Deployment
from master_dagster.jobs import (
    calibrate_judge,
    comparison_inputs,
    daily_spending,
    dialogues_and_scores,
    estimate_cost,
    mirror_lake,
    plan_dialogues,
    publish,
    read_seeds,
    regenerate_rejected,
    release,
    score_checkpoints,
    train_checkpoints,
)
from master_dagster.maintenance.cleanup import delete_leftovers, delete_released_journals, weekly_cleanup
from master_dagster.resources import dagster_resources
from master_dagster.settings import Settings


def build_definitions(deployment: Deployment) -> Definitions:
    """The whole code location for one deployment."""
    source_names = [source.name for source in deployment.seeds.sources]
    settings = deployment.settings
    dialogue_keys = dialogue_partitions(deployment.scenarios)
    variant_names = variants(deployment.scenarios)
    tuned = deployment.tunings()
    webhook = settings.alert_webhook.get_secret_value() if settings.alert_webhook else None
    assets = [
        *seed_assets(sources(source_names)),
        dialogue_plans.dialogue_plans,
        backfilled_when_missing(dialogues.dialogues_asset(dialogue_keys), settings.nightly_cron),
        backfilled_when_missing(quality.scores_asset(dialogue_keys), settings.nightly_cron),
        judge_calibration,
        boost_qa.boost_qa,
        training_sets.chain_of_thought_answers,
        training_sets.gradient_features,
        training_sets.training_sets_asset(StaticPartitionsDefinition(variant_names)),
        checkpoint_asset(tuned),
        *hub_assets(settings.hub, tuned),
        benchmark_asset(tuned),
        experiment_report,
        browser.dialogue_browser,
        review.review_sample,
        review.judge_agreement,
        spending,
        tonight_asset(deployment),
    ]
    return Definitions(
        assets=map_asset_specs(lambda spec: labelled(spec, settings), assets),
        asset_checks=[
            *seeds_checks.CHECKS,
            *dialogue_plans_checks.CHECKS,
            *dialogues_checks.CHECKS,
            *quality_checks.CHECKS,
            *calibration_checks.CHECKS,
            *boost_qa_checks.CHECKS,
            *training_sets_checks.CHECKS,
            *checkpoints_checks.CHECKS,
            *evaluation_checks.CHECKS,
            *report_checks.CHECKS,
            *browser_checks.CHECKS,
            *review_checks.CHECKS,
            *hub_checks(settings.hub),
        ],
        jobs=[
            dialogues_and_scores,
            publish,
            release,
            read_seeds,
            plan_dialogues,
            calibrate_judge,
            comparison_inputs,
            train_checkpoints,
            score_checkpoints,
            estimate_cost,
            regenerate_rejected,
            mirror_lake,
            delete_released_journals,
            delete_leftovers,
        ],
        schedules=[
            daily_spending,
            nightly_schedule(deployment),
            weekly_cleanup(on=settings.deployment == "aws"),  # no lifecycle rule of S3 covers what it deletes
        ],
        sensors=[
            sources_sensor(),
            release_sensor(deployment),
            *checkpoint_sensors(deployment),
            failure_sensor(webhook),
            dead_runs,
            register_shards,
            backfill_sensor(),
            batches_sensor(deployment),
        ],
        resources=dagster_resources(deployment),
        # A step that needs its own process costs about three seconds, and every check is a step.
        executor=in_process_executor,
    )


def labelled(spec: AssetSpec, settings: Settings) -> AssetSpec:
    """An asset with the deployment's owners and tags, the release with the freshness policy too."""
    spec = spec.replace_attributes(owners=settings.asset_owners, tags={**spec.tags, **settings.asset_tags})
    if spec.key.to_user_string() != "boost_qa" or settings.release_fresh_hours is None:
        return spec
    policy = FreshnessPolicy.time_window(fail_window=timedelta(hours=settings.release_fresh_hours))
    return spec.replace_attributes(freshness_policy=policy)


pa.set_memory_pool(pa.system_memory_pool())  # pyarrow's own allocator does not return some 60 MB after a release
