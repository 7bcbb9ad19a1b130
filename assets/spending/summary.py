"""What the UI shows of the money, and what one line of `status` says."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import polars as pl
from dagster import MarkdownMetadataValue, MetadataValue

from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import UNTUNED
from assets.framework.ui_metadata import COLOURS, ROW_COUNT, new_figure, picture, table_markdown
from assets.spending.spending import dataset_rows, total_cost
from resources.lake.tables import Lake

TUNED = "boost_qa"
SHOWN = 20
NO_PRICE = "–"
TOKENS = pl.col("prompt_tokens") + pl.col("completion_tokens")
PAID = (TOKENS > 0) | (pl.col("hours") > 0)


def totals(rows: pl.DataFrame) -> dict[str, Any]:
    """Tokens, hours of machines, US dollars, accepted dialogues with the price of one, and the share of the prompt
    tokens that came from the provider's cache (None without any)."""
    dataset, accepted, prompt = dataset_rows(rows), int(rows["accepted"].sum()), int(rows["prompt_tokens"].sum())
    return {
        "tokens": prompt + int(rows["completion_tokens"].sum()),
        "hours": math.fsum(rows["hours"]),
        "cost": total_cost(rows),
        "accepted": accepted,
        "cost_per_accepted": total_cost(dataset) / accepted if accepted else None,
        "cached_share": int(rows["cached_tokens"].sum()) / prompt if prompt else None,
    }


def spent_text(spent: Mapping[str, Any]) -> str:
    """What `totals` gives as a line of text."""
    each, cached = spent["cost_per_accepted"], spent["cached_share"]
    return ", ".join(
        [
            f"{spent['tokens']:,} tokens",
            *([f"{spent['hours']:,.1f} hours of machines"] if spent["hours"] else []),
            f"${spent['cost']:,.2f}",
            *([f"${each:,.4f} per accepted dialogue"] if each else []),
            *([f"{cached:.0%} of the prompt tokens from the provider's cache"] if cached else []),
        ]
    )


def spending_metadata(lake: Lake, rows: pl.DataFrame) -> dict[str, Any]:
    """Tables and plots of the rows of `SPENDING`."""
    sums = totals(rows)
    shown: dict[str, Any] = {
        "US dollars": MetadataValue.float(sums["cost"]),
        "tokens": sums["tokens"],
        "accepted dialogues": sums["accepted"],
        "by stage": by(rows, ["stage"]),
        "by role": by(rows, ["role", "model"]),
        "by scenario": price_table(rows, "scenario"),
        "by source": price_table(rows, "source"),
        "by run": by(rows.sort("day", descending=True).with_columns(pl.col("run").str.head(8)), ["run"], order=False),
        "live and batch": by(rows, ["mode"]),
        "prompt tokens from the provider's cache": f"{sums['cached_share'] or 0:.0%}",
        ROW_COUNT: rows.height,
    }
    if sums["cost_per_accepted"] is not None:
        shown["US dollars per accepted dialogue"] = MetadataValue.float(sums["cost_per_accepted"])
    if free := unpriced(rows):
        shown["models without a price"] = ", ".join(free)
    if points := price_of_points(lake, total_cost(dataset_rows(rows))):
        shown["US dollars per benchmark point"] = table_markdown(points)
    if sums["hours"]:
        shown["hours of machines"] = round(sums["hours"], 2)
    if rows.filter((TOKENS > 0) | (pl.col("cost") > 0)).height:
        shown["by day"] = daily_plot(rows)
    return shown


def unpriced(rows: pl.DataFrame) -> list[str]:
    """Models that took tokens and no money: their profile has no price for them or their machine."""
    sums = rows.filter(pl.col("model") != "").group_by("model").agg(TOKENS.sum().alias("tokens"), pl.col("cost").sum())
    return sorted(sums.filter((pl.col("tokens") > 0) & (pl.col("cost") == 0))["model"])


