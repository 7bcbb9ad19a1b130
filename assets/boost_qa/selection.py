"""Which lessons a release takes: those that are current and passed their gate, all of one profile."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from assets.boost_qa.configuration import ReleaseRules
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.lesson_plans.schema import LESSON_PLANS
from assets.partitions import Scenario
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.lake import Lake, PartitionRecord, Table

QUERIES = Path(__file__).parent / "queries"
MEMORY = "512MB"  # what DuckDB may hold of a release; the rest spills
# (fingerprint of the shard's plans, of its regenerations, scenario) -> fingerprints of dialogues and of scores.
Expected = Callable[[str, str, Scenario], tuple[str, str]]
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
    plans = _by_name(lake, LESSON_PLANS)
    dialogues, scored = _by_name(lake, DIALOGUES), _by_name(lake, SCORED)
    regenerations = _by_name(lake, REGENERATIONS)
    lessons = []
    for scenario, shard, planned in _planned(lake, retracted):
        key = f"{scenario}|{shard}"
        asked_anew = regenerations.get(key)
        current = expected(plans[shard].fingerprint, asked_anew.fingerprint if asked_anew else "", Scenario(scenario))
        told, judged = dialogues.get(key), scored.get(key)
        why: Why | None
        if told is None or judged is None:
            why = "missing"
        elif "failed" in (told.gate, judged.gate):
            why = "failed its gate"
        elif (told.fingerprint, judged.fingerprint) == current:
            why = None
        elif not rules.take_stale or judged.written_at < told.written_at:
            why = "stale"
        else:
            why = None if lake.facts(DIALOGUES, told.keys).get("profile") == profile else "of another profile"
        lessons.append(Lesson(scenario, shard, planned, why, told, judged))
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
        connection.execute(f"SET temp_directory = '{scratch / 'spill'}'")
        _register_retracted(connection, retracted)
        yield connection


def query(name: str) -> str:
    """The text of one of this stage's queries."""
    return (QUERIES / name).read_text(encoding="utf-8")


def _planned(lake: Lake, retracted: Collection[str]) -> list[tuple[str, str, int]]:
    with lake.connect([LESSON_PLANS]) as connection:
        _register_retracted(connection, retracted)
        return connection.execute(query("planned.sql")).fetchall()


def _register_retracted(connection: duckdb.DuckDBPyConnection, retracted: Collection[str]) -> None:
    connection.register("retracted", pa.table({"seed_id": pa.array(sorted(retracted), pa.string())}))


def _by_name(lake: Lake, table: Table) -> Mapping[str, PartitionRecord]:
    return {record.name: record for record in lake.records(table)}
