"""What the UI shows of a partition of scores."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import MarkdownMetadataValue, MetadataValue

from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import dialogue_parts
from assets.framework.ui_metadata import (
    COLOURS,
    ROW_COUNT,
    gate_metadata,
    new_figure,
    picture,
    sample_markdown,
    stored_at,
    table_markdown,
)
from assets.framework.usage_metadata import calls_metadata
from assets.quality.gate import judge_coverage
from assets.quality.judge import PAPER_ERROR_RATE
from assets.quality.rules import REASONS
from assets.quality.schema import SCORED
from resources.chat.calls import Usage
from resources.lake.records import Gate
from resources.lake.tables import Lake

SHOWN_REASONS = 5
RULES_ALONE = "the rules alone: the profile says that its judge is too weak to decide"
GATE_FAILED = (
    "the judge gave too few valid verdicts; read the column judge_reason, use a better judge, and materialise it again"
)


def scores_metadata(
    lake: Lake,
    keys: Mapping[str, str],
    scores: pl.DataFrame,
    usage: Usage | None,
    gate: Gate = "passed",
    *,
    rules_alone: bool = False,
) -> dict[str, Any]:
    """A partition's metadata, in order of interest.

    Args:
        lake: where it is written.
        keys: its keys.
        scores: its rows of `scored_dialogues`.
        usage: see `calls_metadata`.
        gate: whether the partition's own gate passed.
        rules_alone: the profile's judge is too weak to decide.
    """
    ranked = scores.sort("accepted", "quality_score", "dialogue_id", descending=[True, True, False])
    dialogues, coverage = lake.read(DIALOGUES, [keys]), judge_coverage(scores)
    accepted = int(scores["accepted"].sum())
    return {
        "best dialogue": _sample(ranked.head(1), dialogues),
        "worst dialogue": _sample(ranked.tail(1), dialogues),
        "accepted": accepted,
        "rejected": scores.height - accepted,
        "accepted share": accepted / max(1, scores.height),  # a number, so that the UI plots it over time
        "rejected because": table_markdown(_reasons(scores)),
        "decided by": RULES_ALONE if rules_alone else "rules that prove a fault, and the judge",
        "looked at by the judge because": table_markdown(_flags(scores)),
        "judges agree": table_markdown(agreement(scores)) if _is_jury(scores) else "there is one judge, or none",
        "doubtful references": table_markdown(doubtful_references(scores)),
        "procedural errors": table_markdown(error_rates(scores)),
        "scores": _histogram(scores) if scores.height else "no dialogue",
        "judge coverage": "it was asked about none" if coverage is None else f"{coverage:.1%} of those asked about",
        "decided manually": scores.filter(pl.col("decided_by") == "manual").height,
        "gate": gate_metadata(gate, GATE_FAILED),
        **calls_metadata(lake, SCORED, keys, usage),
        "file": stored_at(lake.store, lake.path(SCORED, keys)),
        ROW_COUNT: scores.height,
    }


def error_rates(scores: pl.DataFrame) -> list[dict[str, object]]:
    """The procedural-error rate, with the dialogues that it is about, beside the paper's (METHOD: 4.1 %).

    The paper's judge read all its data. Ours is by default asked only about dialogues that fail no rule, so its rate
    says what the rules let through; the second row counts the rules' wrong results too, over all whole dialogues.
    """
    complete = scores.filter(pl.col("status") == "complete")
    judged = scores.filter(pl.col("judge_status") == "judged")
    faulty = complete.filter(
        pl.col("judge_correct").not_().fill_null(False) | pl.col("final_answer").is_in(["wrong", "missing"])
    )
    return [
        _rate("judged wrong, of those judged", judged.filter(pl.col("judge_correct").not_()).height, judged.height),
        _rate("judged wrong or no right result, of all complete", faulty.height, complete.height),
        {"errors": "the paper's, judged by Qwen2.5-32B", "share": f"{PAPER_ERROR_RATE:.1%}", "of": "all"},
    ]


def _rate(what: str, errors: int, of: int) -> dict[str, object]:
    return {"errors": what, "share": f"{errors / of:.1%}" if of else "none", "of": of}


def reasons_text(reasons: Counter[str]) -> str:
    """The most frequent rejection reasons, each with its number of dialogues: `loop 7, refused 2`."""
    return ", ".join(f"{name} {count}" for name, count in reasons.most_common(SHOWN_REASONS))


def _reasons(scores: pl.DataFrame) -> list[dict[str, object]]:
    rejected = scores.filter(pl.col("accepted").not_())
    counts = Counter(rejected["rejection_reasons"].explode().drop_nulls().to_list())
    return [
        {"reason": code, "meaning": REASONS.get(code, ""), "dialogues": count} for code, count in counts.most_common()
    ]


def _flags(scores: pl.DataFrame) -> list[dict[str, object]]:
    counts = Counter(scores["flags"].explode().drop_nulls().to_list())
    return [{"flag": code, "meaning": REASONS.get(code, ""), "dialogues": n} for code, n in counts.most_common()]


def doubtful_references(scores: pl.DataFrame) -> list[dict[str, object]]:
    """The seeds whose reference answer the judge finds wrong or contradictory, each with its reason."""
    found = scores.explode("judge_findings").unnest("judge_findings").filter(pl.col("finding") == "reference_doubtful")
    doubtful = found.filter(pl.col("good").not_()).sort("seed_id")
    return [{"seed": seed, "reason": reason} for seed, reason in doubtful.select("seed_id", "reason").iter_rows()]


def _is_jury(scores: pl.DataFrame) -> bool:
    return bool(scores["judge_model"].drop_nulls().str.contains(", ", literal=True).any())


def agreement(scores: pl.DataFrame) -> list[dict[str, object]]:
    """The share of judged dialogues on which all judges of a jury agree: on every finding, and on each by itself."""
    judged = scores.filter(pl.col("judge_status") == "judged")
    findings = judged.select("dialogue_id", "judge_findings").explode("judge_findings").unnest("judge_findings")
    whole = findings.group_by("dialogue_id").agg(pl.col("agreed").all())
    single = findings.group_by("finding", maintain_order=True).agg(pl.col("agreed").mean(), pl.len())
    rows = [("all findings", whole["agreed"].mean(), whole.height), *single.iter_rows()] if whole.height else []
    return [{"finding": name, "all agree": f"{share:.1%}", "dialogues": count} for name, share, count in rows]


def _sample(score: pl.DataFrame, dialogues: pl.DataFrame) -> MarkdownMetadataValue:
    if score.is_empty():
        return MetadataValue.md("there is none")
    row = score.row(0, named=True)
    dialogue = dialogues.row(by_predicate=pl.col("dialogue_id") == row["dialogue_id"], named=True)
    verdict = "accepted" if row["accepted"] else "rejected: " + ", ".join(row["rejection_reasons"])
    parts = [(f"{verdict}; score {row['quality_score']:.2f}", row["dialogue_id"]), *dialogue_parts(dialogue)]
    return sample_markdown(*parts, *([("Judge", row["judge_reason"])] if row["judge_reason"] else []))


def _histogram(scores: pl.DataFrame) -> MarkdownMetadataValue:
    figure = new_figure(5.6, 2.6)
    axes = figure.subplots()
    parts = [scores.filter(pl.col("accepted") == accepted)["quality_score"].to_list() for accepted in (True, False)]
    axes.hist(parts, bins=20, range=(0, 1), stacked=True, color=COLOURS[:2], label=["accepted", "rejected"])
    axes.set_xlabel("quality score")
    axes.set_ylabel("dialogues")
    axes.legend(frameon=False)
    return picture(figure, "Distribution of the quality score, accepted and rejected")