def by(rows: pl.DataFrame, names: Sequence[str], *, order: bool = True) -> MarkdownMetadataValue:
    """Tokens, hours of machines and US dollars by some columns, the dearest first."""
    groups = rows.filter(PAID).group_by(names, maintain_order=True)
    sums = groups.agg(TOKENS.sum().alias("tokens"), pl.col("hours", "cost").sum())
    sums = sums.sort(["cost", "tokens", "hours"], descending=True) if order else sums
    with_hours = sums["hours"].sum() > 0
    table = [
        {
            " and ".join(names): ", ".join(filter(None, (row[name] for name in names))) or "unknown",
            "tokens": f"{row['tokens']:,}",
            **({"hours": f"{row['hours']:,.2f}"} if with_hours else {}),
            "US dollars": f"{row['cost']:,.2f}",
        }
        for row in sums.iter_rows(named=True)
    ]
    return table_markdown(table, limit=SHOWN)


def price_table(rows: pl.DataFrame, name: str) -> MarkdownMetadataValue:
    """Accepted dialogues by scenario or source, and what one took, with those that are not accepted paid for too."""
    sums = dataset_rows(rows).group_by(name).agg(pl.col("cost", "accepted").sum()).sort(name)
    table = [
        {
            name: row[name],
            "accepted": f"{row['accepted']:,}",
            "US dollars each": f"{row['cost'] / row['accepted']:,.4f}" if row["accepted"] else NO_PRICE,
        }
        for row in sums.iter_rows(named=True)
    ]
    return table_markdown(table, limit=SHOWN)


def price_of_points(lake: Lake, cost: float) -> list[dict[str, str]]:
    """By base model, the points that tuning on the dataset gains on average, and what one took of its cost."""
    scores = lake.read(BENCHMARK_SCORES, columns=["base", "variant", "benchmark", "stage", "accuracy"])
    scores = scores.filter(pl.col("stage") == "plain")
    untuned, tuned = (scores.filter(pl.col("variant") == variant) for variant in (UNTUNED, TUNED))
    both = tuned.join(untuned, on=["base", "benchmark"], suffix="_untuned")
    gains = both.group_by("base").agg((pl.col("accuracy") - pl.col("accuracy_untuned")).mean().alias("gain"))
    return [
        {
            "base model": base,
            "points over untuned": f"{100 * gain:+.1f}",
            "US dollars per point": f"{cost / (100 * gain):,.2f}" if gain > 0 else NO_PRICE,
        }
        for base, gain in gains.sort("base").iter_rows()
    ]


def daily_plot(rows: pl.DataFrame) -> MarkdownMetadataValue:
    """What each day took, by stage, and the price of an accepted dialogue by scenario; tokens where nothing has a
    price."""
    cost = total_cost(rows)
    amount, unit = (pl.col("cost"), "US dollars") if cost else (TOKENS, "tokens")
    daily = rows.group_by("day", "stage").agg(amount.sum().alias("amount"))
    days = sorted(set(daily.filter(pl.col("amount") > 0)["day"]))
    figure = new_figure(7.2, 2.8)
    left, right = figure.subplots(1, 2)
    base = dict.fromkeys(days, 0.0)
    for colour, (stage, heights) in zip(cycle(COLOURS), _by_stage(daily).items(), strict=False):
        left.bar(days, [heights.get(day, 0.0) for day in days], bottom=list(base.values()), color=colour, label=stage)
        base = {day: height + heights.get(day, 0.0) for day, height in base.items()}
    left.set_ylabel(f"{unit} per day")
    left.tick_params(axis="x", rotation=60, labelsize=7)
    left.set_xticks(days[:: math.ceil(len(days) / 12)])
    left.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    per_scenario = (
        dataset_rows(rows).group_by("scenario").agg(amount.sum().alias("amount"), pl.col("accepted").sum())
    ).sort("scenario")
    bought = per_scenario.filter(pl.col("accepted") > 0)
    right.barh(bought["scenario"].to_list(), (bought["amount"] / bought["accepted"]).to_list(), color=COLOURS[0])
    right.invert_yaxis()
    right.set_xlabel(f"{unit} per accepted dialogue")
    return picture(figure, f"{unit} per day and stage, and per accepted dialogue")


def _by_stage(daily: pl.DataFrame) -> Mapping[str, Mapping[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for day, stage, amount in daily.filter(pl.col("amount") > 0).sort("stage", "day").iter_rows():
        found.setdefault(stage, {})[day] = float(amount)
    return found
