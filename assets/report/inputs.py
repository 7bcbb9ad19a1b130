"""What a report is made of, read from the lake: scored answers, training sets, the release, its dialogues.

Whatever is not there yet is said to be missing; only without any score there is nothing to report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.boost_qa.card import scenario_names
from assets.boost_qa.release import RELEASES, Release
from assets.checkpoints.checkpoint import CHECKPOINTS
from assets.dialogue_browser.publishing import BROWSERS
from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.framework.partitions import UNTUNED, partition_columns
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.usage_metadata import paid, payers
from assets.quality.schema import SCORED
from assets.training_sets.ablations import tuned_variants, variants
from assets.training_sets.variants import TRAINING_SETS
from resources.identity import draw
from resources.lake.tables import Lake

ANSWER_COLUMNS = [
    *("base", "variant", "benchmark", "kind", "item_id", "cluster", "stage", "sample", "prompt_hash", "verdict"),
    *("reason", "finish_reason", "prompt_tokens", "completion_tokens", "model"),
]
SCORE_COLUMNS = [
    "base",
    "variant",
    "benchmark",
    "title",
    "paper_column",
    "checkpoint",
    "temperature",
    "shots",
    "max_tokens",
]
VERDICT_COLUMNS = [
    *("scenario", "status", "accepted", "final_answer"),
    *("judge_status", "judge_correct", "judge_error_class"),
]
NO_SEEDS: Mapping[str, str] = {}
PAIR = ("boost_qa", "ori")  # what it is all about, and what it is compared with

Row = Mapping[str, Any]


class NothingScored(RuntimeError):
    """There is no score to report on. The message says what to do."""


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """All of it, as plain data."""

    bases: tuple[str, ...]  # scored or configured, in order; without those that are another training seed of one
    seed_of: Mapping[str, str]  # base that differs from another in its training seed alone -> that other one
    answers: pl.DataFrame  # ANSWER_COLUMNS, of every partition that is taken; `base` as above, `run` as it was scored
    benchmarks: pl.DataFrame  # SCORE_COLUMNS of the same, likewise
    # base as it was scored, of: the one that it is a seed of, or itself; variant, fingerprint, checkpoint, release, …
    partitions: tuple[Row, ...]
    left_out: tuple[Row, ...]  # partition, why
    unparsed: tuple[Row, ...]  # rows of benchmarks' files that are no question
    training_sets: Mapping[str, Row]  # variant -> id, release, rows, counts; those that were made
    release: Release | None
    browser: str | None  # folder of the dialogue browser of this very release, if it was made
    verdicts: pl.DataFrame  # VERDICT_COLUMNS of the release's partitions
    usage: tuple[Row, ...]  # one row per partition of the release: scenario, tokens, cost, who paid, …
    examples: tuple[Row, ...]  # questions that one of two variants answered rightly, with what the models said
    changed_partitions: int  # partitions of the release that were scored again since, and are left out here
    scenarios: Scenarios  # those of the deployment

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant of the deployment, in the report's order."""
        return ordered_variants(self.scenarios)

    @property
    def released_scenarios(self) -> list[str]:
        """The scenarios of the release's dialogues: the declared ones in their order, then others by name."""
        return scenario_names(self.verdicts.select("scenario").unique().to_dicts(), self.scenarios)


def ordered_variants(scenarios: Scenarios) -> tuple[str, ...]:
    """`untuned`, what is compared first, then the other training sets of a deployment."""
    return (UNTUNED, *reversed(PAIR), *(variant for variant in tuned_variants(scenarios) if variant not in PAIR))


def read_inputs(
    lake: Lake, scenarios: Scenarios, bases: Iterable[str], seed_of: Mapping[str, str] = NO_SEEDS
) -> ReportInputs:
    """Read what a report needs on `bases` and whatever else was scored.

    Args:
        lake: where it is.
        scenarios: those of the deployment.
        bases: base models that are configured.
        seed_of: those that differ from another in the training seed alone, and from which.

    Raises:
        NothingScored: no partition of benchmark_scores is there and passed its gate.
    """
    taken, left_out = _partitions(lake, ordered_variants(scenarios))
    if not taken:
        why = "".join(f"\n  - {row['partition']}: {row['why']}" for row in left_out)
        raise NothingScored(f"there are no benchmark scores yet; materialise benchmark_scores first{why}")
    keys = [{"base": row["base"], "variant": row["variant"]} for row in taken]
    release = RELEASES.find_latest(lake)
    verdicts, usage, changed = _released_partitions(lake, release)
    unparsed = {
        (row["benchmark"], row["file"], row["row"]): row for partition in taken for row in partition["unparsed"]
    }
    return ReportInputs(
        bases=tuple(dict.fromkeys(seed_of.get(base, base) for base in [*bases, *(row["base"] for row in taken)])),
        seed_of=seed_of,
        answers=_as_runs(lake.read(BENCHMARK_ANSWERS, keys, ANSWER_COLUMNS), seed_of),
        benchmarks=_as_runs(lake.read(BENCHMARK_SCORES, keys, SCORE_COLUMNS), seed_of),
        partitions=tuple({**row, "of": seed_of.get(row["base"], row["base"])} for row in taken),
        left_out=tuple(left_out),
        unparsed=tuple(unparsed.values()),
        training_sets=_training_sets(lake, variants(scenarios)),
        release=release,
        browser=_browser(lake, release),
        verdicts=verdicts,
        usage=tuple(usage),
        examples=tuple(examples(lake, taken)),
        changed_partitions=changed,
        scenarios=scenarios,
    )


