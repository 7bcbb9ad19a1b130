"""What `benchmark_scores` makes: one row per answer, and from these rows alone the scores."""

import pandera.polars as pa
import polars as pl

from assets.seeds.schema import text
from resources.lake.tables import Table

STAGES = ("plain", "exchange")
VERDICTS = ("right", "wrong", "unreadable", "failed")
INTERVALS = ("Wilson", "Wilson over sources", "clustered bootstrap")
DECIDERS = ("label", "rule", "judge", "tests", "metric", "plugin")

REASONS = {
    "no_label": "multiple choice: the answer nowhere names an option as `[x]`",
    "two_labels": "multiple choice: its last `[…]` names two options, as `[A, B]`",
    "other_label": "multiple choice: its last `[x]` is no option of the question",
    "other_option": "multiple choice: another option than the right one",
    "no_code": "code: there is no code in the answer",
    "tests_failed": "code: a test failed, or the code raised an error",
    "no_time": "code: it ran longer than the limit",
    "no_memory": "code: it wanted more memory than the limit",
    "killed": "code: it was ended by a signal, or ended itself before the last test",
    "too_much_output": "code: it printed more than the limit",
    "unequal": "judged: the final answer is not the reference's, by rule",
    "judged_wrong": "judged: the judge finds it wrong",
    "no_match": "lm_eval: the task's filter reads no answer",
    "metric_wrong": "lm_eval: the task's metric finds it wrong",
    "plugin_wrong": "plug-in: its grading finds the answer wrong",
    "plugin_unreadable": "plug-in: its grading reads no answer",
    "not_scored": "failed: lm-eval or the plug-in could not score it",
    "judge_unreadable": "failed: no answer of the judge ended with its only mark, <1> or <0>",
    "judge_not_reached": "failed: the judge's answer could not be had",
    "not_answered": "failed: the model's answer could not be had",
    "no_review": "failed: the exchange's review could not be had",
}
"""Every reason of a verdict other than `right`. The column `detail` has further words."""


def count(description: str) -> pa.Column:
    """A whole number that is not negative."""
    return pa.Column(pl.Int64, pa.Check.ge(0), description=description)


def share(description: str, *, nullable: bool = False) -> pa.Column:
    """A number from 0 to 1."""
    return pa.Column(pl.Float64, pa.Check.in_range(0, 1), nullable=nullable, description=description)


def one_of(values: tuple[str, ...], description: str, *, nullable: bool = False) -> pa.Column:
    """A text column of few values."""
    return pa.Column(pl.String, pa.Check.isin(values), nullable=nullable, description=description)


ASKED = {  # the columns of both tables that say what was asked of which model
    "base": text("Base model, as in `checkpoints`."),
    "variant": text("What it was tuned on; `untuned` is the base model as it is."),
    "benchmark": text("Name in the benchmarks configuration."),
    "kind": text("multiple_choice, judged, code or lm_eval, or that of a plug-in."),
}

BENCHMARK_ANSWERS = Table(
    name="benchmark_answers",
    keys=("base", "variant"),
    schema=pa.DataFrameSchema(
        {
            **ASKED,
            "item_id": text("The question, by its benchmark's own id where it has one."),
            "cluster": text("What questions share a source with this one: subject, passage, competition; else its id."),
            "stage": one_of(
                STAGES, "plain: the answer; exchange: the corrected answer after a review of the plain one."
            ),
            "sample": pa.Column(pl.Int32, pa.Check.ge(0), description="Which of several answers to it, from 0."),
            "prompt_hash": pa.Column(
                pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), description="Hash of all messages that were sent."
            ),
            "prompt": text("The messages that were sent, each headed by its role in brackets."),
            "output": text("What the model answered; null where no answer could be had.", nullable=True),
            "extracted": text("The option, final answer or code that was read off it; null where none.", nullable=True),
            "reference": text("The right option's label, the reference answer, or the tests' source."),
            "labels": pa.Column(
                pl.List(pl.String), description="Labels of the options; empty but for multiple choice."
            ),
            "verdict": one_of(
                VERDICTS,
                "right; wrong; unreadable: no option could be read (counts as not right); failed: no answer or no "
                "verdict could be had (counts as not right too; a partition with too many does not pass its gate).",
            ),
            "reason": one_of(tuple(REASONS), "Why it is not right; null where it is.", nullable=True),
            "detail": text("The reason in words: the test's error, what the judge or the server said.", nullable=True),
            "decided_by": one_of(
                DECIDERS, "Who decided: label, rule, judge, tests, metric or plugin; null where failed.", nullable=True
            ),
            "judge_output": text("What the judge wrote last, where it was asked.", nullable=True),
            "finish_reason": text("stop, length, …: how the answer ended; null where there is none.", nullable=True),
            "prompt_tokens": count("Tokens that the model read for it, the exchange's earlier turns too."),
            "completion_tokens": count("Tokens of the answer; with an exchange those of the corrected answer."),
            "model": text("The model's name as its endpoint knows it."),
        },
        strict=True,
        unique=["benchmark", "item_id", "stage", "sample"],
        description="Every answer of a model under test to every question of the benchmarks.",
    ),
)

BENCHMARK_SCORES = Table(
    name="benchmark_scores",
    keys=("base", "variant"),
    schema=pa.DataFrameSchema(
        {
            **ASKED,
            "stage": one_of(STAGES, "plain, or exchange: after a review."),
            "items": count("Questions."),
            "sources": count("Different sources of its questions; as many as questions where nothing is shared."),
            "samples": count("Answers to each question."),
            "answers": count("Answers in all: items × samples."),
            "right": count("Right answers."),
            "wrong": count("Wrong answers."),
            "unreadable": count("Answers that no option could be read off; not right."),
            "failed": count("Answers or verdicts that could not be had; counted as not right."),
            "accuracy": share("Mean share of right answers over questions; with one sample of code this is pass@1."),
            "accuracy_low": share("Lower end of its 95 % interval."),
            "accuracy_high": share("Upper end."),
            "accuracy_by": one_of(
                INTERVALS,
                "How the interval was found: Wilson's over questions; where questions share at least 20 sources a "
                "bootstrap over sources, or Wilson's over sources where these are nearly all alike.",
            ),
            "pass_at": pa.Column(
                pl.List(
                    pl.Struct(
                        {"k": pl.Int32, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64, "by": pl.String}
                    )
                ),
                description="pass@k with its 95 % interval for each k up to the number of samples, unbiased; empty but "
                "for code.",
            ),
            "truncated": count("Answers that the token limit cut off."),
            "prompt_tokens": count("Tokens read, of all answers."),
            "completion_tokens": count("Tokens written, of all answers."),
            "median_tokens": pa.Column(pl.Float64, pa.Check.ge(0), description="Median length of an answer in tokens."),
            "unparsed": count(
                "Rows of the benchmark's file that are no question; they are named in the footer's facts."
            ),
            "temperature": pa.Column(pl.Float64, description="Sampling temperature."),
            "shots": count("Worked examples before the question."),
            "max_tokens": count("Token limit of an answer."),
            "model": text("The model's name as its endpoint knows it."),
            "checkpoint": text("Id of the checkpoint that was scored."),
            "title": text("The benchmark as people call it."),
            "paper_column": text("The paper's name for it, where its tables have it.", nullable=True),
        },
        strict=True,
        unique=["benchmark", "stage"],
        description="Accuracy of a model under test, one row per benchmark and stage; from benchmark_answers alone.",
    ),
)
