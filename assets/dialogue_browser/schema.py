"""What `dialogue_browser` lists: one line per dialogue of a release, including those that were left out."""

import pandera.polars as pa
import polars as pl

from assets.boost_qa.schema import DECISIONS
from assets.dialogue_plans.schema import SPLIT_NAMES
from assets.seeds.schema import text
from resources.lake.tables import Table

ACCEPTED = "accepted"
VERDICTS = (ACCEPTED, *DECISIONS)

LISTED = Table(
    name="dialogue_browser",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            "dialogue_id": text("The dialogue."),
            "title": text("The beginning of its question; empty if the seed was retracted."),
            "scenario": text("Scenario of the dialogue."),
            "source": text("Source of the seed."),
            "verdict": pa.Column(
                pl.String,
                pa.Check.isin(VERDICTS),
                description="accepted into the release, or why not: rejected by the quality rules, set_aside while "
                "it was made, retracted seed, near_duplicate of a dialogue in an earlier split, contaminated by a "
                "benchmark.",
            ),
            "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="Split of the seed."),
            "quality_score": pa.Column(
                pl.Float64, pa.Check.in_range(0, 1), description="By the quality rules, 0 to 1."
            ),
            "reasons": pa.Column(pl.List(pl.String), description="Codes of why it is not in the release."),
        },
        strict=True,
        unique=["dialogue_id"],
        description="The dialogues that the browser shows.",
    ),
)  # for the UI; `assets.dialogue_browser.files` writes the files
