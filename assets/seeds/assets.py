"""`raw_seeds` and `seed_embeddings`, one partition per source."""

from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    MetadataValue,
    ResourceParam,
    StaticPartitionsDefinition,
    asset,
)

from assets.framework.partitions import SHARDS
from assets.framework.run_report import report_outcomes
from assets.framework.ui_metadata import ROW_COUNT, column_schema, counts_markdown, sample_markdown, stored_at
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.embeddings import EmbeddingError, EmbeddingResult, embed_source
from assets.seeds.intake import Intake, take_in
from assets.seeds.retractions import load_retractions
from assets.seeds.rows import SeedsError
from assets.seeds.schema import EMBEDDINGS, REJECTS, SEEDS
from resources.embedder import Embedder
from resources.lake.tables import Lake
from resources.progress import progress


def seed_assets(sources: StaticPartitionsDefinition) -> list[AssetsDefinition]:
    """The seeds stage for the sources of a configuration."""

    @asset(
        partitions_def=sources,
        group_name="seeds",
        kinds={"parquet", "huggingface"},
        description="Question-answer pairs: read, normalised, sampled and written to shards that never change. "
        "Reading a source again only adds new seeds. Rows that cannot be used are in `seed_rejects`, with the reason.",
        code_version="1",
        backfill_policy=BackfillPolicy.single_run(),
        metadata=column_schema(SEEDS),
    )
    def raw_seeds(
        context: AssetExecutionContext,
        lake: ResourceParam[Lake],
        seeds_configuration: ResourceParam[SeedsConfiguration],
    ) -> None:
        retracted = load_retractions(seeds_configuration, lake.s3)
        with report_outcomes(context) as outcomes:
            for source in outcomes.keys:
                try:
                    intake = take_in(lake, seeds_configuration, source, retracted, context.log.info)
                except SeedsError as error:
                    outcomes.failures[source] = str(error)
                    continue
                # After writing, so that Dagster never lists a shard that does not exist.
                context.instance.add_dynamic_partitions(SHARDS, intake.shards)
                outcomes.written[source] = intake_metadata(lake, intake)

    @asset(
        partitions_def=sources,
        deps=[raw_seeds],
        group_name="seeds",
        kinds={"parquet"},
        description="Unit vectors of the seeds' questions, by which analogies find similar questions. "
        "Only shards without vectors of this embedder are embedded.",
        code_version="1",
        backfill_policy=BackfillPolicy.single_run(),
        metadata=column_schema(EMBEDDINGS),
    )
    def seed_embeddings(
        context: AssetExecutionContext, lake: ResourceParam[Lake], embedder: ResourceParam[Embedder]
    ) -> None:
        with report_outcomes(context) as outcomes, progress("embeddings", context.log.info):
            for source in outcomes.keys:
                try:
                    embedded = embed_source(lake, embedder, source)
                except EmbeddingError as error:
                    outcomes.failures[source] = str(error)
                    continue
                outcomes.written[source] = embedding_metadata(lake, embedded, embedder.identity)

    return [raw_seeds, seed_embeddings]


def intake_metadata(lake: Lake, intake: Intake) -> dict[str, Any]:
    """What the UI shows of one reading."""
    newest = lake.read(SEEDS, [{"source": intake.source, "shard": intake.shards[-1]}])
    sample = newest.row(0, named=True)
    counts = {
        "rows read": intake.rows,
        "new seeds": intake.added,
        "known before": intake.held,
        "repeated": intake.repeated,
        "beyond the sample": intake.beyond_sample,
        "retracted": intake.retracted,
        "rejected": intake.rejected,
        "new with another representative": intake.duplicates,
        "new without a final answer": intake.without_final,
    }
    seeds = sum(record.rows for record in lake.records(SEEDS) if record.keys["source"] == intake.source)
    return {
        "sample": sample_markdown(("Question", sample["question"]), ("Answer", sample["answer"]), limit=2000),
        ROW_COUNT: seeds,
        "reading": intake.reading,
        "counts": counts_markdown("what", "rows", counts),
        "rejected": counts_markdown("reason", "rows", intake.reasons),
        "new shards": MetadataValue.md(", ".join(intake.new_shards) or "none: nothing is new"),
        "seeds": stored_at(lake.store, f"{SEEDS.name}/source={intake.source}"),
        "rejects": stored_at(lake.store, lake.path(REJECTS, {"source": intake.source})),
    }


def embedding_metadata(lake: Lake, embedded: EmbeddingResult, identity: str) -> dict[str, Any]:
    """What the UI shows of one source's vectors."""
    return {
        ROW_COUNT: embedded.seeds,
        "embedder": identity,
        "dimensions": embedded.dimensions,
        "new shards": MetadataValue.md(", ".join(embedded.new_shards) or "none: all are embedded"),
        "vectors": stored_at(lake.store, f"{EMBEDDINGS.name}/source={embedded.source}"),
    }
