"""From evidence to numbers: every figure of the report as plain values, of the stored rows alone.

Shares are from 0 to 1, intervals are 95 %. A figure that cannot be given is None, never 0.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from assets.evaluation.schema import REASONS, VERDICTS
from assets.evaluation.scores import per_question, score
from assets.evaluation.statistics import (
    FEWEST_SOURCES,
    Difference,
    Interval,
    accuracy_interval,
    average,
    holm,
    normal_p,
    paired_difference,
)
from assets.framework.partitions import UNTUNED, Scenario
from assets.report.evidence import ALL_VARIANTS, PAIR, Evidence
from assets.report.published import Published, PublishedBase
from assets.training_sets.ablations import ABLATIONS

FORMAT = 2
OURS, SEEDS = PAIR
BASELINES = ("random_aug", "spelling_aug", "tagcos", "cot_collection", "cot")
BINS = (0, 50, 100, 150, 200, 250, 300)  # lower ends in tokens; the last one has no upper end
FEWEST_ROWS = 1000  # conversations to train on; a twentieth of the paper's
DIGITS = 6

Row = dict[str, Any]
Key = tuple[str, str, str, str]  # base, variant, benchmark, stage
Answers = Mapping[Key, pl.DataFrame]
Paired = Mapping[Key, pl.DataFrame]  # one row a question
Runs = Mapping[Key, Mapping[str, float]]  # accuracy of each training seed, by the base that was scored


def compute(evidence: Evidence, published: Published) -> Row:
    """All numbers, as JSON can hold them; the same evidence gives the same numbers."""
    answers = by_key(evidence.answers)
    questions = {key: per_question(rows) for key, rows in answers.items()}
    runs = {key: accuracies(rows) for key, rows in answers.items()}
    scores = score_rows(evidence, answers, runs)
    averaged = averaged_benchmarks(evidence, published)
    numbers: Row = {
        "format": FORMAT,
        "bases": list(evidence.bases),
        "seed_of": dict(evidence.seed_of),
        "scores": scores,
        "averages": average_rows(scores, averaged, runs),
        "averaged": averaged,
        "by_benchmark": by_benchmark(evidence, questions, runs),
        "by_variant": by_variant(evidence, questions, averaged, runs),
        "scenarios": by_scenario(evidence, questions, averaged, runs),
        "exchange": by_exchange(questions, runs),
        "lengths": length_rows(evidence.answers),
        "length_bins": bin_rows(evidence.answers),
        "errors": error_rows(evidence.verdicts, published),
        "costs": cost_rows(evidence),
        "partitions": [
            {name: value for name, value in row.items() if name not in ("usage", "unparsed")}
            for row in evidence.partitions
        ],
        "training_sets": [{"variant": variant, **row} for variant, row in evidence.training_sets.items()],
        "excluded": excluded_rows(evidence),
        "missing": missing_rows(evidence),
        "release": release_facts(evidence),
        "paper": {
            "source": published.source,
            "columns": list(published.columns),
            "smallest_gain": published.smallest_gain,
            "beside": {base: published.beside(base).title for base in evidence.bases},
            "figures": {base: paper_figures(published.beside(base), published.columns) for base in evidence.bases},
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


def by_key(answers: pl.DataFrame) -> Answers:
    """The answers of each base, variant, benchmark and stage; of all training seeds that were asked."""
    return {
        (str(key[0]), str(key[1]), str(key[2]), str(key[3])): rows
        for key, rows in answers.group_by(["base", "variant", "benchmark", "stage"], maintain_order=True)
    }


def accuracies(answers: pl.DataFrame) -> dict[str, float]:
    """The accuracy of each training seed."""
    runs = {str(run): per_question(rows)["share"].to_list() for (run,), rows in answers.sort("run").group_by("run")}
    return {run: sum(shares) / len(shares) for run, shares in sorted(runs.items())}


def over_seeds(values: Sequence[float]) -> Row:
    """How many training seeds a mean is over, and the lowest and the highest of them; None for one seed."""
    several = len(values) > 1
    return {
        "seeds": len(values),
        "lowest": min(values) if several else None,
        "highest": max(values) if several else None,
    }


def averages_of(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The unweighted mean over benchmarks of each training seed that all of them have."""
    shared = [run for run in runs[0] if all(run in one for one in runs)]
    return {run: sum(one[run] for one in runs) / len(runs) for run in shared}


