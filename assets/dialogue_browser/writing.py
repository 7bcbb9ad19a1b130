"""The folder of static files that is the dialogue browser.

index.html              the page: markup, style and program in one file
index.js                all dialogues in columns of short codes and scores: what the filters need
titles/00000.js         the beginnings of their questions, `FileSizes.titles` per file
dialogues/00000.js      the dialogues themselves, about `FileSizes.page_rows` per file

`assets.dialogue_browser.files` writes the data files; the page loads each when it shows something of it.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.boost_qa.release import Release
from assets.dialogue_browser.files import data_file
from assets.dialogue_browser.gathering import (
    GROUP_ROWS,
    ReleasedPartition,
    Row,
    gather_dialogues,
    released_partitions,
    title,
)
from assets.dialogue_browser.page import page_html
from assets.dialogue_browser.schema import VERDICTS
from assets.dialogue_plans.schema import SPLIT_NAMES
from assets.dialogues.screening import REFUSED_REASONS
from assets.dialogues.turn_loop import STATED_RESULT
from assets.judge_calibration.summary import figures_text
from assets.quality.rules import HARD_RULES, LOW_SCORE, NEAR_DUPLICATE, REASONS
from assets.quality.schema import SCORED
from resources.lake.tables import Lake
from resources.scratch import scratch_folder

FORMAT = 1
SHORTEST_ID = 10  # hex digits
# Columns that the page shows elsewhere, so not again among the signals.
NOT_SIGNALS = ("dialogue_id", "scenario", "shard", "source", "domain", "split", "seed_id", "status", "accepted")


@dataclass(frozen=True, slots=True)
class FileSizes:
    """How much is in one file, or in memory at once."""

    page_rows: int = 100  # dialogues in one file
    page_characters: int = 1_000_000  # of text in one file, roughly: a page of long dialogues has fewer
    titles: int = 1_000  # in one file
    group_rows: int = GROUP_ROWS


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_browser` wrote."""

    dialogues: int
    counts: list[dict[str, Any]]  # verdict, scenario, dialogues
    pages: int


DEFAULT_SIZES = FileSizes()


@dataclass
class Codes:
    """A column of few values as numbers: the index of each value in `values`, in order of appearance."""

    values: list[Any] = field(default_factory=list)
    codes: "array[int]" = field(default_factory=lambda: array("I"))

    def __post_init__(self) -> None:
        self._index = {value: code for code, value in enumerate(self.values)}

    def add(self, value: Any) -> None:
        """Append the value of the next row."""
        self.codes.append(self.code(value))

    def code(self, value: Any) -> int:
        """The index of a value in `values`; a new value is appended there."""
        if value not in self._index:
            self._index[value] = len(self.values)
            self.values.append(value)
        return self._index[value]


