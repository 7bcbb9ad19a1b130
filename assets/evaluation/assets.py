"""The `benchmark_scores` asset: every benchmark asked of every checkpoint, one base model and variant a partition."""

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
from assets.evaluation.runs import EvaluatedPartition, Evaluation, evaluate, read_all_questions
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.evaluation.summary import GATE_FAILED, describe
from assets.framework.outcomes import outcomes_told
from assets.framework.ui_metadata import OWNERS, column_schema
from assets.training_programs.recipe import Training
from assets.training_programs.specification import HOME as CHECKPOINTS
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError, StoreUnreachable
from resources.lake.tables import Lake, TableError
from resources.model_servers.embedded.lease import EmbeddedServerError
from resources.model_servers.embedded.models import EmbeddedModelMissing
from resources.model_servers.tuned.configuration import Serving
from resources.model_servers.tuned.merged import NotMergeable
from resources.progress import progress
from resources.sandbox.sandbox import NoSandbox

STOPS_THE_RUN = (
    EndpointUnusable,
    BudgetSpent,
    EmbeddedServerError,
    EmbeddedModelMissing,
    NoSandbox,
    ConfigurationError,
)
FAILS_A_PARTITION = (ConfigurationError, StoreError, TableError, NotMergeable)


def benchmark_asset(tunings: MultiPartitionsDefinition) -> AssetsDefinition:
    """The stage for the base models of a configuration; `tunings` are base × variant."""

    @asset(
        name=BENCHMARK_SCORES.name,
        partitions_def=tunings,
        deps=[AssetDep(CHECKPOINTS, partition_mapping=IdentityPartitionMapping())],
        group_name="evaluation",
        kinds={"openai", "polars", "parquet"},
        owners=OWNERS,
        code_version="2",
        backfill_policy=BackfillPolicy.single_run(),
        pool="models",  # see infra/dagster.yaml
        metadata=column_schema(BENCHMARK_SCORES),
        description="Each tuned model, and the base model as it is, asked the questions of every benchmark: accuracy "
        "with its interval, a row a benchmark. Every single answer stands in the table benchmark_answers.",
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


def evaluate_partitions(context: AssetExecutionContext, evaluation: Evaluation) -> None:
    """Evaluate the partitions of a run, one after the other; each is written when its last answer is decided.

    Raises:
        Failure: names the partitions that failed, or what stopped the run.
    """
    with outcomes_told(context, *STOPS_THE_RUN) as outcomes:
        questions = read_all_questions(evaluation)
        for asked in questions:
            if asked.unparsed:
                first = asked.unparsed[0]
                context.log.warning(
                    f"benchmark {asked.benchmark.name!r}: {len(asked.unparsed)} rows are not asked; the first is "
                    f"{first.file}, row {first.row}: {first.reason}"
                )
        for key in outcomes.keys:
            base, _, variant = key.partition("|")
            try:
                with progress(f"evaluating {key}", context.log.info) as update:
                    made: EvaluatedPartition = run_async(evaluate(evaluation, questions, base, variant, update))
            except StoreUnreachable:  # no fault of this partition's
                raise
            except FAILS_A_PARTITION as error:
                outcomes.faults[key] = str(error)
                continue
            outcomes.described[key] = describe(made, evaluation.lake)
            if made.gate == "failed":
                outcomes.unfit[key] = GATE_FAILED
