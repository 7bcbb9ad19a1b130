"""The dataset card: what is in a release, how it was made, what is not in it, how to load it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import yaml

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.selection import Selection, query
from assets.dialogues.sharegpt_roles import SIDES
from assets.framework.partitions import Scenario, Split
from assets.framework.ui_metadata import COLOURS, new_figure, quoted, table_markdown
from assets.quality.judge import PAPER_ERROR_RATE
from resources.chat.profile import Profile, Role

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).parent / "card.md"
# What the hub's card header accepts as `license`, of those that question-answer data usually has.
KNOWN_LICENCES = {
    *("mit", "apache-2.0", "bsd-3-clause", "gpl-3.0", "odc-by", "unknown"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-sa-3.0"),
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Contents:
    """What the card says of a release, as tables of plain values."""

    rows: Table  # split, scenario, rows
    sources: Table  # source, domain, licence, rows
    cast: Table  # role, model, temperature, prompt, turns
    removed: Table  # decision, reason, dialogues
    changes: Table | None  # change, dialogues; None where this is the first release
    judges: tuple[str, ...]  # models that judged
    judged: int  # dialogues with a verdict, released or not
    judged_wrong: int  # of them, those whose reasoning the judge finds wrong
    tokens: int  # read and written by all calls of the partitions taken
    sample: Mapping[str, Any]  # a good short row

    @property
    def total(self) -> int:
        """Rows of all splits."""
        return sum(int(row["rows"]) for row in self.rows)


def read_contents(connection: duckdb.DuckDBPyConnection, *, first: bool) -> Contents:
    """Read a release's tables off its rows.

    Args:
        connection: with `released`, `removed`, `taken_dialogues`, `taken_scores`, and, unless it is the first release,
            `previous` and `previous_removed`.
        first: whether there is no release before it.
    """

    def table(sql: str) -> Table:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    judges = table("SELECT DISTINCT judge_model AS model FROM taken_scores WHERE judge_model IS NOT NULL ORDER BY ALL")
    verdicts = table(query("verdicts.sql"))[0]
    tokens = table("SELECT coalesce(sum(prompt_tokens + completion_tokens), 0)::BIGINT AS n FROM taken_dialogues")
    sample = table(query("sample.sql"))
    return Contents(
        rows=table(query("counts.sql")),
        sources=table("SELECT source, domain, licence, count(*) AS rows FROM released GROUP BY ALL ORDER BY ALL"),
        cast=table(query("cast.sql")),
        removed=table("SELECT decision, reason, count(*) AS dialogues FROM removed GROUP BY ALL ORDER BY 3 DESC, 1, 2"),
        changes=None if first else table(query("changes.sql")),
        judges=tuple(row["model"] for row in judges),
        judged=verdicts["judged"],
        judged_wrong=verdicts["wrong"],
        tokens=tokens[0]["n"],
        sample=sample[0],
    )


def write_card(
    folder: Path,
    release_id: str,
    place: str,
    rules: ReleaseRules,
    profile: Profile,
    selection: Selection,
    told: Contents,
    questions_screened: int,
) -> None:
    """Write `README.md` into a staged release.

    Args:
        folder: the staged release.
        release_id: its name.
        place: its folder below the lake's root.
        rules: by which it was made.
        profile: whose partitions it takes.
        selection: what it takes and leaves out.
        told: what is in it.
        questions_screened: benchmark questions that it was compared with.
    """
    splits = list(dict.fromkeys(row["split"] for row in told.rows))
    header = yaml.safe_dump(card_header(rules, told, splits), sort_keys=False, allow_unicode=True)
    body = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=rules.pretty_name,
        name=rules.name,
        id=release_id,
        folder=place,
        rows=f"{told.total:,}",
        splits=json.dumps(splits),
        rows_table=_markdown(_by_split(told.rows, splits)),
        sources_table=_markdown(told.sources),
        sample_scenario=told.sample["scenario"].replace("_", " "),
        sample=_sample(told.sample),
        sides_table=_markdown(sides_table()),
        profile=profile.name,
        judge=", ".join(told.judges) or f"none ({profile.roles[Role.JUDGE].model} was not asked)",
        cast_table=_markdown([{**row, "prompt": row["prompt"] or "–"} for row in told.cast]),
        judged=_judged(told),
        coverage=_coverage(selection, rules),
        removed_table=_markdown(told.removed) if told.removed else "None: every one is.",
        screening=_screening(rules, questions_screened),
        changes=_changes(told.changes),
    )
    (folder / "README.md").write_text(f"---\n{header}---\n\n{body}", encoding="utf-8")


def card_header(rules: ReleaseRules, told: Contents, splits: Sequence[str]) -> dict[str, Any]:
    """The YAML header that the hub and `datasets.load_dataset(<folder>)` read. Only splits with rows are named."""
    licences = sorted({str(row["licence"]).lower() for row in told.sources})
    unknown = [licence for licence in licences if licence not in KNOWN_LICENCES]
    named = [licence for licence in licences if licence in KNOWN_LICENCES]
    header: dict[str, Any] = {
        "pretty_name": rules.pretty_name,
        "language": ["en"],
        "license": [*named, "other"] if unknown else named,
    }
    if unknown:
        header["license_name"] = ", ".join(unknown)
    return header | {
        "size_categories": [next((name for size, name in SIZES if told.total < size), "n>1M")],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "sharegpt", "synthetic", "multi-agent", "simulated-teaching"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    }


def sides_table() -> Table:
    """Who is `human` and who is `gpt`, a row a scenario."""
    return [
        {
            "scenario": scenario.value.replace("_", " "),
            "human": ", ".join(speaker for speaker, side in speakers.items() if side == "human"),
            "gpt": ", ".join(speaker for speaker, side in speakers.items() if side == "gpt"),
        }
        for scenario, speakers in SIDES.items()
    ]


def scenarios_figure(rows: Iterable[Mapping[str, Any]]) -> "Figure":
    """Rows by scenario and split as bars; see `Contents.rows`."""
    names = [scenario.value for scenario in Scenario]
    counts = {(row["split"], row["scenario"]): int(row["rows"]) for row in rows}
    figure = new_figure()
    axes = figure.add_subplot()
    below = [0] * len(names)
    for colour, split in zip(COLOURS, Split, strict=False):
        heights = [counts.get((split.value, name), 0) for name in names]
        axes.bar([name.replace("_", " ") for name in names], heights, bottom=below, color=colour, label=split.value)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_ylabel("rows")
    figure.legend(loc="outside upper center", ncols=len(Split))
    return figure


def draw_plots(connection: duckdb.DuckDBPyConnection, folder: Path, told: Contents) -> None:
    """Write the card's pictures into `folder`/plots: rows by scenario and split, scores, lengths."""
    (folder / "plots").mkdir()
    scenarios_figure(told.rows).savefig(folder / "plots/scenarios.png", dpi=110)
    names = [scenario.value for scenario in Scenario]
    measured = pl.DataFrame(pl.from_arrow(connection.sql(query("measures.sql")).to_arrow_table()))
    for name, label in {"scores": "quality score", "words": "words of all turns"}.items():
        values = measured.filter(pl.col("scenario").is_in(names)).partition_by("scenario", as_dict=True)
        figure = new_figure()
        axes = figure.add_subplot()
        axes.hist(
            [values[(scenario,)][name].to_numpy() if (scenario,) in values else [] for scenario in names],
            bins=20,
            range=(0, 1) if name == "scores" else None,
            color=COLOURS[: len(names)],
            label=[scenario.replace("_", " ") for scenario in names],
        )
        axes.set_xlabel(label)
        axes.set_ylabel("rows")
        figure.legend(loc="outside upper center", ncols=len(names))
        figure.savefig(folder / f"plots/{name}.png", dpi=110)


