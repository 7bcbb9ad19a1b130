"""The report's plots as SVG elements of the page: text and lines take the page's colour, light or dark."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from assets.framework.partitions import UNTUNED
from assets.framework.ui_metadata import COLOURS
from assets.report.formatting import (
    BASELINES,
    COMPARED,
    OTHER_FORMS,
    TITLES,
    Numbers,
    Row,
    find,
    is_papers_average,
    lengths_title,
    title,
)
from assets.report.scored_answers import OURS, SEEDS
from assets.training_sets.masks import MASKS

if TYPE_CHECKING:  # loaded when something is drawn: it is a sixth of the code location's loading
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # is replaced by the page's text colour when the SVG is written
WIDTH = 5.4  # inches; narrow with large letters, so that it can still be read on a phone
LOOKS = dict(zip(COMPARED, ((COLOURS[1], "s"), (COLOURS[0], "o"), (COLOURS[3], "D")), strict=True))
PAPER_MARK: dict[str, Any] = {"marker": "|", "markersize": 13, "color": COLOURS[2], "markeredgewidth": 2.5}
# The page's style gives each its shade for light and for dark.
VARIABLES = dict(zip(COLOURS[:4], ("blue", "amber", "green", "red"), strict=True))
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), "none"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "errorbar.capsize": 3,
    "lines.linewidth": 1.6,
}


def svg(figure: "Figure", name: str, label: str) -> str:
    """A figure as an `<svg>` element for HTML.

    Args:
        figure: drawn within `STYLE`.
        name: prefix of all its ids, so that one page can hold several.
        label: what it shows, for those who do not see it.
    """
    buffer = io.StringIO()
    with _looks({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text).replace("xlink:href", "href")
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace(INK, "currentColor")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour.lower(), f"var(--{variable})")
    text = re.sub(r'<svg (.*?)width="[^"]*" height="[^"]*"|<svg ([^>]*)', _without_size, text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _without_size(match: re.Match[str]) -> str:
    return re.sub(r'\b(?:width|height)="[^"]*"\s?', "", match[0])


def _looks(style: Mapping[Any, Any]) -> AbstractContextManager[None]:
    from matplotlib import rc_context

    return rc_context(dict(style))


def _figure(height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def benchmarks_plot(numbers: Numbers, base: str) -> str | None:
    """Accuracy by benchmark with intervals, of the three variants; None where nothing was scored."""
    rows = [row for row in numbers["scores"] if row["base"] == base and row["stage"] == "plain"]
    named = {row["benchmark"]: row["title"] for row in rows if row["variant"] in COMPARED}
    if not named:
        return None
    with _looks(STYLE):
        figure = _figure(1.1 + 0.62 * len(named))
        axes = figure.subplots()
        for place, variant in enumerate(COMPARED):
            found = [find(rows, variant=variant, benchmark=name) for name in named]
            offset = 0.22 * (place - 1)
            _intervals(axes, found, "accuracy", [index + offset for index in range(len(named))], variant)
        axes.set_yticks(range(len(named)), [str(shown) for shown in named.values()])
        axes.set_ylim(len(named) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("accuracy in percent, with 95 % intervals")
        _legend(figure)
        return svg(figure, f"benchmarks-{base}", f"Accuracy of {base} by benchmark, with 95 % intervals")


def averages_plot(numbers: Numbers, base: str) -> str | None:
    """Averages of every variant that was scored, with intervals and the paper's figures; None where there is none."""
    rows = [row for row in numbers["averages"] if row["base"] == base and row["average"] is not None]
    order = [*(UNTUNED, SEEDS), *BASELINES, *numbers["ablations"], *OTHER_FORMS, *MASKS, OURS]
    shown = [variant for variant in order if find(rows, variant=variant)]
    if len(shown) < 2:
        return None
    paper = numbers["paper"]["figures"][base] if is_papers_average(numbers, base) else {}
    with _looks(STYLE):
        figure = _figure(1.1 + 0.34 * len(shown))
        axes = figure.subplots()
        for place, variant in enumerate(shown):
            _intervals(
                axes, [find(rows, variant=variant)], "average", [place], OURS if variant == OURS else SEEDS, label=False
            )
            if variant in paper:
                axes.plot(100 * paper[variant]["average"], place, **PAPER_MARK)
        axes.set_yticks(range(len(shown)), [title(numbers, variant) for variant in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("average accuracy in percent")
        if paper:
            beside = f"paper, {numbers['paper']['beside'][base]}"
            axes.plot([], [], **PAPER_MARK, linestyle="none", label=beside)
        axes.plot([], [], marker="o", linestyle="none", color=COLOURS[0], label="ours")
        _legend(figure)
        return svg(
            figure, f"averages-{base}", f"Average accuracy of {base} by what it was tuned on, beside the paper's"
        )


def lengths_plot(numbers: Numbers, base: str) -> str | None:
    """Two panels over the bins of length: share of the answers, and accuracy with intervals."""
    rows = [row for row in numbers["length_bins"] if row["base"] == base]
    shown = [variant for variant in COMPARED if find(rows, variant=variant)]
    if not shown:
        return None
    names = list(dict.fromkeys(row["bin"] for row in rows))
    with _looks(STYLE):
        figure = _figure(5.2)
        shares, accuracies = figure.subplots(2, 1, sharex=True)
        width = 0.8 / len(shown)
        for place, variant in enumerate(shown):
            found = [find(rows, variant=variant, bin=name) for name in names]
            centres = [index + (place - (len(shown) - 1) / 2) * width for index in range(len(names))]
            heights = [100 * row["share"] if row else 0 for row in found]
            shares.bar(centres, heights, width * 0.92, color=LOOKS[variant][0], edgecolor=INK, linewidth=0.6)
            _intervals(accuracies, found, "accuracy", centres, variant, upright=True)
        shares.set_ylabel("% of the answers")
        accuracies.set_ylabel("% right")
        accuracies.set_ylim(0, 100)
        accuracies.set_xticks(range(len(names)), [name.replace(" and more", "+") for name in names], rotation=30)
        accuracies.set_xlabel("tokens of the answer")
        _legend(figure, accuracies)
        shown_of = f"Answers of {base} by length, {lengths_title(numbers, base)}"
        return svg(figure, f"lengths-{base}", f"{shown_of}: how many, and how many of these are right")


def _intervals(
    axes: "Axes",
    rows: Sequence[Row | None],
    name: str,
    places: Sequence[float],
    variant: str,
    *,
    upright: bool = False,
    label: bool = True,
) -> None:
    """A marker with its interval for each row that has a value."""
    found = [(place, row) for place, row in zip(places, rows, strict=True) if row and row[name] is not None]
    colour, marker = LOOKS[variant]
    values = [100 * row[name] for _, row in found]
    spread = [
        [100 * (row[name] - row["low"]) for _, row in found],
        [100 * (row["high"] - row[name]) for _, row in found],
    ]
    at = [place for place, _ in found]
    look: dict[str, Any] = {
        "fmt": marker,
        "color": colour,
        "markeredgecolor": INK,
        "markeredgewidth": 0.6,
        "label": TITLES[variant] if label else None,
    }
    if upright:
        axes.errorbar(at, values, yerr=spread, **look)
    else:
        axes.errorbar(values, at, xerr=spread, **look)


def _legend(figure: "Figure", axes: "Axes | None" = None) -> None:
    handles, labels = (axes or figure.axes[0]).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, columnspacing=1.2, handletextpad=0.3)