class Index:
    """All dialogues in columns, some bytes each."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.scenario = Codes()
        self.source = Codes()
        self.verdict = Codes(list(VERDICTS))  # the known values in the order that people expect
        self.split = Codes(list(SPLIT_NAMES))
        self.reason = Codes()
        self.reasons = Codes()
        self.score = array("H")  # thousandths

    def add(self, row: Row) -> None:
        """Append a dialogue."""
        scored = row["scored"]
        self.ids.append(row["id"])
        self.scenario.add(scored["scenario"])
        self.source.add(scored["source"])
        self.verdict.add(row["verdict"])
        self.split.add(scored["split"])
        self.reasons.add(tuple(self.reason.code(reason) for reason in row["reasons"]))
        self.score.append(round(1000 * scored["quality_score"]))

    def counts(self) -> list[dict[str, Any]]:
        """Dialogues of each verdict and scenario."""
        found = Counter(zip(self.verdict.codes, self.scenario.codes, strict=True))
        return [
            {"verdict": self.verdict.values[verdict], "scenario": self.scenario.values[scenario], "dialogues": count}
            for (verdict, scenario), count in sorted(found.items())
        ]

    def content(self) -> dict[str, Any]:
        """What `index.js` says about the dialogues."""
        facets = {"scenario": self.scenario, "source": self.source, "verdict": self.verdict, "split": self.split}
        return {
            "dialogues": len(self.ids),
            "values": {**{name: codes.values for name, codes in facets.items()}, "reason": self.reason.values},
            "columns": {
                "id": self._short_ids(),
                **{name: codes.codes.tolist() for name, codes in facets.items()},
                "reasons": self.reasons.codes.tolist(),
                "score": self.score.tolist(),
            },
            "reasonSets": self.reasons.values,
        }

    def _short_ids(self) -> list[str]:
        """The shortest beginnings of the ids that are all different: ids compress worst."""
        length, known = SHORTEST_ID, len(set(self.ids))
        while len({name[:length] for name in self.ids}) < known:
            length += 2
        return [name[:length] for name in self.ids]


def write_browser(lake: Lake, release: Release, folder: Path, sizes: FileSizes = DEFAULT_SIZES) -> Written:
    """Write the browser of a release's dialogues, accepted or not, into an empty folder.

    Some thousand dialogues are in memory at a time, and some bytes of each.

    Raises:
        BrowserError: partitions of the release changed, or it does not list one of their dialogues.
    """
    for name in ("titles", "dialogues"):
        (folder / name).mkdir(parents=True)
    partitions = released_partitions(lake, release)
    index, starts, titles = Index(), list[int](), list[str]()

    def write_titles() -> None:
        _write(folder, f"titles/{(len(index.ids) - 1) // sizes.titles:05d}", titles)
        titles.clear()

    with scratch_folder("dialogue_browser-spill") as scratch:
        rows = gather_dialogues(lake, release, partitions, scratch, sizes.group_rows)
        for page in _pages(rows, sizes):
            _write(folder, f"dialogues/{len(starts):05d}", page)
            starts.append(len(index.ids))
            for row in page:
                index.add(row)
                titles.append(title(row))
                if len(titles) == sizes.titles:
                    write_titles()
    if titles:
        write_titles()
    about = {
        "format": FORMAT,
        "release": release.id,
        "name": release.manifest["name"],
        "made_at": release.manifest["made_at"],
        "profile": release.manifest["configuration"]["profile"],
        "judge_errors": figures_text(release.manifest.get("calibration", [])),
        "reasons": explanations(lake, partitions),
        "refusals": {**REFUSED_REASONS, STATED_RESULT: "it states the result, which its speaker must not"},
        "signals": {
            name: column.description for name, column in SCORED.schema.columns.items() if name not in NOT_SIGNALS
        },
    }
    _write(folder, "index", {**about, **index.content(), "pageStarts": starts, "titlesPerFile": sizes.titles})
    (folder / "index.html").write_bytes(page_html())
    return Written(len(index.ids), index.counts(), len(starts))


def explanations(lake: Lake, partitions: Iterable[ReleasedPartition]) -> dict[str, dict[str, Any]]:
    """Each rejection reason and flag by its code: `meaning`, the `signal` that it looks at, and its limit.

    The limit is under `at_least` or `at_most`: a number, or one by domain. It is left out where the partitions were
    scored by several limits, or by a version that did not store them.
    """
    stored = [lake.facts(SCORED, partition.scored.keys).get("limits") for partition in partitions]
    limits = stored[0] if stored and all(one == stored[0] for one in stored) else None
    found: dict[str, dict[str, Any]] = {code: {"meaning": meaning} for code, meaning in REASONS.items()}
    found[LOW_SCORE] |= {"signal": "quality_score", "at_least": "score"}
    found[NEAR_DUPLICATE]["signal"] = "near_duplicate_of"
    for rule in HARD_RULES:
        found[rule.code] |= {"signal": rule.signal, "at_least": rule.at_least, "at_most": rule.at_most}
    return {
        code: {
            name: (limits or {}).get(value) if name in ("at_least", "at_most") else value
            for name, value in one.items()
            if value
        }
        for code, one in found.items()
    }


def _write(folder: Path, name: str, content: Any) -> None:
    (folder / f"{name}.js").write_bytes(data_file(name, content))


def _pages(rows: Iterable[Row], sizes: FileSizes) -> Iterator[list[Row]]:
    page: list[Row] = []
    characters = 0
    for row in rows:
        page.append(row)
        characters += _characters(row)
        if len(page) == sizes.page_rows or characters >= sizes.page_characters:
            yield page
            page, characters = [], 0
    if page:
        yield page


def _characters(row: Row) -> int:
    dialogue = row["dialogue"] or {"turns": (), "discarded": ()}
    texts = [text for turn in dialogue["turns"] for text in (turn["text"], turn["reasoning"])]
    return sum(len(text or "") for text in [*texts, *(refused["text"] for refused in dialogue["discarded"])])
