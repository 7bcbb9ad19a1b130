"""What the UI shows of a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import MetadataValue

from assets.checkpoints.checkpoint import Checkpoint, metrics
from assets.framework.ui_metadata import COLOURS, new_figure, picture, table_markdown
from resources.lake.tables import Lake
from resources.training_jobs.configuration import TrainerConfiguration

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def untuned_metadata(lake: Lake, checkpoint: Checkpoint) -> dict[str, Any]:
    """What there is to say of a base model that is left as it is."""
    base = checkpoint.manifest["base"]
    return {
        "model": base["model"] + (f" ({base['revision']})" if base["revision"] else ""),
        "adapter": "none: the base model as it is",
        "checkpoint": MetadataValue.path(lake.store.uri(checkpoint.folder)),
    }


def checkpoint_metadata(lake: Lake, checkpoint: Checkpoint, trainer: TrainerConfiguration) -> dict[str, Any]:
    """Loss curve, results, cost, and where everything is."""
    results, rows = checkpoint.results, metrics(lake, checkpoint)
    hours = results["seconds"] / 3600
    shown: dict[str, Any] = {
        "loss": picture(loss_figure(rows), "Training and validation loss by optimiser step"),
        "final validation loss": _rounded(results.get("validation_loss")),
        "best validation loss": _rounded(results.get("best_validation_loss")),
        "final training loss": _rounded(results["last_loss"]),
        "steps": checkpoint.manifest["global_step"],
        "tokens seen": results["tokens"],
        "minutes": round(results["seconds"] / 60, 2),
        "cost in USD": round(hours * trainer.usd_per_hour, 4) if trainer.usd_per_hour else None,
        "speed": table_markdown(_speed(results)),
        "release": checkpoint.manifest["training_set"]["release"],
        "training set": f"training_sets/{checkpoint.variant}/{checkpoint.manifest['training_set']['id']}",
        "checkpoint": MetadataValue.path(lake.store.uri(checkpoint.folder)),
        "model card": MetadataValue.path(lake.store.uri(f"{checkpoint.folder}/README.md")),
        "recipe": MetadataValue.json(checkpoint.manifest["recipe"]),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, 4)


def _speed(results: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    memory, mfu = results.get("peak_memory_bytes"), results.get("mfu")
    measures = {
        "device": results.get("device"),
        "processes": results.get("processes"),
        "tokens a second": f"{results['tokens_per_second']:,.0f}" if results.get("tokens_per_second") else None,
        "peak memory": f"{memory / 2**30:.2f} GiB" if memory else None,
        "model FLOPs utilisation": f"{mfu:.1%}" if mfu else None,
    }
    return [{"what": what, "measured": value} for what, value in measures.items() if value is not None]


def loss_figure(rows: pl.DataFrame) -> "Figure":
    """Training loss as a line, validation loss as points on a line, over optimiser steps. See `schema.METRICS`."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6.0, 3.0)
    axes = figure.add_subplot()
    series = (("loss", "training", "-", ""), ("validation_loss", "validation", "--", "o"))
    for colour, (column, label, line, marker) in zip(COLOURS, series, strict=False):
        points = rows.drop_nulls(column)
        if points.height:
            axes.plot(
                points["step"].to_numpy(),
                points[column].to_numpy(),
                label=label,
                color=colour,
                linestyle=line,
                marker=marker or ("." if points.height < 3 else ""),
            )
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
