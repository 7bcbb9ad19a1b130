"""The table that `dialogue_plans` writes."""

import pandera.polars as pa
import polars as pl

from assets.framework.partitions import Scenario, Split
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

SCENARIO_NAMES = tuple(scenario.value for scenario in Scenario)
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
            "scenario": pa.Column(pl.String, pa.Check.isin(SCENARIO_NAMES), description="Scenario of its dialogue."),
            "drawn_scenario": pa.Column(
                pl.String,
                pa.Check.isin(SCENARIO_NAMES),
                description="The scenario that was drawn; differs from `scenario` where an analogy found no partner.",
            ),
            "debate_rounds": pa.Column(
                pl.Int8, pa.Check.isin([1, 2]), nullable=True, description="Rounds of A and B, in a debate."
            ),
            "partner_seed_id": text("The similar question, in an analogy.", nullable=True),
            "partner_similarity": pa.Column(
                pl.Float32, nullable=True, description="Cosine similarity of the two questions."
            ),
        },
        strict=True,
        unique=["seed_id"],
        description="One dialogue plan per seed, drawn once.",
    ),
)
