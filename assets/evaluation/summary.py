"""What the UI shows of a partition of scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MarkdownMetadataValue, MetadataValue

from assets.evaluation.runs import EvaluatedPartition
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES, REASONS
from assets.framework.ui_metadata import quoted, table_markdown
from resources.chat.calls import Usage
from resources.lake.tables import Lake

GATE_FAILED = (
    "too many answers failed (no answer or no verdict could be had), so its scores say little of the model; see the "
    "column detail of benchmark_answers, mend the cause, and materialise it again"
)
SHOWN_CHARACTERS = 1200

Row = Mapping[str, Any]


def describe(partition: EvaluatedPartition, lake: Lake) -> dict[str, Any]:
    """A partition's metadata, in order of interest."""
    scores = partition.scores.to_dicts()
    facts: dict[str, Any] = {
        "accuracy": table_markdown(
            [
                {
                    "benchmark": score["title"] + (" (exchange)" if score["stage"] == "exchange" else ""),
                    "accuracy": f"{score['accuracy']:.1%}",
                    "95 % interval": f"{score['accuracy_low']:.1%} to {score['accuracy_high']:.1%}",
                }
                for score in scores
            ],
            limit=40,
        ),
        "sample answer": sample_markdown(partition.answers.head(1).to_dicts()),
        "verdicts": table_markdown(
            [{"verdict": name, "answers": sum(score[name] for score in scores)} for name in ("right", "wrong")]
            + [{"verdict": reason, "answers": n} for reason, n in _reasons(partition)]
        ),
        "tokens": sum(score["prompt_tokens"] + score["completion_tokens"] for score in scores),
        "gate": partition.gate if partition.gate == "passed" else f"failed: {GATE_FAILED}",
        "made": "earlier: already there" if partition.usage is None else "now",
    }
    if partition.usage is not None:
        facts |= _calls(list(partition.usage.values()))
    if partition.unparsed:
        facts["rows that are no question"] = table_markdown(
            [
                {"benchmark": row["benchmark"], "row": f"{row['file']}, {row['row']}", "reason": row["reason"]}
                for row in partition.unparsed
            ]
        )
    return facts | {
        "answers": lake.path(BENCHMARK_ANSWERS, partition.keys),
        "file": lake.path(BENCHMARK_SCORES, partition.keys),
        "dagster/partition_row_count": len(scores),
    }


def sample_markdown(answers: Sequence[Row]) -> MarkdownMetadataValue:
    """One answer as Markdown that shows what was said and does nothing."""
    if not answers:
        return MetadataValue.md("none")
    (row, *_) = answers
    verdict = row["verdict"] + (f" ({REASONS[row['reason']]})" if row["reason"] else "")
    parts = [
        f"**Prompt**\n\n{quoted(row['prompt'], SHOWN_CHARACTERS)}",
        f"**Answer**\n\n{quoted(row['output'] or '', SHOWN_CHARACTERS)}",
        f"**Read**\n\n{quoted(str(row['extracted']), 200)}",
        f"**Verdict**\n\n{verdict}",
    ]
    return MetadataValue.md("\n\n".join(parts))


def _reasons(partition: EvaluatedPartition) -> list[tuple[str, int]]:
    counts = partition.answers["reason"].drop_nulls().value_counts(sort=True)
    return [(str(reason), int(n)) for reason, n in counts.iter_rows()]


def _calls(usage: Sequence[Usage]) -> dict[str, Any]:
    return {
        "cost in US dollars": MetadataValue.float(float(sum(one.cost for one in usage))),
        "calls": table_markdown(
            [
                {"what": "paid for now", "calls": sum(one.calls for one in usage)},
                {"what": "from the journal", "calls": sum(one.replayed for one in usage)},
                {"what": "retried", "calls": sum(one.retries for one in usage)},
                {"what": "wasted", "calls": sum(one.wasted for one in usage)},
            ]
        ),
    }
