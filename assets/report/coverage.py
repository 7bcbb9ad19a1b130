"""What a report does not cover: what was excluded and why, what is not scored yet, and the commands that score it."""

from collections import Counter
from collections.abc import Iterable

import polars as pl

from assets.evaluation.schema import REASONS
from assets.framework.partitions import UNTUNED
from assets.report.formatting import BASELINES, COMPARED, OTHER_FORMS, Numbers, Row
from assets.report.inputs import ReportInputs
from assets.report.scored_answers import ReportRow
from assets.training_sets.ablations import ablations
from assets.training_sets.masks import MASKS
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES

NOT_SCORED = "benchmark_scores was not made for them"
OPTIONAL = "optional: score them to compare"
OLDER_RELEASES = "tuned on different releases, and not compared with each other"
NOT_TRAINED = (NOT_SCORED, OPTIONAL, OLDER_RELEASES)
PAID_INPUTS = {"cot": CHAIN_OF_THOUGHT_ANSWERS.name, "tagcos": GRADIENT_FEATURES.name}
"""Assets that a variant's training set is made from, beside the release."""
POOLED = "cot_collection"  # whose rows the comparison rules have to name


def excluded_rows(inputs: ReportInputs) -> list[ReportRow]:
    """What does not count, and why."""
    manifest = inputs.release.manifest if inputs.release else {"removed": [], "left_out": []}
    found: list[tuple[str, str, int]] = [
        ("dialogue", f"{row['decision'].replace('_', ' ')}: {row['reason']}", row["dialogues"])
        for row in manifest["removed"]
    ]
    found += [("partition", f"{row['partition']}: {row['why']}", 1) for row in manifest["left_out"]]
    if inputs.changed_partitions:
        why = "scored again since the release; its errors and costs are not counted here"
        found.append(("partition", why, inputs.changed_partitions))
    unparsed = Counter((row["benchmark"], row["reason"]) for row in inputs.unparsed)
    found += [(f"row of {benchmark}", reason, count) for (benchmark, reason), count in sorted(unparsed.items())]
    failed = inputs.answers.filter(pl.col("reason").is_not_null() & pl.col("verdict").is_in(["failed", "unreadable"]))
    found += [
        (f"answer, counted as not right ({verdict})", REASONS[reason], count)
        for verdict, reason, count in failed.group_by(["verdict", "reason"]).len().sort("verdict", "reason").iter_rows()
    ]
    found += [("scored partition", f"{row['partition']}: {row['why']}", 1) for row in inputs.left_out]
    return [{"what": what, "why": why, "number": number} for what, why, number in found]


def missing_rows(inputs: ReportInputs) -> list[ReportRow]:
    """What the report would show if it were there, and why it cannot compare what is."""
    rows: list[ReportRow] = []

    def add(what: str, which: list[str], why: str) -> None:
        if which:
            rows.append({"what": what, "which": which, "why": why})

    for base in inputs.bases:
        what = f"scores of {base}"
        scored = {_name(base, row["base"], row["variant"]): row for row in inputs.partitions if row["of"] == base}
        variants = {row["variant"] for row in scored.values()}
        add(what, [variant for variant in COMPARED if variant not in variants], NOT_SCORED)
        for topic, group in _optional(inputs).items():
            add(what, [variant for variant in group if variant not in variants], f"{OPTIONAL} {topic}")
        add(
            what,
            [name for name, row in scored.items() if not row["newest_checkpoint"]],
            "scored, but not their newest checkpoint; materialise benchmark_scores again",
        )
        releases = sorted({row["release"] for row in scored.values() if row["release"]})
        add(f"comparisons of {base}", releases if len(releases) > 1 else [], OLDER_RELEASES)
        asked: dict[str, set[str]] = {}
        for row in inputs.benchmarks.filter(pl.col("base") == base).iter_rows(named=True):
            asked.setdefault(row["benchmark"], set()).add(_name(base, row["run"], row["variant"]))
        for benchmark, names in asked.items():
            add(what, sorted(scored.keys() - names), f"was not asked {benchmark}, as others were")
    return rows


def _optional(inputs: ReportInputs) -> dict[str, list[str]]:
    """Further training sets by what they show. One that was not made may have no rows, unless it has to be paid for."""
    made = [variant for variant in (*MASKS, *OTHER_FORMS) if variant in inputs.training_sets]
    return {
        "which turns should carry loss": [variant for variant in made if variant in MASKS],
        "preference pairs, labelled answers and critiques": [variant for variant in made if variant in OTHER_FORMS],
        "other ways to use the same seeds": [variant for variant in BASELINES if variant in inputs.variants],
        "which scenario helped": list(ablations(inputs.scenarios)),
    }


def _name(base: str, run: str, variant: str) -> str:
    """What was scored: the variant, with the base's own name where that is another training seed."""
    return variant if run == base else f"{run}|{variant}"


def missing_with_commands(numbers: Numbers) -> list[ReportRow]:
    """The rows of `missing_rows`, each with the `commands` that make what it lists, and a `note` on what they need."""
    return [_with_commands(row, numbers["partitions"]) for row in numbers["missing"]]


def _with_commands(row: Row, partitions: Iterable[Row]) -> ReportRow:
    base, is_trained = row["what"].partition(" of ")[2], not row["why"].startswith(NOT_TRAINED)
    scored = [(one["base"], one["variant"]) for one in partitions if one["of"] == base]
    listed = [name.rpartition("|") for name in row["which"]]
    names = scored if row["why"] == OLDER_RELEASES else [(run or base, variant) for run, _, variant in listed]
    commands: list[str] = []
    for run in dict.fromkeys(run for run, _ in names):
        variants = [variant for name, variant in names if name == run and variant != UNTUNED]
        if is_trained:
            commands.append(_command("evaluate", run, variants))
            continue
        alone = [variant for variant in variants if variant in (*PAID_INPUTS, POOLED)]
        for group in ([variant for variant in variants if variant not in alone], *([variant] for variant in alone)):
            commands += [f"dg launch --assets {PAID_INPUTS[variant]}" for variant in group if variant in PAID_INPUTS]
            commands += [_command(step, run, group) for step in ("train", "evaluate") if group]
        if not variants:  # `evaluate` scores the base model with any variant
            commands.append(_command("evaluate", run, [one for at, one in scored if at == run and one != UNTUNED]))
    pooled = not is_trained and POOLED in row["which"]
    note = f"{POOLED} needs its rows named in the comparison rules (MASTER_COMPARISON_RULES) first." if pooled else ""
    return {**row, "commands": commands, "note": note}


def _command(step: str, base: str, variants: Iterable[str]) -> str:
    return " ".join(["master-dagster", step, "--base", base, *(f"--variant {variant}" for variant in variants)])
