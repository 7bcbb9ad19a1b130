"""The dataset card: what is in a release, how it was made, what is not in it, how to load it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.dataset_card import Table, card_header, card_table, how_to_load, splits_of, write_readme
from assets.boost_qa.selection import Selection, query
from assets.framework.check_files import query_rows
from assets.framework.partitions import Split
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.documentation import turns_table
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.framework.ui_metadata import COLOURS, counted, new_figure, sample_markdown
from assets.judge_calibration.calibration import Calibration
from assets.judge_calibration.summary import calibration_text
from assets.quality.judge import PAPER_ERROR_RATE
from assets.quality.partition_status import Expected
from assets.quality.schema import SIGNALS
from assets.quality.signal_plugins import Signal
from resources.chat.profile import Profile
from resources.plugins import Plugin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).parent / "card.md"
TAGS = ("synthetic", "multi-agent", "simulated-teaching")


@dataclass(frozen=True)
class Contents:
    """What the card says about a release, as tables of plain values."""

    rows: Table  # split, scenario, rows
    sources: Table  # source, domain, licence, rows
    cast: Table  # role, model, temperature, prompt, turns
    removed: Table  # decision, reason, dialogues
    changes: Table | None  # change, dialogues; None for the first release
    judges: tuple[str, ...]  # models that judged
    judged: int  # dialogues with a verdict, released or not
    judged_wrong: int  # those of them whose reasoning the judge found wrong
    doubtful: Table  # seed, source, dialogues: where the judge finds the reference wrong or contradictory
    agreed: float | None  # share (0..1) of the judged dialogues on which all judges agree; None without a jury
    tokens: int  # in prompts and completions of all calls of the partitions taken
    sample: Mapping[str, Any]  # a good short row
    calibration: Calibration | None = None  # of the judge
    signals: Table = field(default_factory=list)  # of plug-ins: signal, meaning, plug-in, limit, dialogues, mean

    @property
    def total(self) -> int:
        """Rows of all splits."""
        return sum(int(row["rows"]) for row in self.rows)


def read_contents(connection: duckdb.DuckDBPyConnection, *, first: bool) -> Contents:
    """Query what the card says.

    Args:
        connection: with `released`, `removed`, `taken_dialogues`, `taken_scores`, and, unless it is the first release,
            `previous` and `previous_removed`.
        first: whether there is no release before it.
    """

    def table(sql: str) -> Table:
        return list(query_rows(connection, sql))

    (verdicts,) = table(query("verdicts.sql"))
    (tokens,) = table("SELECT coalesce(sum(prompt_tokens + completion_tokens), 0)::BIGINT AS n FROM taken_dialogues")
    (sample,) = table(query("sample.sql"))
    judges = table("SELECT DISTINCT judge_model AS model FROM taken_scores WHERE judge_model IS NOT NULL ORDER BY ALL")
    return Contents(
        rows=table(query("counts.sql")),
        sources=table(query("sources.sql")),
        cast=table(query("cast.sql")),
        removed=table("SELECT decision, reason, count(*) AS dialogues FROM removed GROUP BY ALL ORDER BY 3 DESC, 1, 2"),
        changes=None if first else table(query("changes.sql")),
        judges=tuple(row["model"] for row in judges),
        judged=verdicts["judged"],
        judged_wrong=verdicts["wrong"],
        doubtful=table(query("doubtful_references.sql")),
        agreed=verdicts["agreed"],
        tokens=tokens["n"],
        sample=sample,
        signals=[_signal(connection, plugin) for plugin in SIGNALS.plugins.values()],
    )


def _signal(connection: duckdb.DuckDBPyConnection, plugin: Plugin[Signal]) -> dict[str, Any]:
    """A signal of a plug-in, with the number of accepted dialogues that have a value, and their mean."""
    kind = plugin.value.column.dtype.type
    mean = f'avg("{plugin.name}"::DOUBLE)' if kind.is_numeric() or kind == pl.Boolean else "NULL"
    sql = f'SELECT count("{plugin.name}") AS dialogues, {mean} AS mean FROM taken_scores WHERE accepted'  # noqa: S608
    (measured,) = query_rows(connection, sql)
    limit = plugin.value.limit
    return {
        "signal": plugin.name,
        "meaning": SIGNALS.describe(plugin.value),
        "plug-in": plugin.origin,
        "limit": f"{limit} ({'else rejected' if limit.rejects else 'else flagged'})" if limit else "–",
        "dialogues": measured["dialogues"],
        "mean": "–" if measured["mean"] is None else f"{measured['mean']:.3g}",
    }


def write_card(
    folder: Path,
    release_id: str,
    path: str,
    rules: ReleaseRules,
    expected: Expected,
    selection: Selection,
    contents: Contents,
    questions_screened: int,
    languages: Sequence[str],
) -> None:
    """Write `README.md` into a staged release.

    Args:
        folder: the staged release.
        release_id: its id.
        path: its folder in the lake, relative to the root.
        rules: the rules that it was made by.
        expected: what its partitions are made of: profile and scenarios.
        selection: which partitions it takes and leaves out.
        contents: what is in it.
        questions_screened: how many benchmark questions it was compared with.
        languages: of its seeds.
    """
    profile, scenarios = expected.profile, expected.scenarios
    splits = splits_of(contents.rows)
    names = scenario_names(contents.rows, scenarios)
    weak_turns = any(_trains_weak_turns(scenarios[name]) for name in names if name in scenarios)
    write_readme(
        folder,
        card_header(rules.pretty_name, contents.rows, contents.sources, languages, TAGS),
        TEMPLATE,
        title=rules.pretty_name,
        id=release_id,
        rows=counted(contents.total, "question-answer seed"),
        loading=how_to_load(path, rules.name, splits, weak_turns=weak_turns, last_turn_alone=rules.loss == "final"),
        rows_table=card_table(_by_split(contents.rows, splits, scenarios)),
        sources_table=card_table(contents.sources),
        sample_scenario=scenarios.title(contents.sample["scenario"]),
        sample=_sample(contents.sample),
        scenarios=_scenarios(contents, scenarios),
        titles=", ".join(map(scenarios.title, names)),
        profile=profile.name,
        judge=", ".join(contents.judges) or "none",
        cast_table=card_table([{**row, "prompt": row["prompt"] or "–"} for row in contents.cast]),
        judged=_judged(contents, profile),
        calibration=_calibration(contents, profile),
        doubtful=_doubtful(contents),
        signals=_signals(contents),
        coverage=_coverage(selection, rules),
        removed_table=card_table(contents.removed) if contents.removed else "None.",
        screening=_screening(rules, questions_screened),
        changes=_changes(contents.changes),
    )


def _trains_weak_turns(scenario: Scenario) -> bool:
    """Whether a weak student's turn that another turn reviews carries loss."""
    turns = [turn for _, turn, _ in scenario.declaration.walk() if isinstance(turn, Say)]
    reviewed = {turn.reviews for turn in turns}
    roles = scenario.declaration.roles
    return any(turn.say in reviewed and roles[turn.role].weak and scenario.trains(turn.speaker) for turn in turns)


