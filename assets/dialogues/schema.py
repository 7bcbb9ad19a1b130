"""What `scenario_dialogues` makes."""

from collections.abc import Iterable

import pandera.polars as pa
import polars as pl

from assets.dialogue_plans.schema import SPLIT_NAMES
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table


def one_of(values: Iterable[str], description: str) -> pa.Column:
    """A text column with a fixed set of values."""
    return pa.Column(pl.String, pa.Check.isin(list(values)), description=description)


def count(description: str, dtype: type[pl.DataType] = pl.Int64, least: int = 0) -> pa.Column:
    """A whole number."""
    return pa.Column(dtype, pa.Check.ge(least), description=description)


IDENTITY = {
    "scenario": text("Scenario of the dialogue."),
    "shard": text("Shard of the seed."),
    "source": text("Source of the seed."),
    "domain": one_of(DOMAINS, "math, code or general."),
    "split": one_of(SPLIT_NAMES, "Split of the seed."),
    "seed_id": text("The seed that the dialogue is about."),
}
"""Columns that dialogues and their scores have in common."""
STATUS = one_of(["complete", "set_aside"], "How it ended.")

TURN = pl.Struct(
    {
        "speaker": pl.String,  # "teacher", "student", "student A", ...
        "role": pl.String,  # the profile's role; null for turns without a model call
        "side": pl.String,  # "human" | "gpt": the side of the ShareGPT form
        "text": pl.String,
        "trains": pl.Boolean,  # whether the turn carries loss
        "reasoning": pl.String,  # a reasoning model's thoughts, kept apart; else null
        "model": pl.String,
        "temperature": pl.Float64,
        "finish_reason": pl.String,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
        "prompt_version": pl.String,  # content hash of the role's prompt file
        "final_answer": pl.String,  # "right" | "wrong" | "unknown", where a student answers; else null
    }
)
DISCARDED = pl.Struct({"turn": pl.Int32, "regeneration": pl.Int32, "reason": pl.String, "text": pl.String})

DIALOGUES = Table(
    name="scenario_dialogues",
    keys=("scenario", "shard"),
    schema=pa.DataFrameSchema(
        {
            "dialogue_id": pa.Column(
                pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), description="Hash of scenario and seed ids."
            ),
            **IDENTITY,
            "partner_seed_id": text("The similar question, where the scenario has one.", nullable=True),
            "generation": count("0, and one more with each requested regeneration.", pl.Int32),
            "status": STATUS,
            "status_reason": text("Why it was set aside: a short code, then a colon and the words.", nullable=True),
            "turns": pa.Column(pl.List(TURN), description="What was said, in order; of a set-aside one, until then."),
            "discarded": pa.Column(pl.List(DISCARDED), description="Utterances that the screening refused, and why."),
            "first_answer": one_of(
                ["right", "wrong", "unknown"], "The first student's own final answer against the reference."
            ),
            "prompt_tokens": count("Tokens read by all calls kept."),
            "completion_tokens": count("Tokens written by all calls kept."),
        },
        strict=True,
        unique=["dialogue_id"],
        description="Dialogues, complete or set aside with the reason.",
    ),
)

REGENERATIONS = Table(
    name="regenerations",
    keys=("scenario", "shard"),
    schema=pa.DataFrameSchema(
        {
            "scenario": IDENTITY["scenario"],
            "shard": IDENTITY["shard"],
            "dialogue_id": text("The dialogue that is to be generated again."),
            "generation": count("How often its regeneration was requested.", pl.Int32, 1),
            "reason": text("Why, the last time: a rejection reason."),
        },
        strict=True,
        unique=["dialogue_id"],
        description="Rejected dialogues that the next run of their partition generates again.",
    ),
)
