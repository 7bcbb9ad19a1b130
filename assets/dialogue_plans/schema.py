"""The table that `dialogue_plans` writes."""

import pandera.polars as pa
import polars as pl

from assets.framework.partitions import Split
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

SPLIT_NAMES = tuple(split.value for split in Split)

DIALOGUE_PLANS = Table(
    name="dialogue_plans",
    keys=("shard",),
    schema=pa.DataFrameSchema(
        {
            "seed_id": text("The seed."),
            "source": text("Name of its source."),
            "shard": text("Its shard."),
            "domain": pa.Column(pl.String, pa.Check.isin(DOMAINS), description="math, code or general."),
            "representative": text("seed_id that represents its group of near-duplicates."),
            "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="By hash of the representative."),
            "scenario": text("Scenario of its dialogue."),
            "drawn_scenario": text(
                "The scenario that was drawn; differs from `scenario` where no similar question was found, or where "
                "the seed is a similar question already."
            ),
            "repetitions": pa.Column(
                pl.Int8,
                pa.Check.ge(1),
                nullable=True,
                description="How often the scenario's loop runs, where it draws a number.",
            ),
            "partner_seed_id": text("The similar question, where the scenario needs one.", nullable=True),
            "partner_similarity": pa.Column(
                pl.Float32, nullable=True, description="Cosine similarity of the two questions."
            ),
        },
        strict=True,
        unique=["seed_id"],
        description="One dialogue plan per seed, drawn once.",
    ),
)