def scenario_names(rows: Iterable[Mapping[str, Any]], scenarios: Scenarios) -> list[str]:
    """The scenarios of some rows: the declared ones in their order, then others by name."""
    found = {str(row["scenario"]) for row in rows}
    return [*(name for name in scenarios if name in found), *sorted(found - set(scenarios))]


def _scenarios(contents: Contents, scenarios: Scenarios) -> str:
    """Each released scenario: its description and its turns, from its declaration."""
    return "\n\n".join(
        f"### {scenarios.title(name).capitalize()}\n\n{declared.declaration.description}\n\n"
        + card_table(turns_table(declared))
        if (declared := scenarios.get(name))
        else f"### {scenarios.title(name).capitalize()}\n\nThis scenario is no longer declared."
        for name in scenario_names(contents.rows, scenarios)
    )


def scenarios_figure(rows: Iterable[Mapping[str, Any]], scenarios: Scenarios) -> "Figure":
    """Rows by scenario and split as bars; see `Contents.rows`."""
    rows = list(rows)
    names = scenario_names(rows, scenarios)
    counts = {(row["split"], row["scenario"]): int(row["rows"]) for row in rows}
    figure = new_figure()
    axes = figure.add_subplot()
    below = [0] * len(names)
    for colour, split in zip(COLOURS, Split, strict=False):
        heights = [counts.get((split.value, name), 0) for name in names]
        axes.bar([scenarios.title(name) for name in names], heights, bottom=below, color=colour, label=split.value)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_ylabel("rows")
    figure.legend(loc="outside upper center", ncols=len(Split))
    return figure


