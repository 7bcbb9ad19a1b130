"""What is paid for to make training sets: chain-of-thought answers, and gradient features."""

import pandera.polars as pa
import polars as pl

from assets.seeds.schema import text
from resources.lake.tables import Table

CHAIN_OF_THOUGHT_ANSWERS = Table(
    name="chain_of_thought_answers",
    keys=("release",),
    schema=pa.DataFrameSchema(
        {
            "release": text("Id of the release whose seeds are answered."),
            "seed_id": text("The seed."),
            "answer": text("The chain of thought with its answer; null if no answer could be used.", nullable=True),
            "reason": text("Short code of why there is no answer: the last refusal.", nullable=True),
        },
        strict=True,
        unique=["seed_id"],
        description="One chain-of-thought answer per seed of a release.",
    ),
)

GRADIENT_FEATURES = Table(
    name="gradient_features",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            "features": pa.Column(
                pl.List(pl.Float32),
                description="A row's gradient, as Adam would scale it, projected to `tagcos.features.dimensions` "
                "numbers and averaged over the checkpoints of the warm-up; zeros if the row trains nothing.",
            )
        },
        description="One vector per row of the pool, in the order of its rows.",
    ),
)  # for the UI; the file is features.npy
