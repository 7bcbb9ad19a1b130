"""What `scored_dialogues` makes."""

import pandera.polars as pa
import polars as pl

from assets.dialogues.schema import IDENTITY, STATUS, count, one_of
from assets.quality.signal_plugins import Signal, SignalGroup
from assets.seeds.schema import text
from resources.lake.tables import Table


def share(description: str) -> pa.Column:
    """A number from 0 to 1."""
    return pa.Column(pl.Float64, pa.Check.in_range(0, 1), description=description)


def flag(description: str, *, nullable: bool = False) -> pa.Column:
    """A yes or no; null is unknown."""
    return pa.Column(pl.Boolean, nullable=nullable, description=description)


JUDGED = pl.Struct(
    {
        "finding": pl.String,
        "value": pl.String,
        "good": pl.Boolean,
        "reason": pl.String,
        "code": pl.String,
        "agreed": pl.Boolean,
    }
)
COLUMNS = {
    "dialogue_id": text("The dialogue."),
    **IDENTITY,
    "status": STATUS,
    "structure_ok": flag("Roles, alternation and number of turns are those of its scenario."),
    "final_answer": one_of(
        ["right", "wrong", "missing", "unknown"],
        "The final answer of the judged turn against the reference (of two turns the worse). "
        "wrong: another result, or two different ones; missing: the reference has a result and the answer nowhere "
        "shows it; unknown: not to be compared.",
    ),
    "first_answer": one_of(["right", "wrong", "unknown"], "The first student's own answer."),
    "reference_overlap": share("Share of what the reference says beyond the question that the closing answer holds."),
    "code_parses": flag("Code blocks parse; null where there is no code to parse.", nullable=True),
    "gave_away_result": flag("A teacher stated the result before the student did; null: unknown.", nullable=True),
    "false_claim": flag("A teacher called a right answer wrong, or a wrong one right; null: unknown.", nullable=True),
    "betrays_reference": flag("Some text shows that its speaker saw a hidden reference answer."),
    "copied_share": share(
        "Share of a turn's words in runs of six or more taken over from another speaker, where it is to use its own."
    ),
    "english": flag("Every utterance is in the language of its source (code and formulas aside)."),
    "repetition": share("Share of repeated word n-grams in the most repetitive utterance."),
    "words": count("Words of all gpt turns.", pl.Int32),
    "truncated": flag("Some utterance was cut off by the token limit."),
    "refused": flag("Some utterance refuses the task."),
    "secrets": count("Keys, tokens and passwords found in the text.", pl.Int32),
    "flags": pa.Column(
        pl.List(pl.String),
        description="Codes of the rules that prove no fault, but find something for the judge to look at.",
    ),
    "near_duplicate_of": text("dialogue_id of an almost equal, good dialogue of the partition.", nullable=True),
    "judge_status": one_of(
        ["judged", "not_judged", "not_asked", "rules_alone"],
        "not_judged: no valid verdict; not_asked: rejected before, no money spent; rules_alone: no judge decides.",
    ),
    "judge_correct": flag("The judge finds the reasoning correct.", nullable=True),
    "judge_error_class": text("The code of the judge's first fault, `none` where there is none.", nullable=True),
    "judge_reason": text("The judge's sentence; of one not judged, why.", nullable=True),
    "judge_findings": pa.Column(
        pl.List(JUDGED),
        description="The judge's answers to the rubric; `agreed`: all judges of a jury agree on `good`.",
    ),
    "judge_model": text("Who judged.", nullable=True),
    "quality_score": share("Weighted signals, by the quality rules."),
    "accepted": flag("Whether it may enter BOOST-QA."),
    "rejection_reasons": pa.Column(
        pl.List(pl.String),
        description="Codes of the rules that it fails, also where a manual decision accepts it.",
    ),
    "decided_by": one_of(["rules", "manual"], "Who decided."),
    "decision_note": text("Why, where a manual decision decided.", nullable=True),
}
SIGNALS = SignalGroup(
    name="master_dagster.signals",
    summary="A value per dialogue, as a column of `scored_dialogues`, with an optional limit.",
    contract=Signal,
    taken=frozenset(COLUMNS),
)
SCORED = Table(
    name="scored_dialogues",
    keys=("scenario", "shard"),
    schema=pa.DataFrameSchema(
        {**COLUMNS, **SIGNALS.columns},
        strict=True,
        unique=["dialogue_id"],
        description="Signals, verdict and decision, one row per dialogue.",
    ),
    extensible=True,
)
