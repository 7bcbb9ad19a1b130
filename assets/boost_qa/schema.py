"""A row of a BOOST-QA release, and of every training set: ShareGPT form with its lineage."""

import pandera.polars as pa
import polars as pl

from assets.dialogue_plans.schema import SPLIT_NAMES
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

CONVERSATION = pl.List(pl.Struct({"from": pl.String, "value": pl.String}))

RELEASE_ROW = pa.DataFrameSchema(
    {
        "id": text("dialogue_id of the dialogue (of an original pair: its seed_id)."),
        "conversations": pa.Column(CONVERSATION, description="Strictly alternating human and gpt, human first."),
        "system": text("System prompt of the seed; empty where there is none."),
        "trains": pa.Column(pl.List(pl.Boolean), description="For each turn, whether training on it computes loss."),
        "scenario": text("The scenario; original; or the training set that made the row."),
        "source": text("Source of the seed."),
        "domain": pa.Column(pl.String, pa.Check.isin(DOMAINS), description="math, code or general."),
        "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="train, validation or test."),
        "seed_id": text("The seed of the dialogue."),
        "partner_seed_id": text(
            "The similar question, where the scenario has one; in JSONL empty elsewhere.", nullable=True
        ),
        "licence": text("Licence of the source."),
        "quality_score": pa.Column(
            pl.Float64,
            pa.Check.in_range(0, 1),
            nullable=True,
            description="0 to 1; null for an original pair, in JSONL -1.",
        ),
    },
    strict=True,
    unique=["id"],
    description="One conversation to train on.",
)

RELEASED = Table(name="boost_qa", keys=(), schema=RELEASE_ROW)  # for the UI; the files are those of a release

DECISIONS = ("rejected", "set_aside", "retracted", "near_duplicate", "contaminated", "untrained")

REMOVED = pa.DataFrameSchema(
    {
        "dialogue_id": text("The dialogue that is not in the release."),
        "seed_id": text("Its seed."),
        "partner_seed_id": text("The similar question, where the scenario has one.", nullable=True),
        "scenario": text("The scenario."),
        "source": text("Source of the seed."),
        "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="The split of the seed."),
        "decision": pa.Column(
            pl.String,
            pa.Check.isin(DECISIONS),
            description="rejected by the quality rules, set_aside while it was made, retracted seed, near_duplicate of "
            "a dialogue in an earlier split, contaminated by a benchmark, untrained because no turn carries loss.",
        ),
        "reason": text("Short code: the rules that it fails, why it was set aside, or the benchmark's name."),
        "detail": text("The reason in words.", nullable=True),
        "accepted": pa.Column(pl.Boolean, description="Whether the quality rules accepted it."),
    },
    strict=True,
    unique=["dialogue_id"],
    description="Every scored dialogue of the release's partitions that is not in it, with the reason.",
)