def _by_split(rows: Iterable[Mapping[str, Any]], splits: Sequence[str]) -> Table:
    counts = {(row["scenario"], row["split"]): int(row["rows"]) for row in rows}
    table = [
        {"scenario": scenario.value.replace("_", " "), **{split: counts.get((scenario, split), 0) for split in splits}}
        for scenario in Scenario
    ]
    return [*table, {"scenario": "all", **{split: sum(row[split] for row in table) for split in splits}}]


def _sample(row: Mapping[str, Any]) -> str:
    turns = [f"**{turn['from']}**\n\n{quoted(turn['value'], 800)}" for turn in row["conversations"]]
    return "\n\n".join(turns)


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    return table_markdown(rows, limit=40).md_str or ""


def _judged(told: Contents) -> str:
    if not told.judged:
        return "No dialogue has a judge's verdict."
    share = told.judged_wrong / told.judged
    return (
        f"Of {told.judged:,} dialogues that were judged, released or not, the judge found wrong reasoning in "
        f"{share:.1%} (the paper reports {PAPER_ERROR_RATE:.1%} for its data, with another judge). Released is what "
        "the quality rules, or a decision by hand, accept. All calls together read and wrote "
        f"{told.tokens:,} tokens."
    )


def _coverage(selection: Selection, rules: ReleaseRules) -> str:
    text = (
        f"The release covers {selection.coverage:.1%} of {selection.planned:,} planned dialogues (at least "
        f"{rules.minimum_coverage:.0%} were asked for)."
    )
    reasons: dict[str, int] = {}
    for partition in selection.left_out:
        reasons[str(partition.why)] = reasons.get(str(partition.why), 0) + partition.planned
    if reasons:
        text += " Left out: " + ", ".join(f"{count:,} {why}" for why, count in sorted(reasons.items())) + "."
    return text + " Of the dialogues that were scored, these are not in it:"


def _screening(rules: ReleaseRules, questions: int) -> str:
    near = (
        "Dialogues of validation and test whose question nearly equals one of an earlier split "
        f"({rules.near_duplicate_similarity:.0%} of the word triples shared) are left out, whatever their source."
    )
    if not rules.benchmarks:
        return near + " The release was not compared with any benchmark: none is configured."
    names = ", ".join(benchmark.name for benchmark in rules.benchmarks)
    return near + (
        f" Questions, reference answers and dialogues were compared with {questions:,} benchmark questions ({names}): "
        f"a run of {rules.contamination_words} words in common, or the same question, leaves a dialogue out."
    )


def _changes(changes: Table | None) -> str:
    if changes is None:
        return "This is the first release."
    return _markdown(changes) if changes else "No dialogue did; the rules or the settings changed."
