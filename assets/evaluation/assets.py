"""The `benchmark_scores` asset: every benchmark asked of every checkpoint, one base model and variant per partition."""

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    IdentityPartitionMapping,
    MultiPartitionsDefinition,
    ResourceParam,
    asset,
)

from assets.evaluation.configuration import Benchmarks
from assets.evaluation.evaluate_checkpoints import CheckpointEvaluation
from assets.evaluation.runs import Evaluation, read_all_questions
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partition_run import run_partitions
from assets.framework.run_report import RETRY_SECONDS, report_outcomes
from assets.framework.ui_metadata import column_schema
from assets.training_programs.recipe import Training
from assets.training_programs.specification import HOME as CHECKPOINTS
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError
from resources.lake.tables import Lake
from resources.model_servers.embedded.weights import EmbeddedModelMissing
from resources.model_servers.lease import ModelServerError
from resources.model_servers.tuned.configuration import Serving
from resources.model_servers.tuned.merge_adapter import NotMergeable
from resources.outside_text import without_links
from resources.progress import progress
from resources.sandbox.bubblewrap import NoSandbox

STOPS_THE_RUN = (
    EndpointUnusable,
    BudgetSpent,
    ModelServerError,
    EmbeddedModelMissing,
    NoSandbox,
    ConfigurationError,
)
FAILS_A_PARTITION = (ConfigurationError, StoreError, NotMergeable)


def benchmark_asset(tunings: MultiPartitionsDefinition) -> AssetsDefinition:
    """The stage for the base models of a configuration; `tunings` are base × variant."""

    @asset(
        name=BENCHMARK_SCORES.name,
        partitions_def=tunings,
        deps=[AssetDep(CHECKPOINTS, partition_mapping=IdentityPartitionMapping())],
        group_name="evaluation",
        kinds={"openai", "polars", "parquet"},
        code_version="2",
        backfill_policy=BackfillPolicy.single_run(),
        pool="models",  # see infra/dagster.yaml
        metadata=column_schema(BENCHMARK_SCORES),
        description="Each tuned model, and the base model as it is, asked the questions of every benchmark: accuracy "
        "with its interval, one row per benchmark. Every single answer is in the table benchmark_answers.",
    )
    def benchmark_scores(
        context: AssetExecutionContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        training: ResourceParam[Training],
        benchmarks: ResourceParam[Benchmarks],
        serving: ResourceParam[Serving],
    ) -> None:
        evaluation = Evaluation(lake, chat, serving, benchmarks, training, context.run.run_id)
        evaluate_partitions(context, evaluation)

    return benchmark_scores


def evaluate_partitions(
    context: AssetExecutionContext, evaluation: Evaluation, retry_seconds: tuple[float, ...] = RETRY_SECONDS
) -> None:
    """Evaluate the partitions of a run, one after the other; each is written when its last answer is decided.

    Raises:
        Failure: names the partitions that failed, or what stopped the run.
    """
    with report_outcomes(context, *STOPS_THE_RUN, retry_seconds=retry_seconds) as outcomes:
        questions = read_all_questions(evaluation)
        for asked in questions:
            if asked.unparsed:
                first = asked.unparsed[0]
                message = (
                    f"benchmark {asked.benchmark.name!r}: {len(asked.unparsed)} rows are not asked; the first is "
                    f"{first.file}, row {first.row}: {first.reason}"
                )
                context.log.warning(without_links(message))
        work = CheckpointEvaluation(evaluation, questions, lambda title: progress(title, context.log.info))
        address = evaluation.lake.store.uri(BENCHMARK_SCORES.name)
        run_async(run_partitions(work, outcomes, address=address, fails_partition=FAILS_A_PARTITION))
