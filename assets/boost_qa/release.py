"""Making a release: staged, gated, then published as an immutable folder; the pointer to the latest moves last.

boost_qa/releases/<id>/    data/, jsonl/, plots/, removed.parquet, dataset_info.json, README.md, manifest.json
boost_qa/latest.json       which of them is the latest
"""

import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from assets.boost_qa.assembly import Row, release_rows, remove_unfit, removed_frame
from assets.boost_qa.card import contents, draw_plots, write_card
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen, open_screen
from assets.boost_qa.files import TOLD, dataset_info, digest_of, plain_schema, write_splits
from assets.boost_qa.gates import gate_faults
from assets.boost_qa.schema import RELEASE_ROW, REMOVED
from assets.boost_qa.selection import Selection, open_partitions, select_partitions
from assets.dialogues.prompts import FORMS, PromptBook
from assets.quality.partition_status import Expected
from resources.chat.profile import Profile
from resources.configuration import fault_list
from resources.identity import stable_hash
from resources.lake.published_folders import (
    NotPublished,
    Overtaken,
    latest_folder,
    move_latest,
    publish,
    read_latest,
    read_manifest,
    write_json,
)
from resources.lake.tables import Lake

FORMAT = 1
HOME = "boost_qa"
SHOWN = 8
# Of a role's settings, what the manifest tells: no address, no key, nothing that a server was told beside.
TOLD_OF_ROLES = {"endpoint", "model", "temperature", "max_tokens", "top_p", "seed"}


class ReleaseRefused(RuntimeError):
    """`latest.json` was not moved to a new release. The message says why and what to do."""


class NoRelease(NotPublished):
    """There is no release yet, or it is gone."""

    kind = "release"


@dataclass(frozen=True, slots=True)
class Release:
    """A published release."""

    id: str
    folder: str  # relative to the lake's root
    manifest: dict[str, Any]

    def files(self, prefix: str) -> list[str]:
        """Paths, relative to the lake's root, of its files that begin with `prefix`, such as `data/train-`."""
        return [f"{self.folder}/{file['path']}" for file in self.manifest["files"] if file["path"].startswith(prefix)]


def latest_release(lake: Lake) -> Release:
    """The release that `latest.json` points to.

    Raises:
        NoRelease: none was published yet.
    """
    return read_release(lake, latest_folder(lake.store, HOME, NoRelease))


def read_release(lake: Lake, folder: str) -> Release:
    """The release in a folder below the lake's root.

    Raises:
        NoRelease: its manifest is not there.
    """
    manifest = read_manifest(lake.store, folder, NoRelease)
    return Release(manifest["id"], folder, manifest)


def make_release(
    lake: Lake,
    rules: ReleaseRules,
    profile: Profile,
    prompts: PromptBook,
    expected: Expected,
    retracted: Collection[str],
) -> Release:
    """Publish the accepted dialogues of all current partitions. The same inputs give the same release, written once.

    Args:
        lake: where everything is read and written.
        rules: what to take, screen and refuse.
        profile: whose partitions to take.
        prompts: the prompts, for the record.
        expected: the fingerprints that current partitions have.
        retracted: seeds that were taken down; nothing made from them is taken.

    Raises:
        ReleaseRefused: coverage is too low, nothing was accepted, a gate failed, or another run published meanwhile.
        AssemblyError: an accepted dialogue cannot be exported.
        ConfigurationError: a benchmark cannot be read.
    """
    started_from = read_latest(lake.store, HOME)
    screen = open_screen(rules.benchmarks, rules.contamination_words, lake.s3)
    selection = select_partitions(lake, rules, profile.name, expected, retracted)
    _refuse_low_coverage(selection, rules)
    configuration = _configuration(rules, screen, profile, prompts)
    lineage = [
        {
            "partition": partition.key,
            "dialogues": partition.dialogues.fingerprint,
            "scores": partition.scored.fingerprint,
        }
        for partition in selection.taken
        if partition.dialogues and partition.scored
    ]
    inputs = stable_hash(HOME, FORMAT, configuration, lineage, sorted(retracted))
    try:
        previous = read_release(lake, started_from["folder"]) if started_from else None
    except NoRelease:
        previous = None
    if previous and previous.manifest["inputs"] == inputs:
        return previous

    pa.set_memory_pool(pa.system_memory_pool())  # pyarrow's usual one keeps some 60 MB that were given back
    with tempfile.TemporaryDirectory(prefix="boost_qa-") as name:
        scratch = Path(name)
        staged = scratch / "release"
        staged.mkdir()
        with open_partitions(lake, selection, retracted, scratch) as connection:
            contaminated: list[Row] = []
            remove_unfit(connection, rules.near_duplicate_similarity)
            written = write_splits(release_rows(connection, screen, contaminated), staged, rules.shard_bytes)
            removed = removed_frame(connection, contaminated)
            _refuse_empty(written.counts, removed)
            schema = plain_schema(REMOVED)
            pq.write_table(removed.to_arrow().cast(schema), staged / "removed.parquet", compression="zstd")
            connection.execute("DROP TABLE removed")
            offer(connection, "released", RELEASE_ROW, map(str, sorted((staged / "data").glob("*.parquet"))))
            offer(connection, "removed", REMOVED, [str(staged / "removed.parquet")])
            faults = gate_faults(connection, staged, written, rules, screen)
            if faults:
                raise ReleaseRefused(
                    fault_list("the staged release failed its gates; nothing was published:", faults)
                    + "\nmend what made these rows (the checks of earlier assets name them), then materialise again"
                )
            left, _ = digest_of(removed.iter_rows(named=True))
            release_id = stable_hash(FORMAT, written.digest, left, configuration)[:16]
            folder = f"{HOME}/releases/{release_id}"
            if previous:
                offer_release(connection, lake, previous, "previous")
            told = contents(connection, first=previous is None)
            draw_plots(connection, staged, told)
        write_json(staged / "dataset_info.json", dataset_info(rules.name, written.counts))
        write_card(staged, release_id, folder, rules, profile, selection, told, screen.questions)
        manifest = publish(
            lake.store,
            staged,
            folder,
            {
                "format": FORMAT,
                "kind": HOME,
                "id": release_id,
                "inputs": inputs,
                "name": rules.name,
                "rows": written.counts,
                "rows_sha256": written.digest,
                "rows_by_scenario": told.rows,
                "removed": told.removed,
                "coverage": round(selection.coverage, 6),
                "left_out": [{"partition": partition.key, "why": partition.why} for partition in selection.left_out],
                "configuration": configuration,
                "cast": told.cast,
                "judges": told.judges,
                "lineage": lineage,
                "tokens": told.tokens,
                "previous": previous.id if previous else None,
                "changes": told.changes,
            },
            TOLD,
        )
    try:
        move_latest(lake.store, HOME, {"id": release_id, "folder": folder}, started_from)
    except Overtaken as error:
        raise ReleaseRefused(str(error)) from error
    return Release(release_id, folder, manifest)


