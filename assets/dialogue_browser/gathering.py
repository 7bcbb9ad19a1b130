"""All that is known of each dialogue of a release, streamed from the lake: some partitions in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assets.boost_qa.assembly import stream
from assets.boost_qa.release import Release, create_release_views
from assets.dialogue_browser.schema import ACCEPTED
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import Scenario
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake, PartitionRecord

QUERIES = Path(__file__).parent / "queries"
MEMORY = "256MB"  # what DuckDB may hold; the rest spills
GROUP_ROWS = 2_000  # dialogues that one query gives; a larger partition is a group of its own
TITLE = 120  # characters
SHOWN = 5
JOINED = {"dialogue": "dialogue_id", "plan": "seed_id", "seed": "seed_id", "partner": "seed_id"}  # and their keys
Row = dict[str, Any]


class BrowserError(RuntimeError):
    """The dialogues of a release cannot be gathered. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ReleasedPartition:
    """One scenario of one shard, as it was when the release took it."""

    dialogues: PartitionRecord
    scored: PartitionRecord


def tasks_of(lake: Lake, release: Release) -> list[ReleasedPartition]:
    """The partitions that a release is made of, by scenario and shard.

    Raises:
        BrowserError: some were made anew since, so what was said then is not there any more.
    """
    told, judged = ({record.name: record for record in lake.records(table)} for table in (DIALOGUES, SCORED))
    partitions, gone = [], []
    for entry in release.manifest["lineage"]:
        dialogues, scored = told.get(entry["partition"]), judged.get(entry["partition"])
        taken = (entry["dialogues"], entry["scores"])
        if dialogues and scored and (dialogues.fingerprint, scored.fingerprint) == taken:
            partitions.append(ReleasedPartition(dialogues, scored))
        else:
            gone.append(entry["partition"])
    if gone:
        raise BrowserError(
            f"{len(gone)} partitions were made anew since release {release.id} ({', '.join(gone[:SHOWN])}"
            f"{', …' if len(gone) > SHOWN else ''}), so its dialogues cannot all be shown; materialise boost_qa again, "
            "then dialogue_browser"
        )
    return sorted(partitions, key=lambda partition: (partition.scored.keys["scenario"], partition.scored.keys["shard"]))


def dialogues_of(lake: Lake, release: Release, partitions: Sequence[ReleasedPartition], scratch: Path) -> Iterator[Row]:
    """Every scored dialogue of the partitions, by scenario, shard and dialogue_id, as the browser's files hold it.

    Args:
        lake: where all of it is.
        release: which decided on them.
        partitions: from `tasks_of`.
        scratch: an empty folder for what does not fit in memory.

    Raises:
        BrowserError: the release says nothing of one of them.
    """
    groups = list(_groups(partitions))
    views = {}
    for number, group in enumerate(groups):
        views[f"dialogues_{number}"] = [partition.dialogues for partition in group]
        views[f"scores_{number}"] = [partition.scored for partition in group]
        views[f"seeds_{number}"] = _seed_shards(lake.records(SEEDS), group)
        views[f"plans_{number}"] = _plan_shards(lake.records(DIALOGUE_PLANS), group)
    with lake.connect([SEEDS, DIALOGUE_PLANS, DIALOGUES, SCORED], MEMORY, views) as connection:
        connection.execute(f"SET temp_directory = '{scratch}'")
        create_release_views(connection, lake, release, "released")
        connection.execute(_query("decided.sql"))
        for number in range(len(groups)):
            for name in ("dialogues", "scores", "seeds", "plans"):
                connection.execute(f"CREATE OR REPLACE TEMP VIEW some_{name} AS FROM {name}_{number}")
            yield from map(shown, _rows(connection))


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    return stream(connection, _query("dialogues.sql"))


def _query(name: str) -> str:
    return (QUERIES / name).read_text(encoding="utf-8")


def _groups(partitions: Sequence[ReleasedPartition]) -> Iterator[list[ReleasedPartition]]:
    """Partitions that one query reads, in order, of one scenario."""
    group: list[ReleasedPartition] = []
    for partition in partitions:
        rows = partition.scored.rows + sum(member.scored.rows for member in group)
        if group and (rows > GROUP_ROWS or group[0].scored.keys["scenario"] != partition.scored.keys["scenario"]):
            yield group
            group = []
        group.append(partition)
    if group:
        yield group


def _seed_shards(seeds: Sequence[PartitionRecord], group: Sequence[ReleasedPartition]) -> list[PartitionRecord]:
    """Where the seeds of a group's partitions are; an analogy's partner may be in any shard of the same source."""
    shards = {partition.scored.keys["shard"] for partition in group}
    own = [record for record in seeds if record.keys["shard"] in shards]
    if group[0].scored.keys["scenario"] != Scenario.ANALOGY.value:
        return own
    sources = {record.keys["source"] for record in own}
    return [record for record in seeds if record.keys["source"] in sources]


def _plan_shards(plans: Sequence[PartitionRecord], group: Sequence[ReleasedPartition]) -> list[PartitionRecord]:
    shards = {partition.scored.keys["shard"] for partition in group}
    return [record for record in plans if record.keys["shard"] in shards]


def shown(row: Mapping[str, Any]) -> Row:
    """A row of `queries/dialogues.sql` as the browser's files hold it; without any text where the seed was retracted.

    Raises:
        BrowserError: the release says nothing of it.
    """
    scored, verdict = row["scored"], row["verdict"]
    if verdict is None:
        raise BrowserError(
            f"the release says nothing of dialogue {scored['dialogue_id']} ({scored['scenario']}, {scored['shard']}), "
            "though it took its partition; materialise boost_qa again, then dialogue_browser"
        )
    joined = {name: _found(row[name], key) for name, key in JOINED.items()}
    found = {
        "id": scored["dialogue_id"],
        "verdict": verdict,
        "reasons": reasons(row),
        "detail": row["detail"],
        "scored": scored,
        **joined,
    }
    if verdict == "retracted":
        private: Row = {"turns": [], "discarded": [], "status_reason": None}
        found["dialogue"] = {**joined["dialogue"], **private} if joined["dialogue"] else None
        found["scored"] = {**scored, "judge_reason": None, "decision_note": None}
        found["seed"] = found["partner"] = None
    return found


def _found(joined: Row | None, key: str) -> Row | None:
    """What was joined to a row; None where nothing was."""
    return joined if joined and joined[key] is not None else None


def reasons(row: Mapping[str, Any]) -> list[str]:
    """Short codes of why a dialogue is not in the release; none where it is."""
    match row["verdict"]:
        case "rejected":
            return list(row["scored"]["rejection_reasons"]) or ["decided_by_hand"]
        case "contaminated":
            return [f"contaminated by {row['reason']}"]
        case verdict if verdict == ACCEPTED:
            return []
        case _:
            return [row["reason"]]


def title(row: Mapping[str, Any]) -> str:
    """How the question of a shown dialogue begins, on one line."""
    question = row["seed"]["question"] if row["seed"] else ""
    line = " ".join(question[: 4 * TITLE].split())
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"
