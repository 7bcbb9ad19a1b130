"""Everything about each dialogue of a release, streamed from the lake: some partitions in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.boost_qa.assembly import stream
from assets.boost_qa.release import Release, create_release_views
from assets.dialogue_browser.schema import ACCEPTED
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import source_of
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

QUERIES = Path(__file__).parent / "queries"
MEMORY = "256MB"  # DuckDB's limit; the rest spills to disk
GROUP_ROWS = 2_000  # dialogues of one query; a larger partition is a group of its own
TITLE = 120  # characters
SHOWN = 5
JOINED = {"dialogue": "dialogue_id", "plan": "seed_id", "seed": "seed_id", "partner": "seed_id"}  # and their keys
Row = dict[str, Any]


class BrowserError(RuntimeError):
    """The dialogues of a release cannot be gathered. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ReleasedPartition:
    """One scenario of one shard, as the release took it."""

    dialogues: PartitionRecord
    scored: PartitionRecord

    @property
    def scenario(self) -> str:
        """Its scenario."""
        return self.scored.keys["scenario"]

    @property
    def shard(self) -> str:
        """Its shard."""
        return self.scored.keys["shard"]


def released_partitions(lake: Lake, release: Release) -> list[ReleasedPartition]:
    """The partitions that a release is made of, by scenario and shard.

    Raises:
        BrowserError: some were made again since, so their released dialogues are gone.
    """
    dialogues, scored = ({record.name: record for record in lake.records(table)} for table in (DIALOGUES, SCORED))
    partitions, changed = [], []
    for entry in release.manifest["lineage"]:
        key, taken = entry["partition"], (entry["dialogues"], entry["scores"])
        if key in dialogues and key in scored and taken == (dialogues[key].fingerprint, scored[key].fingerprint):
            partitions.append(ReleasedPartition(dialogues[key], scored[key]))
        else:
            changed.append(key)
    if changed:
        raise BrowserError(
            f"{len(changed)} partitions changed since release {release.id} ({', '.join(changed[:SHOWN])}"
            f"{', …' if len(changed) > SHOWN else ''}), so its dialogues cannot all be shown; materialise boost_qa "
            "again, then dialogue_browser"
        )
    return sorted(partitions, key=lambda partition: (partition.scenario, partition.shard))


def gather_dialogues(
    lake: Lake,
    release: Release,
    partitions: Sequence[ReleasedPartition],
    scratch: Path,
    group_rows: int = GROUP_ROWS,
) -> Iterator[Row]:
    """Every scored dialogue of the partitions, by scenario, shard and dialogue_id, as the browser's files have it.

    Args:
        lake: where all of it is.
        release: whose verdicts are shown.
        partitions: from `released_partitions`.
        scratch: an empty folder for what does not fit in memory.
        group_rows: about how many dialogues one query reads.

    Raises:
        BrowserError: the release does not list one of them.
    """
    groups = list(_groups(partitions, group_rows))
    seeds, plans = lake.records(SEEDS), lake.records(DIALOGUE_PLANS)
    views = {}
    for number, group in enumerate(groups):
        shards = {partition.shard for partition in group}
        views[f"dialogues_{number}"] = [partition.dialogues for partition in group]
        views[f"scores_{number}"] = [partition.scored for partition in group]
        views[f"seeds_{number}"] = _seed_records(seeds, shards, _has_partners(lake, group))
        views[f"plans_{number}"] = [record for record in plans if record.keys["shard"] in shards]
    with lake.connect([SEEDS, DIALOGUE_PLANS, DIALOGUES, SCORED], MEMORY, views) as connection:
        connection.execute(f"SET temp_directory = '{scratch}'")
        create_release_views(connection, lake, release, "released")
        connection.execute((QUERIES / "decided.sql").read_text(encoding="utf-8"))
        query = (QUERIES / "dialogues.sql").read_text(encoding="utf-8")
        for number in range(len(groups)):
            for name in ("dialogues", "scores", "seeds", "plans"):
                connection.execute(f"CREATE OR REPLACE TEMP VIEW some_{name} AS FROM {name}_{number}")
            yield from map(browser_row, stream(connection, query))


def _groups(partitions: Sequence[ReleasedPartition], group_rows: int) -> Iterator[list[ReleasedPartition]]:
    """Partitions that one query reads, in order, of one scenario."""
    group: list[ReleasedPartition] = []
    for partition in partitions:
        rows = partition.scored.rows + sum(member.scored.rows for member in group)
        if group and (rows > group_rows or group[0].scenario != partition.scenario):
            yield group
            group = []
        group.append(partition)
    if group:
        yield group


def _has_partners(lake: Lake, group: Sequence[ReleasedPartition]) -> bool:
    """Whether some of these dialogues are about a similar question too."""
    keys = [partition.dialogues.keys for partition in group]
    return not lake.read(DIALOGUES, keys, ["partner_seed_id"])["partner_seed_id"].drop_nulls().is_empty()


def _seed_records(seeds: Sequence[PartitionRecord], shards: set[str], has_partners: bool) -> list[PartitionRecord]:
    """The seeds of these shards; a similar question may be in any shard of the same source."""
    if not has_partners:
        return [record for record in seeds if record.keys["shard"] in shards]
    sources = {source_of(shard) for shard in shards}
    return [record for record in seeds if record.keys["source"] in sources]


def browser_row(row: Mapping[str, Any]) -> Row:
    """A row of `queries/dialogues.sql` as the browser's files have it; without any text if the seed was retracted.

    Raises:
        BrowserError: the release does not list it.
    """
    scored, verdict = row["scored"], row["verdict"]
    if verdict is None:
        raise BrowserError(
            f"the release does not list dialogue {scored['dialogue_id']} ({scored['scenario']}, {scored['shard']}), "
            "though it took its partition; materialise boost_qa again, then dialogue_browser"
        )
    joined = {name: row[name] if row[name] and row[name][key] is not None else None for name, key in JOINED.items()}
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
        found["scored"] = {**scored, "judge_reason": None, "judge_findings": [], "decision_note": None}
        found["seed"] = found["partner"] = None
    return found


def reasons(row: Mapping[str, Any]) -> list[str]:
    """Short codes of why a dialogue is not in the release; none for one that is."""
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
    """The beginning of the question, on one line, in whole words; empty if the seed was retracted."""
    question = row["seed"]["question"] if row["seed"] else ""
    line = " ".join(question[: 4 * TITLE].split())
    if len(line) <= TITLE:
        return line
    whole_words, _, _ = line[:TITLE].rpartition(" ")
    return (whole_words or line[: TITLE - 1]) + "…"
