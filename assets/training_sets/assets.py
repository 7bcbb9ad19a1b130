"""What models are tuned on: `training_sets`, one partition per variant, and the two paid inputs of its variants.

`chain_of_thought_answers` asks models for the variant `cot`. `gradient_features` launches a training job for `tagcos`.
"""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    Failure,
    MaterializeResult,
    ResourceParam,
    StaticPartitionsDefinition,
    asset,
)

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import RELEASES
from assets.boost_qa.schema import RELEASED
from assets.framework.publication import GatesFailed
from assets.framework.run_report import report_outcomes, report_store_errors, retry_outage
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from assets.training_sets.chain_of_thought import answer_seeds
from assets.training_sets.configuration import ComparisonRules
from assets.training_sets.gradient_features import FEATURE_SETS, publish_features
from assets.training_sets.makers import VariantContext, make_variant
from assets.training_sets.pools import make_pool
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES
from assets.training_sets.summary import features_metadata, training_set_metadata
from assets.training_sets.variants import HOME, NothingToMake, TrainingSetError
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError, StoreUnreachable
from resources.lake.tables import Lake
from resources.progress import progress
from resources.training_jobs.backend import BackendError
from resources.training_jobs.launcher import JobLauncher, TrainingFailed

EVERY_SOURCE = AssetDep("raw_seeds", partition_mapping=AllPartitionMapping())
EVERY_DIALOGUE = tuple(
    AssetDep(name, partition_mapping=AllPartitionMapping()) for name in ("scenario_dialogues", "scored_dialogues")
)


@asset(
    name=CHAIN_OF_THOUGHT_ANSWERS.name,
    deps=["boost_qa", EVERY_SOURCE],
    group_name="releases",
    kinds={"parquet"},
    code_version="1",
    pool="models",  # see infra/dagster.yaml
    metadata=column_schema(CHAIN_OF_THOUGHT_ANSWERS),
    description="A chain-of-thought answer to each seed of the latest release, by the model of the role that the "
    "comparison rules name. Asks models. The variant `cot` of `training_sets` reads them.",
)
def chain_of_thought_answers(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    comparison_rules: ResourceParam[ComparisonRules],
) -> MaterializeResult[Any]:
    """Answer the seeds of the latest release; answers that are current stay."""
    with report_store_errors(context):
        try:
            release = RELEASES.latest(lake)
            with progress("answers", context.log.info) as update:
                metadata = answer_seeds(lake, release, chat, comparison_rules.cot, update, context.run.run_id)
        except (EndpointUnusable, BudgetSpent) as error:
            retry_outage(context, error)
            raise Failure(str(error), allow_retries=False) from None
        except (TrainingSetError, ConfigurationError) as error:
            raise Failure(str(error), allow_retries=False) from None
        return MaterializeResult(metadata=dict(metadata))


@asset(
    name=GRADIENT_FEATURES.name,
    deps=["boost_qa", EVERY_SOURCE, AssetDep("dialogue_plans", partition_mapping=AllPartitionMapping())],
    group_name="releases",
    kinds={"numpy", "pytorch"},
    code_version="1",
    pool="training",  # see infra/dagster.yaml
    metadata=column_schema(GRADIENT_FEATURES),
    description="The gradient of each row of the pool of `tagcos`, as a vector (TAGCOS). Launches a training job. The "
    "variant `tagcos` of `training_sets` reads them.",
)
def gradient_features(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    job_launcher: ResourceParam[JobLauncher],
    release_rules: ResourceParam[ReleaseRules],
    comparison_rules: ResourceParam[ComparisonRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> MaterializeResult[Any]:
    """Compute the features of the pool; those that are published already stay."""
    with report_store_errors(context):
        try:
            run = FEATURE_SETS.begin(lake)
            retracted = load_retractions(seeds_configuration, lake.s3)
            release = RELEASES.latest(lake)
            rules = comparison_rules.tagcos
            pool = make_pool(lake, release, "tagcos", rules, release_rules, retracted)
            features = publish_features(run, release, pool, rules, lambda job: job_launcher.run(context, job))
        except (TrainingSetError, ConfigurationError, TrainingFailed, BackendError) as error:
            retry_outage(context, error)
            raise Failure(str(error), allow_retries=False) from None
        return MaterializeResult(metadata=features_metadata(lake, features, pool))


def training_sets_asset(partitions: StaticPartitionsDefinition) -> AssetsDefinition:
    """The stage for the training sets of a deployment; `partitions` are `ablations.variants`."""

    @asset(
        name=HOME,
        partitions_def=partitions,
        deps=["boost_qa", EVERY_SOURCE, *EVERY_DIALOGUE, CHAIN_OF_THOUGHT_ANSWERS.name, GRADIENT_FEATURES.name],
        group_name="releases",
        kinds={"parquet", "huggingface"},
        code_version="2",
        backfill_policy=BackfillPolicy.single_run(),
        metadata=column_schema(RELEASED),
        description="What models are tuned on, of the latest release. Of its size and splits: `boost_qa` points to it; "
        "`boost_qa_unless_wrong` and `boost_qa_final` have loss on fewer of its turns; `ori` has the same seeds with "
        "their original answers, `random_aug` and `spelling_aug` these with character noise, `cot` a chain of thought "
        "for each; an ablation has the dialogues of one scenario or of all but one, and the other seeds with their "
        "original answers; `tagcos` and `cot_collection` are selected from a pool of their own. Of other forms: `dpo` "
        "has pairs of a right and a wrong answer, `kto` answers with a label, `critique` reviews of wrong answers, "
        "`rlvr` questions whose answers a rule can check.",
    )
    def training_sets(
        context: AssetExecutionContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        scenarios: ResourceParam[Scenarios],
        release_rules: ResourceParam[ReleaseRules],
        comparison_rules: ResourceParam[ComparisonRules],
        seeds_configuration: ResourceParam[SeedsConfiguration],
    ) -> None:
        """Make each variant of this run from the latest release; one that cannot be made does not stop the others."""
        with report_outcomes(context, ConfigurationError) as outcomes:
            release = RELEASES.latest(lake)
            retracted = load_retractions(seeds_configuration, lake.s3)
            parts = VariantContext(
                lake, release, scenarios, comparison_rules, release_rules, retracted, chat.profile, context.log.info
            )
            for variant in outcomes.keys:
                try:
                    outcomes.written[variant] = training_set_metadata(lake, make_variant(parts, variant))
                except StoreUnreachable:  # this ends the run, whichever variant meets it
                    raise
                except NothingToMake as nothing:
                    context.log.warning(f"{nothing}; the one of an earlier release stays")
                    outcomes.written[variant] = {"nothing to make": str(nothing)}
                except (TrainingSetError, GatesFailed, ConfigurationError, StoreError) as error:
                    outcomes.failures[variant] = str(error)

    return training_sets
