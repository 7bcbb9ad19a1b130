"""The scores of a report, one row each; `scores.parquet` beside the page."""

import pandera.polars as pa
import polars as pl

from assets.evaluation.schema import BENCHMARK_SCORES, INTERVALS, VERDICTS, count, one_of, share
from resources.lake.tables import Table

SCORES = BENCHMARK_SCORES.schema.columns

REPORT_SCORES = Table(
    name="experiment_report",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            **{name: SCORES[name] for name in ("base", "variant", "benchmark", "stage", "title", "kind")},
            **{name: SCORES[name] for name in ("paper_column", "items", "sources", "samples", "accuracy")},
            "low": share("Lower end of its 95 % interval."),
            "high": share("Upper end."),
            "by": one_of(INTERVALS, "How the interval was found, as in `benchmark_scores`."),
            "few_sources": count(
                "Sources that questions share where they are too few to resample and questions were taken as "
                "independent; else 0."
            ),
            "seeds": count("Training seeds that accuracy and pass@k are the mean over."),
            "lowest": share("Lowest accuracy of a training seed; null for one seed.", nullable=True),
            "highest": share("Highest one.", nullable=True),
            "over_samples": pa.Column(
                pl.Float64,
                nullable=True,
                description="Standard deviation between the samples' accuracies; null for one sample.",
            ),
            **{name: SCORES[name] for name in (*VERDICTS, "truncated", "completion_tokens")},
        },
        strict=True,
        unique=["base", "variant", "benchmark", "stage"],
        description="Accuracy with its interval, of every base model, variant, benchmark and stage that was scored.",
    ),
)
