"""The tables that `raw_seeds` and `seed_embeddings` write."""

import pandera.polars as pa
import polars as pl

from resources.lake.tables import Table

DOMAINS = ("math", "code", "general")


def text(description: str, *, nullable: bool = False) -> pa.Column:
    """A text column."""
    return pa.Column(pl.String, nullable=nullable, description=description)


SEEDS = Table(
    name="raw_seeds",
    keys=("source", "shard"),
    schema=pa.DataFrameSchema(
        {
            "seed_id": pa.Column(
                pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), description="Hash of source, question and answer."
            ),
            "source": text("Name of the source in the seeds configuration."),
            "shard": text("Shard of the seed, which never changes."),
            "reading": pa.Column(pl.Int32, pa.Check.ge(1), description="The reading of the source that added it."),
            "domain": pa.Column(pl.String, pa.Check.isin(DOMAINS), description="math, code or general."),
            "system": text("System prompt of the row, where there is one.", nullable=True),
            "question": pa.Column(
                pl.String,
                pa.Check.str_length(min_value=1),
                description="What is asked, below the conversation before it.",
            ),
            "answer": pa.Column(
                pl.String, pa.Check.str_length(min_value=1), description="The reference answer, without reasoning."
            ),
            "reference_final": text("Final answer in the reference answer, where one can be read.", nullable=True),
            "tests": text("Of code: Python tests that a right answer passes, where the row has some.", nullable=True),
            "representative": text(
                "seed_id that represents its group: near-duplicates, and questions of its conversation."
            ),
            "licence": text("Licence of the source."),
            "origin_file": text("File or hub id that the row came from."),
            "origin_row": pa.Column(pl.Int64, pa.Check.ge(0), description="Row in that file, from 0."),
        },
        strict=True,
        unique=["seed_id"],
        description="Question-answer pairs, normalised and pinned to shards. Only grows.",
    ),
    extensible=True,
)

REJECTS = Table(
    name="seed_rejects",
    keys=("source",),
    schema=pa.DataFrameSchema(
        {
            "source": text("Name of the source."),
            "origin_file": text("File or hub id that the row came from."),
            "origin_row": pa.Column(pl.Int64, pa.Check.ge(0), description="Row in that file, from 0."),
            "reason": text("Short code of what is wrong, such as empty_answer."),
            "detail": text("What is wrong, with the beginning of the row."),
        },
        strict=True,
        description="Rows of the last reading of a source that cannot be used, with the reason.",
    ),
)

READINGS = Table(
    name="seed_readings",
    keys=("source",),
    schema=pa.DataFrameSchema(
        {
            "source": text("Name of the source."),
            "reading": pa.Column(pl.Int32, pa.Check.ge(1), description="Number of the reading, from 1."),
            "read_at": pa.Column(pl.Datetime("us", "UTC"), description="When it ended."),
            "rows": pa.Column(
                pl.Int64,
                pa.Check.ge(0),
                description="Rows read, each pair of a conversation counted: the sum of the next six columns.",
            ),
            "rejected": pa.Column(
                pl.Int64, pa.Check.ge(0), description="Rows that cannot be used, see `seed_rejects`."
            ),
            "repeated": pa.Column(pl.Int64, pa.Check.ge(0), description="Rows whose seed was read before."),
            "beyond_sample": pa.Column(pl.Int64, pa.Check.ge(0), description="Usable rows left out of the sample."),
            "retracted": pa.Column(pl.Int64, pa.Check.ge(0), description="Retracted seeds, which were not added."),
            "held": pa.Column(pl.Int64, pa.Check.ge(0), description="Seeds that were in the lake already."),
            "added": pa.Column(pl.Int64, pa.Check.ge(0), description="New seeds."),
            "shard_size": pa.Column(pl.Int32, pa.Check.ge(1), description="Most seeds of one of its shards."),
        },
        strict=True,
        unique=["source", "reading"],
        description="How many rows of each finished reading of a source were used or not. Only grows.",
    ),
)

EMBEDDINGS = Table(
    name="seed_embeddings",
    keys=("source", "shard"),
    schema=pa.DataFrameSchema(
        {
            "seed_id": text("The seed."),
            "source": text("Name of the source."),
            "shard": text("Shard of the seed."),
            "embedder": text("Kind and model of the embedder; vectors of different embedders are never compared."),
            "vector": pa.Column(pl.List(pl.Float32), description="Unit vector of the question."),
        },
        strict=True,
        unique=["seed_id"],
        description="Unit vectors of the seeds' questions, for the retrieval of analogies.",
    ),
)
