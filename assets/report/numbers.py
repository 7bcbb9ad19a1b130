"""Every figure of the report as plain values, computed from the stored rows alone.

Shares are from 0 to 1, intervals are 95 %. A figure that cannot be given is None, never 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assets.report.accuracy import average_rows, averaged_benchmarks, score_rows
from assets.report.comparisons import by_benchmark, by_exchange, by_mask, by_scenario, by_variant
from assets.report.coverage import excluded_rows, missing_rows
from assets.report.dialogue_numbers import cost_rows, error_rows, release_facts
from assets.report.inputs import ReportInputs
from assets.report.lengths import analysed_benchmarks, answers_to, bin_rows, length_rows
from assets.report.published import Published, PublishedBase
from assets.report.scored_answers import ReportRow, by_key
from assets.training_sets.ablations import ablations

FORMAT = 4
DIGITS = 6


def compute(inputs: ReportInputs, published: Published) -> ReportRow:
    """All numbers, as JSON can hold them; the same inputs give the same numbers."""
    scored = by_key(inputs.answers)
    scores = score_rows(inputs, scored)
    averaged = averaged_benchmarks(inputs, published)
    length_benchmarks = analysed_benchmarks(inputs.benchmarks, published.length_column)
    length_answers = answers_to(inputs.answers, length_benchmarks)
    numbers: ReportRow = {
        "format": FORMAT,
        "bases": list(inputs.bases),
        "seed_of": dict(inputs.seed_of),
        "ablations": ablations(inputs.scenarios),
        "scenario_titles": {
            name: inputs.scenarios.title(name) for name in (*inputs.scenarios, *inputs.released_scenarios)
        },
        "scores": scores,
        "averages": average_rows(inputs, scores, averaged, scored),
        "averaged": averaged,
        "by_benchmark": by_benchmark(inputs, scored),
        "by_variant": by_variant(inputs, scored, averaged),
        "scenarios": by_scenario(inputs, scored, averaged),
        "masks": by_mask(inputs, scored, averaged),
        "exchange": by_exchange(scored),
        "length_benchmarks": length_benchmarks,
        "lengths": length_rows(length_answers),
        "length_bins": bin_rows(length_answers),
        "errors": error_rows(inputs, published),
        "costs": cost_rows(inputs),
        "partitions": [
            {name: value for name, value in row.items() if name not in ("usage", "unparsed")}
            for row in inputs.partitions
        ],
        "training_sets": [{"variant": variant, **row} for variant, row in inputs.training_sets.items()],
        "excluded": excluded_rows(inputs),
        "missing": missing_rows(inputs),
        "release": release_facts(inputs),
        "paper": {
            "source": published.source,
            "columns": list(published.columns),
            "smallest_gain": published.smallest_gain,
            "beside": {base: published.beside(base).title for base in inputs.bases},
            "further": {
                "columns": list(published.further.columns),
                "best_gain": published.further.best_gain / 100,
                "mean_gain": published.further.mean_gain / 100,
            },
            "figures": {base: _paper_figures(published.beside(base), published.columns) for base in inputs.bases},
        },
    }
    return dict(rounded(numbers))


def rounded(value: Any) -> Any:
    """Plain JSON with floats of so many digits that the last bit of a sum does not show."""
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def _paper_figures(base: PublishedBase, columns: Sequence[str]) -> ReportRow:
    """The paper's accuracies of a base model as shares: variant to benchmark to figure, averages under `average`."""
    made: ReportRow = {variant: {"average": figure / 100} for variant, figure in base.averages.items()}
    for variant, figures in base.benchmarks.items():
        made[variant] |= {column: figure / 100 for column, figure in zip(columns, figures, strict=True)}
    return made
