"""What the UI and the dataset card show of a judge's calibration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.framework.intervals import Interval
from assets.framework.ui_metadata import COLOURS, new_figure, picture, stored_at, table_markdown
from assets.framework.usage_metadata import calls_metadata
from assets.judge_calibration.faults import KINDS, NONE
from assets.judge_calibration.rates import Rates, corrected_errors, rates_by, rates_of
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from resources.chat.calls import Usage
from resources.lake.tables import Lake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES_ALONE = "With this profile the rules decide alone: its judge does not decide, so it is not calibrated."


def calibration_metadata(lake: Lake, keys: Mapping[str, str], usage: Usage | None) -> dict[str, Any]:
    """What the UI shows of a calibration; see `calls_metadata` for `usage`."""
    items, facts = lake.read(JUDGE_CALIBRATION, [keys]), lake.facts(JUDGE_CALIBRATION, keys)
    rates = rates_of(items)
    return {
        "faults caught": picture(rates_figure(items), "Planted faults that the judge caught, by kind"),
        "false passes": interval_text(rates.false_pass),
        "false alarms": interval_text(rates.false_alarm),
        "by kind": table_markdown(kind_rows(items)),
        "by scenario": table_markdown(group_rows(items, "scenario")),
        "by domain": table_markdown(group_rows(items, "domain")),
        "items without a verdict": rates.unjudged,
        "judge model": facts["judge_model"],
        "dagster/row_count": items.height,
        **calls_metadata(lake, JUDGE_CALIBRATION, keys, usage),
        "path": stored_at(lake.store, lake.path(JUDGE_CALIBRATION, keys)),
    }


def calibration_text(items: pl.DataFrame, judged: int, wrong: int) -> str:
    """What the dataset card says: the judge's rates, and the share of wrong dialogues corrected by them.

    Args:
        items: rows of `JUDGE_CALIBRATION`.
        judged: dialogues of the release's partitions with a verdict.
        wrong: those of them in which the judge found a fault.
    """
    rates = rates_of(items)
    text = (
        f"**How often the judge errs.** It was asked blind about {rates.untouched:,} accepted dialogues and about "
        f"{rates.planted:,} versions of them with one planted fault each. It passed {interval_text(rates.false_pass)} "
        f"of the faults, and rejected {interval_text(rates.false_alarm)} of the untouched dialogues (in brackets: 95 % "
        "intervals). "
    )
    if corrected := corrected_errors(rates, judged, wrong):
        text += (
            f"Corrected by these rates (Rogan and Gladen), {interval_text(corrected.judged)} of the judged dialogues "
            f"are wrong, and {interval_text(corrected.passed)} of those that passed. This assumes that real faults are "
            "as hard to find as planted ones. The judge accepted the untouched dialogues before, so its false alarms "
            "on all good dialogues may be more; the review by people measures these."
        )
    else:
        text += "These numbers are too small, or its errors too many, to correct the share above by them."
    tables = [kind_rows(items), group_rows(items, "scenario"), group_rows(items, "domain")]
    return "\n\n".join([text, *(table_markdown(rows, limit=40).md_str or "" for rows in tables)])


def figures_text(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures of `error_figures`, as a release's manifest has them, on one line; empty without any."""
    return "; ".join(
        f"{figure['what']}: {interval_text(Interval(figure['share'], figure['low'], figure['high'], figure['by']))}"
        for figure in figures
    )


def interval_text(interval: Interval | None) -> str:
    """A share with its interval: `12.5% (3.5 to 36.0)`."""
    if interval is None:
        return "–"
    return f"{interval.value:.1%} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def kind_rows(items: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per kind of planted fault: how many were planted, and the share that the judge caught."""
    rates = rates_by(items, "kind")
    by_rules = dict(items.group_by("kind").agg(pl.col("rejected_by_rules").mean()).iter_rows())
    return [
        {
            "planted fault": kind.replace("_", " "),
            "planted": rates[kind].planted,
            "caught by the judge": _caught(rates[kind]),
            "rejected by a rule": f"{by_rules[kind]:.0%}",
        }
        for kind in KINDS
        if kind in rates
    ]


def group_rows(items: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    """One row per scenario or domain: the shares of planted faults caught, and of untouched dialogues rejected."""
    return [
        {column: value, "faults caught": _caught(rates), "false alarms": interval_text(rates.false_alarm)}
        for value, rates in rates_by(items, column).items()
    ]


def rates_figure(items: pl.DataFrame) -> "Figure":
    """The share of planted faults caught, by kind, and of untouched dialogues rejected, with their intervals."""
    rates = rates_by(items.filter(pl.col("kind") != NONE), "kind")
    caught = [(kind.replace("_", " "), _not(rates[kind].false_pass)) for kind in KINDS if kind in rates]
    shown: Sequence[tuple[str, Interval | None]] = [*caught, ("false alarms", rates_of(items).false_alarm)]
    bars = [(name, interval) for name, interval in shown if interval is not None]
    figure = new_figure(6.4, 0.6 + 0.34 * len(bars))
    axes = figure.add_subplot()
    for place, (name, interval) in enumerate(bars):
        colour = COLOURS[3] if name == "false alarms" else COLOURS[0]
        axes.plot([100 * interval.low, 100 * interval.high], [place, place], color=colour, linewidth=2)
        axes.plot(100 * interval.value, place, "o", color=colour)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(-2, 102)
    axes.set_xlabel("% of items that the judge rejected, with 95 % interval")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _caught(rates: Rates) -> str:
    return interval_text(_not(rates.false_pass))


def _not(interval: Interval | None) -> Interval | None:
    """The share of the others."""
    if interval is None:
        return None
    return Interval(1 - interval.value, 1 - interval.high, 1 - interval.low, interval.by)
