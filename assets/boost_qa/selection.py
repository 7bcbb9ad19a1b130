"""Which lessons a release takes: those that are current and passed their gate, all of one profile."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from assets.boost_qa.configuration import ReleaseRules
from assets.dialogues.schema import DIALOGUES
from assets.lesson_plans.schema import LESSON_PLANS
from assets.quality.schema import SCORED
from assets.quality.standing import Expected, Standing, lesson_standings
from assets.seeds.schema import SEEDS
from resources.lake import Lake, PartitionRecord

QUERIES = Path(__file__).parent / "queries"
MEMORY = "512MB"  # what DuckDB may hold of a release; the rest spills
THREADS = 2  # each wants its share of it: sixteen ran out at 100,000 dialogues, and a release waits for Python anyway
Why = Literal["missing", "stale", "failed its gate", "of another profile"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One scenario of one shard. `why` says why a release leaves it out; None: it is taken."""

    scenario: str
    shard: str
    planned: int  # seeds to be taught
    why: Why | None
    dialogues: PartitionRecord | None
    scored: PartitionRecord | None

    @property
    def key(self) -> str:
        """As Dagster writes it: `debate|x-0003`."""
        return f"{self.scenario}|{self.shard}"


@dataclass(frozen=True, slots=True)
class Selection:
    """All planned lessons, in the order of shard and scenario."""

    lessons: tuple[Lesson, ...]

    @property
    def taken(self) -> list[Lesson]:
        """What the release is made of."""
        return [lesson for lesson in self.lessons if lesson.why is None]

    @property
    def left_out(self) -> list[Lesson]:
        """What it is made without."""
        return [lesson for lesson in self.lessons if lesson.why is not None]

    @property
    def planned(self) -> int:
        """Seeds to be taught, in all lessons."""
        return sum(lesson.planned for lesson in self.lessons)

    @property
    def coverage(self) -> float:
        """Share of the planned seeds that lie in lessons taken; 0 where nothing is planned."""
        return sum(lesson.planned for lesson in self.taken) / self.planned if self.planned else 0.0


def select_lessons(
    lake: Lake,
    rules: ReleaseRules,
    profile: str,
    expected: Expected,
    retracted: Collection[str],
) -> Selection:
    """Compare what was planned with what the lake holds, by fingerprint and gate.

    Args:
        lake: where plans, dialogues and scores are.
        rules: whether stale lessons may be taken.
        profile: name of the profile whose lessons may be taken.
        expected: the fingerprints that current lessons have.
        retracted: seeds that no longer count as planned.
    """
    standings = {(standing.scenario.value, standing.shard): standing for standing in lesson_standings(lake, expected)}
    lessons = []
    for scenario, shard, planned in _planned(lake, retracted):
        standing = standings[scenario, shard]
        why = _why(lake, standing, rules, profile)
        lessons.append(Lesson(scenario, shard, planned, why, standing.dialogues, standing.scored))
    return Selection(tuple(lessons))


@contextmanager
def open_lessons(
    lake: Lake, selection: Selection, retracted: Collection[str], scratch: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB over what the release is made of.

    Views: `raw_seeds`, `lesson_plans`, `retracted` (seed_id), and `taken_dialogues` and `taken_scores`, the two tables
    limited to the lessons taken. Work that does not fit in memory spills into the folder `scratch`.
    """
    only = {
        "taken_dialogues": [lesson.dialogues for lesson in selection.taken if lesson.dialogues],
        "taken_scores": [lesson.scored for lesson in selection.taken if lesson.scored],
    }
    with lake.connect([SEEDS, LESSON_PLANS, DIALOGUES, SCORED], MEMORY, only) as connection:
        connection.execute(f"SET temp_directory = '{scratch / 'spill'}'; SET threads = {THREADS}")
        _register_retracted(connection, retracted)
        yield connection


def query(name: str) -> str:
    """The text of one of this stage's queries."""
    return (QUERIES / name).read_text(encoding="utf-8")


def _why(lake: Lake, standing: Standing, rules: ReleaseRules, profile: str) -> Why | None:
    if standing.why == "failed":
        return "failed its gate"
    if standing.why != "stale" or not rules.take_stale or standing.scores_are_older or standing.dialogues is None:
        return standing.why
    made_by = lake.facts(DIALOGUES, standing.dialogues.keys).get("profile")
    return None if made_by == profile else "of another profile"


def _planned(lake: Lake, retracted: Collection[str]) -> list[tuple[str, str, int]]:
    with lake.connect([LESSON_PLANS]) as connection:
        _register_retracted(connection, retracted)
        return connection.execute(query("planned.sql")).fetchall()


def _register_retracted(connection: duckdb.DuckDBPyConnection, retracted: Collection[str]) -> None:
    connection.register("retracted", pa.table({"seed_id": pa.array(sorted(retracted), pa.string())}))