def examples(lake: Lake, partitions: Sequence[Row]) -> list[Row]:
    """For the first base with both, a question that `boost_qa` alone answered rightly, and one that `ori` alone did."""
    both = [{row["base"] for row in partitions if row["variant"] == variant} for variant in PAIR]
    base = next((row["base"] for row in partitions if all(row["base"] in bases for bases in both)), None)
    if base is None:
        return []
    columns = ["benchmark", "item_id", "stage", "sample", "verdict", "reason", "prompt", "output"]
    first, second = (
        lake.read(BENCHMARK_ANSWERS, [{"base": base, "variant": variant}], columns).filter(
            (pl.col("stage") == "plain") & (pl.col("sample") == 0)
        )
        for variant in PAIR
    )
    joined = first.join(second, on=["benchmark", "item_id", "prompt"], suffix="_second").to_dicts()
    joined.sort(key=lambda row: draw("example", row["benchmark"], row["item_id"]))
    shown: list[Row] = []
    for right, wrong in (("verdict", "verdict_second"), ("verdict_second", "verdict")):
        found = next((row for row in joined if row[right] == "right" and row[wrong] != "right"), None)
        if found:
            shown.append({"base": base, "variants": PAIR, **found})
    return shown


def _as_runs(rows: pl.DataFrame, seed_of: Mapping[str, str]) -> pl.DataFrame:
    """The rows with the base that they count for, and in the column `run` the one that was scored."""
    return rows.with_columns(pl.col("base").alias("run"), pl.col("base").replace(seed_of))


def _partitions(lake: Lake, names: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """Scored partitions in the order of bases and variants, and those that are left out."""
    scores = {record.name: record for record in lake.records(BENCHMARK_SCORES)}
    taken: list[Row] = []
    left_out: list[Row] = []
    for record in lake.records(BENCHMARK_ANSWERS):
        scored = scores.get(record.name)
        if scored is None or scored.fingerprint != record.fingerprint:
            left_out.append({"partition": record.name, "why": "its answers have no scores; materialise it again"})
        elif record.gate == "failed":
            left_out.append(
                {"partition": record.name, "why": "its gate failed: too many answers or verdicts are missing"}
            )
        else:
            taken.append(_partition(lake, record.keys, record.fingerprint))
    order = {variant: place for place, variant in enumerate(names)}
    return sorted(taken, key=lambda row: (row["base"], order.get(row["variant"], len(order)), row["variant"])), left_out


def _partition(lake: Lake, keys: Mapping[str, str], fingerprint: str) -> Row:
    facts = lake.facts(BENCHMARK_ANSWERS, keys)
    newest = CHECKPOINTS.find_latest(lake, keys["base"], keys["variant"])
    trained: Mapping[str, Any] = (newest.manifest.get("training_set") if newest else None) or {}
    current = newest is not None and newest.id == facts["checkpoint"]
    return {
        "base": keys["base"],
        "variant": keys["variant"],
        "fingerprint": fingerprint,
        "benchmarks": facts["benchmarks"],
        "profile": facts["profile"],
        "checkpoint": facts["checkpoint"],
        "newest_checkpoint": current,
        "training_set": trained.get("id") if current else None,
        "release": trained.get("release") if current else None,
        "rows": _trained_rows(lake, keys["variant"], trained.get("id")) if current else None,
        "usage": facts["usage"],
        "unparsed": facts["unparsed"],
    }


def _trained_rows(lake: Lake, variant: str, set_id: str | None) -> int | None:
    """Conversations of a training set's training split; None where the set is gone."""
    found = TRAINING_SETS.find(lake, TRAINING_SETS.folder(set_id, variant)) if set_id else None
    return found.manifest["rows"].get("train", 0) if found else None


def _browser(lake: Lake, release: Release | None) -> str | None:
    """Where the release's dialogues can be read; an earlier release's are not those that the report is about."""
    browser = BROWSERS.find_latest(lake)
    return browser.folder if browser and release and browser.manifest["release"] == release.id else None


def _training_sets(lake: Lake, names: Sequence[str]) -> dict[str, Row]:
    return {
        variant: {
            "id": made.id,
            "release": made.manifest["release"],
            "rows": made.manifest["rows"],
            "counts": made.manifest.get("counts", {}),
        }
        for variant in names
        if (made := TRAINING_SETS.find_latest(lake, variant))
    }


def _released_partitions(lake: Lake, release: Release | None) -> tuple[pl.DataFrame, list[Row], int]:
    """Verdicts on the release's dialogues, what each of its partitions took, and how many partitions changed since."""
    lineage = release.manifest["lineage"] if release else []
    stored = {record.name: record.fingerprint for record in lake.records(SCORED)}
    unchanged = [
        partition_columns(entry["partition"]) for entry in lineage if stored.get(entry["partition"]) == entry["scores"]
    ]
    usage: list[Row] = []
    for keys in unchanged:
        tokens = lake.read(DIALOGUES, [keys], ["prompt_tokens", "completion_tokens"])
        teaching, judging = (lake.facts(table, keys).get("usage", {}) for table in (DIALOGUES, SCORED))
        usage.append(
            {
                "scenario": keys["scenario"],
                "dialogues": tokens.height,
                "tokens": int(tokens.select(pl.sum_horizontal(pl.all()).sum()).item() or 0),
                "judge_tokens": round(paid(judging, "prompt_tokens") + paid(judging, "completion_tokens")),
                "cost": paid(teaching, "cost") + paid(judging, "cost"),
                "payers": [payers(teaching), payers(judging)],
            }
        )
    return lake.read(SCORED, unchanged, VERDICT_COLUMNS), usage, len(lineage) - len(unchanged)
