"""The release's dialogues in numbers: procedural errors, and what an accepted dialogue took."""

import math
from typing import Any

import polars as pl

from assets.evaluation.statistics import accuracy_interval
from assets.report.inputs import ReportInputs
from assets.report.published import Published
from assets.report.scored_answers import ReportRow, interval_columns


def error_rows(inputs: ReportInputs, published: Published) -> list[ReportRow]:
    """Procedural errors as the judge found them, by scenario and in all, each with the dialogues that it covers; then
    the judge's own rates and the corrected shares, where the release's judge was calibrated."""
    verdicts = inputs.verdicts
    judged = verdicts.filter(pl.col("judge_status") == "judged")
    complete = verdicts.filter(pl.col("status") == "complete")
    released = judged.filter(pl.col("accepted"))
    wrong = pl.col("judge_correct").not_().fill_null(False)
    by_rule = wrong | pl.col("final_answer").is_in(["wrong", "missing"])
    paper = published.procedural_errors / 100
    return [
        *(
            _rate(f"judged wrong, {inputs.scenarios.title(name)}", judged.filter(pl.col("scenario") == name), wrong)
            for name in inputs.released_scenarios
        ),
        _rate("judged wrong, all that were judged", judged, wrong),
        *(
            _rate(f"judged wrong, {code.replace('_', ' ')} first", judged, pl.col("judge_error_class") == code)
            for code in judged.filter(wrong)["judge_error_class"].unique().sort()
        ),
        _rate("judged wrong, of those accepted and judged", released, wrong),
        _rate("judged wrong or no right result by rule, all complete ones", complete, by_rule),
        *(inputs.release.manifest.get("calibration", []) if inputs.release else []),
        {"what": "the paper's", "errors": None, "of": published.seeds, "share": paper, **interval_columns(None)},
    ]


def _rate(what: str, rows: pl.DataFrame, wrong: pl.Expr) -> ReportRow:
    """A share of wrong ones with its interval."""
    values = rows.select(wrong.cast(pl.Float64).alias("wrong"))["wrong"].to_list()
    found = accuracy_interval(values, list(map(str, range(len(values)))), what) if values else None
    return {
        "what": what,
        "errors": int(sum(values)),
        "of": len(values),
        "share": found.value if found else None,
        **interval_columns(found),
    }


def cost_rows(inputs: ReportInputs) -> list[ReportRow]:
    """Tokens and money of the release's partitions, rejected dialogues included, by scenario and in all."""
    return [_cost_row(inputs, name) for name in [*inputs.released_scenarios, "all"]]


def _cost_row(inputs: ReportInputs, scenario: str) -> ReportRow:
    usage = [row for row in inputs.usage if scenario in (row["scenario"], "all")]
    verdicts = inputs.verdicts if scenario == "all" else inputs.verdicts.filter(pl.col("scenario") == scenario)
    accepted = int(verdicts["accepted"].sum())
    sums: dict[str, Any] = {name: sum(row[name] for row in usage) for name in ("tokens", "judge_tokens")}
    cost = math.fsum(row["cost"] for row in usage)
    return {
        "scenario": scenario,
        "dialogues": verdicts.height,
        "accepted": accepted,
        **sums,
        "cost": cost,
        "tokens_an_accepted": (sums["tokens"] + sums["judge_tokens"]) / accepted if accepted else None,
        "cost_an_accepted": cost / accepted if accepted else None,
    }


def release_facts(inputs: ReportInputs) -> ReportRow | None:
    """The release that the training sets are of."""
    if inputs.release is None:
        return None
    manifest = inputs.release.manifest
    return {
        "id": inputs.release.id,
        **{name: manifest[name] for name in ("rows", "rows_by_scenario", "coverage", "judges")},
    }
