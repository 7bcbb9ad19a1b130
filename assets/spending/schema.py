"""What `spending` makes."""

import pandera.polars as pa
import polars as pl

from assets.dialogues.schema import count, one_of
from assets.seeds.schema import text
from resources.lake.tables import Table

SPENDING = Table(
    name="spending",
    keys=("day",),
    schema=pa.DataFrameSchema(
        {
            "day": text("Day of the calls in UTC, `2026-01-31`; of accepted dialogues, the day of their scores."),
            "run": text("Run that paid; empty where it is unknown, and for model servers, which runs share."),
            "stage": text(
                "Table for which models were asked or trained, such as `scenario_dialogues`; or `model_servers`."
            ),
            "scenario": text("Scenario of the dialogues; empty for other stages."),
            "source": text("Source of the seeds; empty for other stages."),
            "role": text("Role of the profile, `model_server` or `training`; empty where it is unknown."),
            "model": text("Its model, or the base model that is trained; empty where it is unknown."),
            "mode": one_of(["live", "batch"], "Whether the provider answered at once or in a batch."),
            "calls": count("Completions."),
            "wasted": count("Answers that were paid for and could not be used, as they came."),
            "prompt_tokens": count("Tokens read."),
            "cached_tokens": count("Of these, from the provider's cache."),
            "completion_tokens": count("Tokens written."),
            "reasoning_tokens": count("Of these, the thoughts of reasoning models, where the server counts them."),
            "hours": pa.Column(
                pl.Float64,
                pa.Check.ge(0),
                description="Hours of a machine of one's own: a model server that was started, or a training job.",
            ),
            "cost": pa.Column(pl.Float64, pa.Check.ge(0), description="US dollars, at the prices of the day."),
            "accepted": count("Dialogues that are accepted now, in rows of their own."),
        },
        strict=True,
        description="What was paid for models and how many dialogues it bought, one row per day, run, stage, scenario, "
        "source, role, model and mode.",
    ),
)
