"""What `scenario_dialogues` makes."""

import pandera.polars as pa
import polars as pl

from assets.dialogue_plans.schema import SCENARIO_NAMES, SPLIT_NAMES
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

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
            "scenario": pa.Column(pl.String, pa.Check.isin(SCENARIO_NAMES), description="Scenario of the dialogue."),
            "shard": text("Shard of the seed."),
            "source": text("Source of the seed."),
            "domain": pa.Column(pl.String, pa.Check.isin(DOMAINS), description="math, code or general."),
            "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="Split of the seed."),
            "seed_id": text("The seed that the dialogue is about."),
            "partner_seed_id": text("The similar question, in an analogy.", nullable=True),
            "generation": pa.Column(
                pl.Int32, pa.Check.ge(0), description="0, and one more with each requested regeneration."
            ),
            "status": pa.Column(pl.String, pa.Check.isin(["complete", "set_aside"]), description="How it ended."),
            "status_reason": text("Why it was set aside: a short code, then a colon and the words.", nullable=True),
            "turns": pa.Column(pl.List(TURN), description="What was said, in order; of a set-aside one, until then."),
            "discarded": pa.Column(pl.List(DISCARDED), description="Utterances that the screening refused, and why."),
            "first_answer": pa.Column(
                pl.String,
                pa.Check.isin(["right", "wrong", "unknown"]),
                description="The first student's own final answer against the reference.",
            ),
            "prompt_tokens": pa.Column(pl.Int64, pa.Check.ge(0), description="Tokens read by all calls kept."),
            "completion_tokens": pa.Column(pl.Int64, pa.Check.ge(0), description="Tokens written by all calls kept."),
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
            "scenario": pa.Column(pl.String, pa.Check.isin(SCENARIO_NAMES), description="Scenario of the dialogue."),
            "shard": text("Shard of the seed."),
            "dialogue_id": text("The dialogue that is to be generated again."),
            "generation": pa.Column(pl.Int32, pa.Check.ge(1), description="How often its regeneration was requested."),
            "reason": text("Why, the last time: a rejection reason."),
        },
        strict=True,
        unique=["dialogue_id"],
        description="Rejected dialogues that the next run of their partition generates again.",
    ),
)
