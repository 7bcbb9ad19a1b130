"""The folder of static files that is the dialogue browser.

index.html              the page: markup, style and program, complete in itself
index.js                a line for each dialogue in columns, short codes and scores only: all that filters need
titles/00000.js         how their questions begin, `TITLES` a file
dialogues/00000.js      the dialogues themselves, about `PAGE_ROWS` a file

Data files are those of `assets.dialogue_browser.files`; they are loaded when they are looked at.
"""

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.boost_qa.release import Release
from assets.dialogue_browser.files import data_file
from assets.dialogue_browser.gathering import Row, dialogues_of, tasks_of, title
from assets.dialogue_browser.page import page_html
from assets.dialogue_browser.schema import VERDICTS
from assets.dialogue_plans.schema import SCENARIO_NAMES, SPLIT_NAMES
from assets.quality.schema import SCORED
from resources.lake.tables import Lake

FORMAT = 1
PAGE_ROWS = 100
PAGE_CHARACTERS = 1_000_000  # of text, roughly: a page of long dialogues holds fewer
TITLES = 1_000
SHORTEST_ID = 10  # hex digits
# What is said of a dialogue elsewhere on the page, so not again among its signals.
NOT_SIGNALS = ("dialogue_id", "scenario", "shard", "source", "domain", "split", "seed_id", "status", "accepted")


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_browser` wrote."""

    dialogues: int
    counts: list[dict[str, Any]]  # verdict, scenario, dialogues
    pages: int


@dataclass
class Codes:
    """A column of few values as numbers: the place of each value in `values`, in order of appearance."""

    values: list[Any] = field(default_factory=list)
    codes: "array[int]" = field(default_factory=lambda: array("I"))
    _places: dict[Any, int] = field(default_factory=dict)

    @classmethod
    def among(cls, values: Iterable[Any]) -> "Codes":
        """A column whose values are known, in the order in which people expect them."""
        known = list(values)
        return cls(known, _places={value: place for place, value in enumerate(known)})

    def add(self, value: Any) -> None:
        """The column's next row."""
        self.codes.append(self.place(value))

    def place(self, value: Any) -> int:
        """Where a value stands among `values`; it is added where it is new."""
        if value not in self._places:
            self._places[value] = len(self.values)
            self.values.append(value)
        return self._places[value]


class Index:
    """The lines of all dialogues in columns, some bytes each."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.scenario = Codes.among(SCENARIO_NAMES)
        self.source = Codes()
        self.verdict = Codes.among(VERDICTS)
        self.split = Codes.among(SPLIT_NAMES)
        self.reason = Codes()
        self.reasons = Codes()
        self.score = array("H")  # thousandths

    def add(self, row: Row) -> None:
        """The next dialogue's line."""
        scored = row["scored"]
        self.ids.append(row["id"])
        self.scenario.add(scored["scenario"])
        self.source.add(scored["source"])
        self.verdict.add(row["verdict"])
        self.split.add(scored["split"])
        self.reasons.add(tuple(self.reason.place(reason) for reason in row["reasons"]))
        self.score.append(round(1000 * scored["quality_score"]))

    def counts(self) -> list[dict[str, Any]]:
        """Dialogues of each verdict and scenario."""
        found = Counter(zip(self.verdict.codes, self.scenario.codes, strict=True))
        return [
            {"verdict": self.verdict.values[verdict], "scenario": self.scenario.values[scenario], "dialogues": count}
            for (verdict, scenario), count in sorted(found.items())
        ]

    def content(self) -> dict[str, Any]:
        """What `index.js` says of the dialogues."""
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
        """Beginnings of the ids, as long as it takes to tell them apart: ids are what compresses worst."""
        length, known = SHORTEST_ID, len(set(self.ids))
        while len({name[:length] for name in self.ids}) < known:
            length += 2
        return [name[:length] for name in self.ids]


def write_browser(lake: Lake, release: Release, folder: Path) -> Written:
    """Write the browser of a release's dialogues, accepted and not, into an empty folder.

    Some thousand dialogues are in memory at a time, and a line of each.

    Raises:
        BrowserError: the release's partitions are not as it took them, or it says nothing of a dialogue of theirs.
    """
    for name in ("titles", "dialogues"):
        (folder / name).mkdir(parents=True)
    partitions = tasks_of(lake, release)
    index, starts, titles = Index(), list[int](), list[str]()
    with tempfile.TemporaryDirectory(prefix="dialogue_browser-spill-") as scratch:
        for page in _pages(dialogues_of(lake, release, partitions, Path(scratch))):
            _write(folder, f"dialogues/{len(starts):05d}", page)
            starts.append(len(index.ids))
            for row in page:
                index.add(row)
                titles.append(title(row))
                if len(titles) == TITLES:
                    _write_titles(folder, len(index.ids) - 1, titles)
                    titles = []
    if titles:
        _write_titles(folder, len(index.ids) - 1, titles)
    about = {
        "format": FORMAT,
        "release": release.id,
        "name": release.manifest["name"],
        "made_at": release.manifest["made_at"],
        "profile": release.manifest["configuration"]["profile"],
        "signals": {
            name: column.description for name, column in SCORED.schema.columns.items() if name not in NOT_SIGNALS
        },
    }
    _write(folder, "index", {**about, **index.content(), "pageStarts": starts, "titlesPerFile": TITLES})
    (folder / "index.html").write_bytes(page_html())
    return Written(len(index.ids), index.counts(), len(starts))


def _write(folder: Path, name: str, content: Any) -> None:
    (folder / f"{name}.js").write_bytes(data_file(name, content))


def _write_titles(folder: Path, last: int, titles: list[str]) -> None:
    _write(folder, f"titles/{last // TITLES:05d}", titles)


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    page: list[Row] = []
    size = 0
    for row in rows:
        page.append(row)
        size += _characters(row)
        if len(page) == PAGE_ROWS or size >= PAGE_CHARACTERS:
            yield page
            page, size = [], 0
    if page:
        yield page


def _characters(row: Row) -> int:
    dialogue = row["dialogue"] or {"turns": (), "discarded": ()}
    said = (len(turn["text"] or "") + len(turn["reasoning"] or "") for turn in dialogue["turns"])
    return sum(said) + sum(len(refused["text"] or "") for refused in dialogue["discarded"])
