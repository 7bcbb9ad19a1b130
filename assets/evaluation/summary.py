"""What the UI shows of a partition of scores."""

from collections.abc import Mapping
from typing import Any

from assets.evaluation.runs import EvaluatedPartition
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES, REASONS
from assets.framework.ui_metadata import (
    ROW_COUNT,
    counts_markdown,
    gate_metadata,
    sample_markdown,
    stored_at,
    table_markdown,
)
from assets.framework.usage_metadata import calls_metadata, total_usage
from resources.lake.tables import Lake

GATE_FAILED = (
    "too many answers failed (there is no answer or no verdict), so its scores say little of the model; see the "
    "column detail of benchmark_answers, correct the cause, and materialise the partition again"
)
SHOWN_CHARACTERS = 1200


def scores_metadata(partition: EvaluatedPartition, lake: Lake) -> dict[str, Any]:
    """A partition's metadata, in order of interest."""
    scores = partition.scores.to_dicts()
    verdicts = [(name, sum(score[name] for score in scores)) for name in ("right", "wrong")]
    reasons = partition.answers["reason"].drop_nulls().value_counts(sort=True).rows()
    shown: dict[str, Any] = {
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
        "sample answer": sample_markdown(
            *(part for answer in partition.answers.head(1).to_dicts() for part in _parts(answer)),
            limit=SHOWN_CHARACTERS,
        ),
        "verdicts": counts_markdown("verdict", "answers", [*verdicts, *reasons]),
        "tokens": sum(score["prompt_tokens"] + score["completion_tokens"] for score in scores),
        "gate": gate_metadata(partition.gate, GATE_FAILED),
        **calls_metadata(
            lake,
            BENCHMARK_SCORES,
            partition.keys,
            None if partition.usage is None else total_usage(partition.usage.values()),
        ),
    }
    if partition.unparsed:
        shown["rows that are no question"] = table_markdown(
            [
                {"benchmark": row["benchmark"], "row": f"{row['file']}, {row['row']}", "reason": row["reason"]}
                for row in partition.unparsed
            ]
        )
    return shown | {
        "answers": stored_at(lake.store, lake.path(BENCHMARK_ANSWERS, partition.keys)),
        "file": stored_at(lake.store, lake.path(BENCHMARK_SCORES, partition.keys)),
        ROW_COUNT: len(scores),
    }


def _parts(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    verdict = answer["verdict"] + (f" ({REASONS[answer['reason']]})" if answer["reason"] else "")
    output, extracted = answer["output"] or "", str(answer["extracted"])
    return [("Prompt", answer["prompt"]), ("Answer", output), ("Read", extracted), ("Verdict", verdict)]