def draw_plots(connection: duckdb.DuckDBPyConnection, folder: Path, contents: Contents, scenarios: Scenarios) -> None:
    """Write the plots of the card into `folder`/plots: rows by scenario and split, scores, lengths."""
    (folder / "plots").mkdir()
    scenarios_figure(contents.rows, scenarios).savefig(folder / "plots/scenarios.png", dpi=110)
    names = scenario_names(contents.rows, scenarios)
    measured = pl.DataFrame(pl.from_arrow(connection.sql(query("measures.sql")).to_arrow_table()))
    for name, label in {"scores": "quality score", "words": "words of all turns"}.items():
        values = measured.filter(pl.col("scenario").is_in(names)).partition_by("scenario", as_dict=True)
        figure = new_figure()
        axes = figure.add_subplot()
        axes.hist(
            [values[(scenario,)][name].to_numpy() if (scenario,) in values else [] for scenario in names],
            bins=20,
            range=(0, 1) if name == "scores" else None,
            color=[COLOURS[place % len(COLOURS)] for place in range(len(names))],
            label=[scenarios.title(name) for name in names],
        )
        axes.set_xlabel(label)
        axes.set_ylabel("rows")
        figure.legend(loc="outside upper center", ncols=len(names))
        figure.savefig(folder / f"plots/{name}.png", dpi=110)


def _by_split(rows: Sequence[Mapping[str, Any]], splits: Sequence[str], scenarios: Scenarios) -> Table:
    counts = {(row["scenario"], row["split"]): int(row["rows"]) for row in rows}
    table = [
        {"scenario": scenarios.title(name), **{split: counts.get((name, split), 0) for split in splits}}
        for name in scenario_names(rows, scenarios)
    ]
    return [*table, {"scenario": "all", **{split: sum(row[split] for row in table) for split in splits}}]


def _sample(row: Mapping[str, Any]) -> str:
    sample = sample_markdown(*((turn["from"], turn["value"]) for turn in row["conversations"]))
    return sample.md_str or ""


def _judged(contents: Contents, profile: Profile) -> str:
    if profile.judging == "rules_alone":
        return (
            "The rules alone decided which dialogues are in it: the judge of this profile is too weak to decide, so "
            "no judge has checked the reasoning."
        )
    if not contents.judged:
        return "No dialogue was judged."
    share = contents.judged_wrong / contents.judged
    jury = "" if contents.agreed is None else f"All judges agree on {contents.agreed:.1%} of the dialogues. "
    return (
        f"Of {contents.judged:,} dialogues that were judged, released or not, the judge found wrong reasoning in "
        f"{share:.1%} (the paper reports {PAPER_ERROR_RATE:.1%} for its data, with another judge). {jury}The release "
        "has the dialogues that the quality rules, or a manual decision, accept. All calls together read and wrote "
        f"{contents.tokens:,} tokens."
    )


def _calibration(contents: Contents, profile: Profile) -> str:
    """How often the judge errs, and the share of wrong dialogues corrected by that."""
    if profile.judging == "rules_alone":
        return ""
    if contents.calibration is None:
        return "The judge's own error rate was not measured."
    return calibration_text(contents.calibration.items, contents.judged, contents.judged_wrong)


def _doubtful(contents: Contents) -> str:
    if not contents.doubtful:
        return ""
    return (
        "The judge finds the reference answers of these seeds wrong or contradictory; dialogues with such a "
        "verdict are rejected, unless a manual decision accepts them:\n\n" + card_table(contents.doubtful)
    )


def _signals(contents: Contents) -> str:
    if not contents.signals:
        return ""
    return "Further signals, by plug-ins, of the accepted dialogues:\n\n" + card_table(contents.signals)


def _coverage(selection: Selection, rules: ReleaseRules) -> str:
    text = (
        f"The release covers {selection.coverage:.1%} of "
        f"{counted(selection.planned, 'planned dialogue')} (the rules require "
        f"{rules.minimum_coverage:.0%})."
    )
    reasons: dict[str, int] = {}
    for partition in selection.left_out:
        reasons[str(partition.why)] = reasons.get(str(partition.why), 0) + partition.planned
    if reasons:
        text += " Left out: " + ", ".join(f"{count:,} {why}" for why, count in sorted(reasons.items())) + "."
    return text + " These scored dialogues are not in it:"


def _screening(rules: ReleaseRules, questions: int) -> str:
    near = (
        "A dialogue of validation or test is left out if its question is a near-duplicate of one in an earlier split "
        f"(at least {rules.near_duplicate_similarity:.0%} of the word triples in common), from any source."
    )
    if not rules.benchmarks:
        return near + " No benchmark is configured, so the release was not compared with any."
    names = ", ".join(benchmark.name for benchmark in rules.benchmarks)
    return near + (
        f" Questions, reference answers and dialogues were compared with "
        f"{counted(questions, 'benchmark question')} ({names}): "
        f"a dialogue with a run of {rules.contamination_words} words in common, or with the same question, is left out."
    )


def _changes(changes: Table | None) -> str:
    if changes is None:
        return "This is the first release."
    return card_table(changes) if changes else "No dialogue changed; the rules or the settings did."
