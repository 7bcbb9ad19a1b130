"""Which partitions a release takes: those that are current and passed their gate, all of one profile."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from assets.boost_qa.configuration import ReleaseRules
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.quality.partition_status import Expected, PartitionStatus, partition_statuses
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

QUERIES = Path(__file__).parent / "queries"
MEMORY = "512MB"  # DuckDB's limit; the rest spills to disk
THREADS = 2  # they share the limit: sixteen ran out of memory at 100,000 dialogues, and Python is the bottleneck anyway
Why = Literal["missing", "stale", "failed its gate", "of another profile", "its scenario is not declared"]


@dataclass(frozen=True, slots=True)
class SelectedPartition:
    """One scenario of one shard. `why` says why a release leaves it out; None: it is taken."""

    key: str  # the partition key, such as `debate|x-0003`
    planned: int  # dialogue plans
    why: Why | None
    dialogues: PartitionRecord | None = None
    scored: PartitionRecord | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """All planned partitions, in the order of shard and scenario."""

    partitions: tuple[SelectedPartition, ...]

    @property
    def taken(self) -> list[SelectedPartition]:
        """The partitions that the release is made of."""
        return [partition for partition in self.partitions if partition.why is None]

    @property
    def left_out(self) -> list[SelectedPartition]:
        """The other partitions."""
        return [partition for partition in self.partitions if partition.why is not None]

    @property
    def planned(self) -> int:
        """Dialogue plans of all partitions."""
        return sum(partition.planned for partition in self.partitions)

    @property
    def coverage(self) -> float:
        """Share of the dialogue plans that are in partitions taken; 0 without any plan."""
        return sum(partition.planned for partition in self.taken) / self.planned if self.planned else 0.0


def select_partitions(
    lake: Lake,
    rules: ReleaseRules,
    profile: str,
    expected: Expected,
    retracted: Collection[str],
) -> Selection:
    """Compare what was planned with what the lake has, by fingerprint and gate.

    Args:
        lake: where plans, dialogues and scores are.
        rules: whether stale partitions may be taken.
        profile: name of the profile whose partitions may be taken.
        expected: the fingerprints that current partitions have.
        retracted: seeds whose plans do not count.
    """
    statuses = {status.key: status for status in partition_statuses(lake, expected)}
    partitions = []
    for scenario, shard, planned in _planned(lake, retracted):
        key = f"{scenario}|{shard}"
        if status := statuses.get(key):
            why = _why(lake, status, rules, profile)
            partitions.append(SelectedPartition(key, planned, why, status.dialogues, status.scored))
        else:
            partitions.append(SelectedPartition(key, planned, "its scenario is not declared"))
    return Selection(tuple(partitions))


@contextmanager
def open_partitions(
    lake: Lake, selection: Selection, retracted: Collection[str], scratch: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection over what the release is made of.

    Views: `raw_seeds`, `dialogue_plans`, `retracted` (seed_id), and `taken_dialogues` and `taken_scores`, which are the
    two tables limited to the partitions taken. Work that does not fit in memory spills into `scratch`.
    """
    only = {
        "taken_dialogues": [record for partition in selection.taken if (record := partition.dialogues)],
        "taken_scores": [record for partition in selection.taken if (record := partition.scored)],
    }
    with lake.connect([SEEDS, DIALOGUE_PLANS, DIALOGUES, SCORED], MEMORY, only) as connection:
        connection.execute(f"SET temp_directory = '{scratch / 'spill'}'; SET threads = {THREADS}")
        _register_retracted(connection, retracted)
        yield connection


def query(name: str) -> str:
    """The text of one of this stage's queries."""
    return (QUERIES / name).read_text(encoding="utf-8")


def _why(lake: Lake, status: PartitionStatus, rules: ReleaseRules, profile: str) -> Why | None:
    if status.why == "failed":
        return "failed its gate"
    if status.why != "stale" or not rules.take_stale or status.scores_are_of_others or status.dialogues is None:
        return status.why
    used = lake.facts(DIALOGUES, status.dialogues.keys).get("profile")
    return None if used == profile else "of another profile"


def _planned(lake: Lake, retracted: Collection[str]) -> list[tuple[str, str, int]]:
    with lake.connect([DIALOGUE_PLANS]) as connection:
        _register_retracted(connection, retracted)
        return connection.execute(query("planned.sql")).fetchall()


def _register_retracted(connection: duckdb.DuckDBPyConnection, retracted: Collection[str]) -> None:
    connection.register("retracted", pa.table({"seed_id": pa.array(sorted(retracted), pa.string())}))
