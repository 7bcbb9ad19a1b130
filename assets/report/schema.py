"""The scores of a report, a row each; `scores.parquet` beside the page."""

import pandera.polars as pa
import polars as pl

from assets.evaluation.schema import INTERVALS, KINDS, STAGES, VERDICTS, count, one_of, share
from assets.seeds.schema import text
from resources.lake.tables import Table

REPORT_SCORES = Table(
    name="experiment_report",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            "base": text("Base model, as in `checkpoints`."),
            "variant": text("What it was tuned on; `untuned` is the base model as it is."),
            "benchmark": text("Name in the benchmarks configuration."),
            "stage": one_of(STAGES, "plain, or exchange: after a review."),
            "title": text("The benchmark as people call it."),
            "kind": one_of(KINDS, "multiple_choice, judged, code or lm_eval."),
            "paper_column": text("The paper's name for it, where its tables have it.", nullable=True),
            "items": count("Questions."),
            "sources": count("Different sources of its questions; as many as questions where nothing is shared."),
            "samples": count("Answers to each question."),
            "accuracy": share("Mean share of right answers over questions; with one sample of code this is pass@1."),
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
            **{verdict: count(f"Answers with the verdict {verdict}.") for verdict in VERDICTS},
            "truncated": count("Answers that the token limit cut off."),
            "completion_tokens": count("Tokens of all answers."),
        },
        strict=True,
        unique=["base", "variant", "benchmark", "stage"],
        description="Accuracy with its interval, of every base model, variant, benchmark and stage that was scored.",
    ),
)
