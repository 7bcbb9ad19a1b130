"""What is known of a written partition: the record in its footer, and the same in the name of a file of the index."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from resources.lake.store import StoredFile

STAMP = "%Y%m%dT%H%M%S%fZ"  # of a time in a marker's name
MARKER = re.compile(r"(\d{8}T\d{12}Z)~([^~]*)~(passed|failed)~(\d+)(?:~([0-9a-f]+)~([0-9a-f]*))?\.json")
Gate = Literal["passed", "failed"]


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """What is known of one written partition without reading its rows."""

    table: str
    keys: Mapping[str, str]
    written_at: datetime
    fingerprint: str  # identity of its inputs: seeds, plans, prompts, models, rules
    gate: Gate  # whether the partition's own checks passed
    rows: int
    content: str = ""  # hash of the rows; "": written by an earlier version
    made_from: str = ""  # `content` of the partition that the rows were made from, where that is a part of its currency

    @property
    def name(self) -> str:
        """The keys' values joined as in Dagster's partition keys: `debate|x-0003`."""
        return "|".join(self.keys[key] for key in sorted(self.keys))

    def to_footer(self) -> dict[str, str]:
        """The record as metadata of the partition's file."""
        return {
            "master.fingerprint": self.fingerprint,
            "master.gate": self.gate,
            "master.written_at": self.written_at.isoformat(),
            "master.rows": str(self.rows),
            "master.content": self.content,
            "master.made_from": self.made_from,
        }

    @classmethod
    def from_footer(cls, table: str, keys: Mapping[str, str], footer: Mapping[str, str]) -> "PartitionRecord":
        """The record that the metadata of a partition's file hold."""
        fingerprint, gate, written_at, rows = (
            footer[f"master.{name}"] for name in ("fingerprint", "gate", "written_at", "rows")
        )
        content, made_from = (footer.get(f"master.{name}", "") for name in ("content", "made_from"))
        when = datetime.fromisoformat(written_at)
        return cls(table, dict(keys), when, fingerprint, cast("Gate", gate), int(rows), content, made_from)

    def to_marker(self) -> str:
        """The record as the name of an empty file in the index; a later record has a greater name."""
        content = [self.content, self.made_from] if self.content else []
        facts = [self.written_at.strftime(STAMP), self.fingerprint, self.gate, str(self.rows), *content]
        return f"{'~'.join(facts)}.json"

    @classmethod
    def from_marker(cls, folder: str, marker: str) -> "PartitionRecord | None":
        """The record that a marker in a folder of the index names; None for a file that is no marker."""
        match = MARKER.fullmatch(marker)
        _, table, *parts = folder.split("/")
        if match is None or not all("=" in part for part in parts):
            return None
        stamp, fingerprint, gate, rows, content, made_from = match.groups()
        try:
            written_at = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None
        keys = dict(part.split("=", 1) for part in parts)
        return cls(table, keys, written_at, fingerprint, cast("Gate", gate), int(rows), content or "", made_from or "")


def newest_records(markers: Iterable[StoredFile]) -> list[PartitionRecord]:
    """The record of the newest marker of each partition, by keys. Other files, such as Thumbs.db, are left out."""
    newest: dict[str, PartitionRecord] = {}
    for file in sorted(markers, key=lambda file: file.path):
        folder, _, name = file.path.rpartition("/")
        if record := PartitionRecord.from_marker(folder, name):
            newest[folder] = record
    return list(newest.values())
