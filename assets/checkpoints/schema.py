"""The table of a training run: one row a logged step, read from the checkpoint's metrics.jsonl."""

import pandera.polars as pa
import polars as pl

from resources.lake.tables import Table


def measure(dtype: type[pl.DataType], description: str) -> pa.Column:
    """A number that some rows do not have."""
    return pa.Column(dtype, nullable=True, description=description)


METRICS = Table(
    "checkpoint_metrics",
    ("base", "variant"),
    pa.DataFrameSchema(
        {
            "step": pa.Column(pl.Int64, pa.Check.ge(0), description="Optimiser steps taken."),
            "epoch": pa.Column(pl.Float64, description="Times through the training split."),
            "loss": measure(
                pl.Float64,
                "Mean loss since the last row: cross-entropy of the assistant tokens, or that of dpo or kto.",
            ),
            "validation_loss": measure(pl.Float64, "The same over the validation split; null where not evaluated."),
            "learning_rate": measure(pl.Float64, "Learning rate of the step."),
            "gradient_norm": measure(pl.Float64, "Norm of the gradients before clipping."),
            "tokens": measure(pl.Int64, "Tokens read so far, padding left out."),
            "tokens_per_second": measure(pl.Float64, "Of the steps since the last row."),
            "memory_bytes": measure(pl.Int64, "Peak memory so far: the GPU's, else the process's."),
            "mfu": measure(pl.Float64, "Model FLOPs utilisation; null where the device's peak is not known."),
            "reward_margin": measure(pl.Float64, "dpo and kto: how much the rewards of good and bad answers differ."),
            "reward_accuracy": measure(pl.Float64, "dpo: share of pairs whose chosen answer has the higher reward."),
        },
        strict=True,
    ),
)