def offer(connection: duckdb.DuckDBPyConnection, view: str, schema: Any, files: Iterable[str]) -> None:
    """A view of that name over Parquet files; an empty one with the schema's columns where there is no file."""
    quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    if quoted:
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM read_parquet([{quoted}])")  # noqa: S608 - our names
    else:
        columns = {name: column.dtype.type for name, column in schema.columns.items()}
        connection.register(view, pl.DataFrame(schema=columns).to_arrow())


def offer_release(connection: duckdb.DuckDBPyConnection, lake: Lake, release: Release | None, view: str) -> None:
    """Views `<view>` and `<view>_removed` over a release; empty ones for None."""
    data = release.files("data/") if release else []
    removed = release.files("removed.parquet") if release else []
    offer(connection, view, RELEASE_ROW, map(lake.store.uri, data))
    offer(connection, f"{view}_removed", REMOVED, map(lake.store.uri, removed))


def _configuration(
    rules: ReleaseRules, screen: BenchmarkScreen, profile: Profile, prompts: PromptBook
) -> dict[str, Any]:
    """What the release's identity depends on beside its rows: files by their content, servers by their names."""
    return {
        "rules": rules.model_dump(mode="json", exclude={"benchmarks"}),
        "benchmarks": {"names": [benchmark.name for benchmark in rules.benchmarks], "content": screen.fingerprint},
        "profile": profile.name,
        "roles": {
            role.value: cast.model_dump(mode="json", include=TOLD_OF_ROLES)
            for role, cast in sorted(profile.roles.items())
        },
        "prompts": prompts.versions(FORMS),
    }


def _refuse_low_coverage(selection: Selection, rules: ReleaseRules) -> None:
    if not selection.planned:
        raise ReleaseRefused("there are no dialogue plans yet; materialise raw_seeds and dialogue_plans first")
    if selection.taken and selection.coverage >= rules.minimum_coverage:
        return
    partitions = [f"{partition.key}: {partition.why}, {partition.planned} planned" for partition in selection.left_out]
    more = [f"and {len(partitions) - SHOWN} more"] if len(partitions) > SHOWN else []
    raise ReleaseRefused(
        fault_list(
            f"{selection.coverage:.1%} of {selection.planned} planned partitions are current and passed their gate; "
            f"the release rules want {rules.minimum_coverage:.0%}. Left out:",
            partitions[:SHOWN] + more,
        )
        + "\nmaterialise scenario_dialogues and scored_dialogues for these partitions, or lower minimum_coverage"
    )


def _refuse_empty(counts: dict[str, int], removed: pl.DataFrame) -> None:
    if counts:
        return
    reasons = removed.group_by("decision", "reason").len().sort("len", "reason", descending=[True, False]).head(SHOWN)
    raise ReleaseRefused(
        fault_list(
            f"none of {removed.height} dialogues may be released, so there is nothing to publish. Why:",
            [f"{count} {decision}: {reason}" for decision, reason, count in reasons.rows()],
        )
        + "\nread some dialogues of scored_dialogues in the UI; a stronger model in the profile, better prompts or "
        "other seeds help, lower thresholds do not"
    )