def subtracted(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    """The difference of each training seed that both have."""
    return [value - second[run] for run, value in first.items() if run in second]


def paper_figures(base: PublishedBase, columns: Sequence[str]) -> Row:
    """The paper's accuracies of a base model as shares: variant to benchmark to figure, averages under `average`."""
    made: Row = {variant: {"average": figure / 100} for variant, figure in base.averages.items()}
    for variant, figures in base.benchmarks.items():
        made[variant] |= {column: figure / 100 for column, figure in zip(columns, figures, strict=True)}
    return made


def ends(interval: Interval | None) -> Row:
    """An interval as columns."""
    return {name: getattr(interval, name) if interval else None for name in ("low", "high", "by", "few_sources")}


# -- accuracy ----------------------------------------------------------------------------------------------------------


def score_rows(evidence: Evidence, answers: Answers, runs: Runs) -> list[Row]:
    """Accuracy with its interval, verdicts and pass@k, a row a base, variant, benchmark and stage."""
    told = {(row["base"], row["variant"], row["benchmark"]): row for row in evidence.benchmarks.to_dicts()}
    made = []
    for key, rows in answers.items():
        base, variant, benchmark, stage = key
        about, found = told[base, variant, benchmark], score(rows, *key)
        few = shares_few_sources(found)
        made.append(
            {
                "base": base,
                "variant": variant,
                "benchmark": benchmark,
                "stage": stage,
                "title": about["title"],
                "kind": rows["kind"][0],
                "paper_column": about["paper_column"],
                "items": found["items"],
                "sources": found["sources"],
                "samples": found["samples"],
                "accuracy": found["accuracy"],
                "low": found["accuracy_low"],
                "high": found["accuracy_high"],
                "by": found["accuracy_by"],
                "few_sources": found["sources"] if few else 0,
                **over_seeds(list(runs[key].values())),
                "over_samples": sample_spread(rows),
                "pass_at": found["pass_at"],
                **{verdict: found[verdict] for verdict in VERDICTS},
                "truncated": found["truncated"],
                "completion_tokens": found["completion_tokens"],
            }
        )
    return made


def shares_few_sources(found: Mapping[str, Any]) -> bool:
    """Whether questions share sources that are too few to be resampled."""
    return bool(found["sources"] < min(found["items"], FEWEST_SOURCES))


def sample_spread(answers: pl.DataFrame) -> float | None:
    """Standard deviation between the accuracies of the samples (each an answer of its own to every question).

    Of several training seeds the mean of theirs; None for one sample.
    """
    shares = answers.group_by("run", "sample").agg((pl.col("verdict") == "right").mean().alias("share"))
    spread = shares.sort("run", "sample").group_by("run", maintain_order=True).agg(pl.col("share").std())["share"]
    mean = spread.mean()
    return float(mean) if isinstance(mean, float) else None


def averaged_benchmarks(evidence: Evidence, published: Published) -> dict[str, list[str]]:
    """For each base the benchmarks that its averages are over: those of the paper's tables, where there are any."""
    found: dict[str, list[str]] = {}
    for base in evidence.bases:
        rows = evidence.benchmarks.filter(pl.col("base") == base).unique("benchmark", maintain_order=True)
        of_paper = rows.filter(pl.col("paper_column").is_in(list(published.columns)))
        found[base] = (of_paper if of_paper.height else rows)["benchmark"].to_list()
    return found


def average_rows(scores: Sequence[Row], averaged: Mapping[str, Sequence[str]], runs: Runs) -> list[Row]:
    """The unweighted average over benchmarks, a row a base and variant; None where one of them is not scored."""
    plain = {(row["base"], row["variant"], row["benchmark"]): row for row in scores if row["stage"] == "plain"}
    made = []
    for base, benchmarks in averaged.items():
        for variant in ALL_VARIANTS:
            rows = [plain.get((base, variant, benchmark)) for benchmark in benchmarks]
            parts = [
                Interval(row["accuracy"], row["low"], row["high"], row["by"], row["few_sources"]) for row in rows if row
            ]
            whole = bool(parts) and len(parts) == len(rows)
            found = average(parts) if whole else None
            each = averages_of([runs[base, variant, one, "plain"] for one in benchmarks]) if whole else {}
            if parts:
                made.append(
                    {
                        "base": base,
                        "variant": variant,
                        "benchmarks": len(parts),
                        "of": len(rows),
                        "average": found.value if found else None,
                        **ends(found),
                        **over_seeds(list(each.values())),
                    }
                )
    return made


# -- comparisons -------------------------------------------------------------------------------------------------------


def by_benchmark(evidence: Evidence, questions: Paired, runs: Runs) -> list[Row]:
    """BOOST-QA against the seeds on every benchmark; one family of tests."""
    rows = [
        compared(questions, runs, (base, OURS, benchmark, "plain"), (base, SEEDS, benchmark, "plain"))
        for base in evidence.bases
        for benchmark in benchmarks_of(questions, base)
        if comparable(evidence, base, OURS, SEEDS)
    ]
    return corrected([row for row in rows if row])


def by_variant(evidence: Evidence, questions: Paired, averaged: Mapping[str, Sequence[str]], runs: Runs) -> list[Row]:
    """Each variant's average against the seeds'; one family of tests."""
    rows = [
        compared_averages(questions, runs, base, variant, SEEDS, averaged[base])
        for base in evidence.bases
        for variant in ALL_VARIANTS
        if variant != SEEDS and comparable(evidence, base, variant, SEEDS)
    ]
    return corrected([row for row in rows if row])


def by_scenario(evidence: Evidence, questions: Paired, averaged: Mapping[str, Sequence[str]], runs: Runs) -> list[Row]:
    """All scenarios' average against each choice of one or two: what those that are left out add; one family."""
    rows = [
        compared_averages(questions, runs, base, OURS, variant, averaged[base])
        for base in evidence.bases
        for variant in ABLATIONS
        if comparable(evidence, base, OURS, variant)
    ]
    made = corrected([row for row in rows if row])
    every = {scenario.value for scenario in Scenario}
    return [{**row, "added": sorted(every - ABLATIONS[row["against"]])} for row in made]


def by_exchange(questions: Paired, runs: Runs) -> list[Row]:
    """The answer after a review against the plain answer; one family of tests."""
    rows = [
        compared(questions, runs, key, (*key[:3], "plain"), same_prompt=False)
        for key in questions
        if key[3] == "exchange"
    ]
    return corrected([row for row in rows if row])


def benchmarks_of(questions: Paired, base: str) -> list[str]:
    """Every benchmark that any variant of a base was asked."""
    return list(dict.fromkeys(key[2] for key in questions if key[0] == base))


def comparable(evidence: Evidence, base: str, first: str, second: str) -> bool:
    """Whether two variants, with all their training seeds, were tuned on sets of one release; `untuned` has none."""
    releases = {
        variant: {row["release"] for row in evidence.partitions if (row["of"], row["variant"]) == (base, variant)}
        for variant in (first, second)
    }
    tuned = {release for variant, found in releases.items() if variant != UNTUNED for release in found}
    return all(releases.values()) and len(tuned) == 1 and (UNTUNED in releases or None not in tuned)


def difference(questions: Paired, first: Key, second: Key, same_prompt: bool = True) -> tuple[Difference, int] | None:
    """The paired difference over the questions that both were asked in the same words, and their number.

    A question that several training seeds were asked counts once, by its mean over them.
    """
    if first not in questions or second not in questions:
        return None
    both = questions[first].join(questions[second], on="item_id", suffix="_second").sort("item_id")
    if same_prompt:
        both = both.filter(pl.col("prompt_hash") == pl.col("prompt_hash_second"))
    if both.is_empty():
        return None
    shares = (both["share"].to_list(), both["share_second"].to_list())
    return paired_difference(*shares, both["cluster"].to_list(), *first, *second), both.height


def compared(questions: Paired, runs: Runs, first: Key, second: Key, same_prompt: bool = True) -> Row | None:
    """A comparison as a row; None where there is nothing to compare."""
    found = difference(questions, first, second, same_prompt)
    if found is None:
        return None
    made, items = found
    return {
        "base": first[0],
        "variant": first[1],
        "against": second[1],
        "benchmark": first[2],
        "items": items,
        "difference": made.interval.value,
        **ends(made.interval),
        **over_seeds(subtracted(runs[first], runs[second])),
        "better_on": made.first_only,
        "worse_on": made.second_only,
        "test": made.test,
        "p": made.p,
    }


def compared_averages(
    questions: Paired, runs: Runs, base: str, variant: str, against: str, benchmarks: Sequence[str]
) -> Row | None:
    """The difference of two averages over the same benchmarks; None where one of them was not asked."""
    found = [difference(questions, (base, variant, one, "plain"), (base, against, one, "plain")) for one in benchmarks]
    made = [one for one in found if one]
    if not made or len(made) < len(found):
        return None
    interval = average([one.interval for one, _ in made])
    each = [averages_of([runs[base, one, name, "plain"] for name in benchmarks]) for one in (variant, against)]
    return {
        "base": base,
        "variant": variant,
        "against": against,
        "benchmarks": len(made),
        "items": sum(items for _, items in made),
        "difference": interval.value,
        **ends(interval),
        **over_seeds(subtracted(*each)),
        "test": "normal",
        "p": normal_p(interval),
    }


def corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows of a family of tests with Holm's correction."""
    return [{**row, "p_holm": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]


# -- lengths -----------------------------------------------------------------------------------------------------------


def bin_name(low: int) -> str:
    """`50–99`; `300 and more`."""
    above = [edge for edge in BINS if edge > low]
    return f"{low}–{above[0] - 1}" if above else f"{low} and more"


def _answered(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.filter((pl.col("stage") == "plain") & pl.col("finish_reason").is_not_null())


def length_rows(answers: pl.DataFrame) -> list[Row]:
    """Tokens of the plain answers, a row a base and variant."""
    tokens = pl.col("completion_tokens")
    return (
        _answered(answers)
        .group_by(["base", "variant"], maintain_order=True)
        .agg(
            pl.len().alias("answers"),
            tokens.median().alias("median"),
            tokens.quantile(0.9, "nearest").alias("nine_in_ten"),
            tokens.mean().alias("mean"),
            (pl.col("finish_reason") == "length").mean().alias("cut_off"),
        )
        .to_dicts()
    )


def bin_rows(answers: pl.DataFrame) -> list[Row]:
    """How many plain answers are of which length, and how many of these are right; a row a base, variant and bin."""
    place = pl.sum_horizontal(*(pl.col("completion_tokens") >= edge for edge in BINS)) - 1
    grouped = _answered(answers).with_columns(place.alias("bin")).group_by(["base", "variant"], maintain_order=True)
    made = []
    for (base, variant), rows in grouped:
        for number, low in enumerate(BINS):
            inside = rows.filter(pl.col("bin") == number)
            right = (inside["verdict"] == "right").cast(pl.Float64)
            key = (str(base), str(variant), str(low))
            clusters = (inside["benchmark"] + "/" + inside["cluster"]).to_list()
            found = accuracy_interval(right.to_list(), clusters, *key) if inside.height else None
            made.append(
                {
                    "base": base,
                    "variant": variant,
                    "bin": bin_name(low),
                    "answers": inside.height,
                    "share": inside.height / rows.height,
                    "accuracy": found.value if found else None,
                    **ends(found),
                }
            )
    return made


# -- the data ----------------------------------------------------------------------------------------------------------


def error_rows(verdicts: pl.DataFrame, published: Published) -> list[Row]:
    """Procedural errors as the judge found them, by scenario and in all, each with the dialogues it speaks of."""
    judged = verdicts.filter(pl.col("judge_status") == "judged")
    complete = verdicts.filter(pl.col("status") == "complete")
    released = judged.filter(pl.col("accepted"))
    wrong = pl.col("judge_correct").not_().fill_null(False)
    rows = [
        rate(f"judged wrong, {scenario.value.replace('_', ' ')}", judged.filter(pl.col("scenario") == scenario), wrong)
        for scenario in Scenario
    ]
    rows.append(rate("judged wrong, all that were judged", judged, wrong))
    rows.append(rate("judged wrong, of those accepted and judged", released, wrong))
    by_rule = wrong | pl.col("final_answer").is_in(["wrong", "missing"])
    rows.append(rate("judged wrong or no right result by rule, all complete ones", complete, by_rule))
    paper = published.procedural_errors / 100
    rows.append({"what": "the paper's", "errors": None, "of": published.seeds, "share": paper, **ends(None)})
    return rows


def rate(what: str, rows: pl.DataFrame, wrong: pl.Expr) -> Row:
    """A share of wrong ones with its interval."""
    values = rows.select(wrong.cast(pl.Float64).alias("wrong"))["wrong"].to_list()
    found = accuracy_interval(values, list(map(str, range(len(values)))), what) if values else None
    return {
        "what": what,
        "errors": int(sum(values)),
        "of": len(values),
        "share": found.value if found else None,
        **ends(found),
    }


def cost_rows(evidence: Evidence) -> list[Row]:
    """Tokens and money of the release's partitions, rejected dialogues included, by scenario and in all."""
    made = []
    for name in [*(scenario.value for scenario in Scenario), "all"]:
        usage = [row for row in evidence.usage if name in (row["scenario"], "all")]
        verdicts = evidence.verdicts if name == "all" else evidence.verdicts.filter(pl.col("scenario") == name)
        accepted = int(verdicts["accepted"].sum())
        tokens, judging, cost, replayed = (
            sum(row[what] for row in usage) for what in ("tokens", "judge_tokens", "cost", "replayed")
        )
        made.append(
            {
                "scenario": name,
                "dialogues": verdicts.height,
                "accepted": accepted,
                "tokens": tokens,
                "judge_tokens": judging,
                "cost": float(cost),
                "replayed": replayed,
                "tokens_an_accepted": (tokens + judging) / accepted if accepted else None,
                "cost_an_accepted": cost / accepted if accepted else None,
            }
        )
    return made


def excluded_rows(evidence: Evidence) -> list[Row]:
    """What does not count, and why."""
    rows = [
        {"what": "dialogue", "why": f"{row['decision'].replace('_', ' ')}: {row['reason']}", "number": row["dialogues"]}
        for row in (evidence.release.manifest["removed"] if evidence.release else [])
    ]
    left = evidence.release.manifest["left_out"] if evidence.release else []
    rows += [{"what": "partition", "why": f"{row['partition']}: {row['why']}", "number": 1} for row in left]
    if evidence.changed_partitions:
        why = "scored anew since the release; its errors and costs are not counted here"
        rows.append({"what": "partition", "why": why, "number": evidence.changed_partitions})
    rows += [
        {"what": f"row of {benchmark}", "why": reason, "number": count}
        for (benchmark, reason), count in sorted(
            Counter((row["benchmark"], row["reason"]) for row in evidence.unparsed).items()
        )
    ]
    failed = evidence.answers.filter(pl.col("reason").is_not_null() & pl.col("verdict").is_in(["failed", "unreadable"]))
    rows += [
        {"what": f"answer, counted as not right ({verdict})", "why": REASONS[reason], "number": count}
        for verdict, reason, count in failed.group_by(["verdict", "reason"]).len().sort("verdict", "reason").iter_rows()
    ]
    rows += [
        {"what": "scored partition", "why": f"{row['partition']}: {row['why']}", "number": 1}
        for row in evidence.left_out
    ]
    return rows


def missing_rows(evidence: Evidence) -> list[Row]:
    """What the report would show if it were there, and why it cannot compare what is."""
    rows: list[Row] = []
    for base in evidence.bases:
        scored = {named(base, row["base"], row["variant"]): row for row in evidence.partitions if row["of"] == base}
        absent = [variant for variant in ALL_VARIANTS if all(row["variant"] != variant for row in scored.values())]
        if absent:
            rows.append({"what": f"scores of {base}", "which": absent, "why": "benchmark_scores was not made for them"})
        old = [name for name, row in scored.items() if not row["newest_checkpoint"]]
        if old:
            why = "scored, but not their newest checkpoint; materialise benchmark_scores again"
            rows.append({"what": f"scores of {base}", "which": old, "why": why})
        releases = {row["release"] for row in scored.values() if row["release"]}
        if len(releases) > 1:
            why = "tuned on different releases, and not compared with each other"
            rows.append({"what": f"comparisons of {base}", "which": sorted(releases), "why": why})
        asked: dict[str, set[str]] = {}
        for row in evidence.benchmarks.filter(pl.col("base") == base).iter_rows(named=True):
            asked.setdefault(row["benchmark"], set()).add(named(base, row["run"], row["variant"]))
        for benchmark, those in asked.items():
            if those != scored.keys():
                why = f"was not asked {benchmark}, as others were"
                rows.append({"what": f"scores of {base}", "which": sorted(scored.keys() - those), "why": why})
    return rows


def named(base: str, run: str, variant: str) -> str:
    """What was scored: the variant, with the base's own name where that is another training seed."""
    return variant if run == base else f"{run}|{variant}"


def release_facts(evidence: Evidence) -> Row | None:
    """The release that the training sets are of."""
    if evidence.release is None:
        return None
    told = evidence.release.manifest
    return {
        "id": evidence.release.id,
        "rows": told["rows"],
        "rows_by_scenario": told["rows_by_scenario"],
        "coverage": told["coverage"],
        "judges": told["judges"],
    }


def half_width(row: Mapping[str, Any]) -> float:
    """Half of an interval."""
    return float(row["high"] - row["low"]) / 2


def unseen(row: Mapping[str, Any], gain: float) -> bool:
    """Whether a difference cannot be told from none, on so few questions that a gain of that size could not either."""
    return bool(row["low"] <= 0 <= row["high"] and half_width(row) > gain)


def too_small(numbers: Mapping[str, Any], published: Published) -> list[str]:
    """Reasons why a run says nothing about the method; none where it is large enough to."""
    reasons = []
    release = numbers["release"]
    trained = [row["rows"] for row in numbers["partitions"] if row["variant"] == OURS and row["rows"] is not None]
    fewest = min(trained, default=release["rows"].get("train", 0) if release else 0)
    if fewest < FEWEST_ROWS:
        reasons.append(f"BOOST-QA has {fewest:,} conversations to train on, the paper's {published.seeds:,}")
    ours = [row for row in numbers["by_variant"] if row["variant"] == OURS]
    if ours and all(unseen(row, published.smallest_gain) for row in ours):
        known = min(half_width(row) for row in ours)
        reasons.append(
            f"the difference is known to within {100 * known:.1f} points at best, and the paper's smallest average "
            f"gain is {100 * published.smallest_gain:.1f}"
        )
    return reasons
