"""Making a release: staged, gated, then published as a folder that never changes.

boost_qa/releases/<id>/    data/, jsonl/, messages/, openai/, llamafactory/, dataset_info.json (see
                           `assets.boost_qa.files`), plots/, removed.parquet, README.md, manifest.json
boost_qa/latest.json       which of them is the latest
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

from assets.boost_qa.assembly import Row, release_rows, remove_unfit, removed_frame
from assets.boost_qa.card import Contents, draw_plots, read_contents, write_card
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen, open_screen
from assets.boost_qa.files import UNHASHED, Written, digest_of, write_dataset_info, write_splits
from assets.boost_qa.forms import plain_schema
from assets.boost_qa.gates import gate_faults
from assets.boost_qa.schema import RELEASE_ROW, REMOVED
from assets.boost_qa.selection import Selection, open_partitions, select_partitions
from assets.framework.publication import Manifest, Publication
from assets.framework.scenarios.scenario import Scenarios
from assets.judge_calibration.calibration import Calibration, find_calibration, judge_identity
from assets.judge_calibration.rates import error_figures
from assets.judge_calibration.summary import interval_text
from assets.quality.partition_status import Expected
from assets.quality.schema import SIGNALS
from assets.seeds.shards import languages_of
from resources.configuration import fault_list
from resources.identity import stable_hash
from resources.lake.tables import Lake

FORMAT = 2
HOME = "boost_qa"
SHOWN = 8
# The settings of a role in the manifest: no address, no key, no further fields of a request.
LIMITS = {"max_tokens", "max_completion_tokens"}
ROLE_SETTINGS = {"endpoint", "model", "temperature", "top_p", "seed", "reasoning", *LIMITS}


class ReleaseRefused(RuntimeError):
    """There is nothing to release, or too little. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """A published release."""

    id: str
    folder: str  # relative to the lake's root
    manifest: Manifest

    def files(self, prefix: str) -> list[str]:
        """Paths, relative to the lake's root, of its files that begin with `prefix`, such as `data/train-`."""
        return [f"{self.folder}/{file['path']}" for file in self.manifest["files"] if file["path"].startswith(prefix)]


def _parse(lake: Lake, folder: str, manifest: Manifest) -> Release:
    return Release(manifest["id"], folder, with_partition_keys(manifest))


def with_partition_keys(manifest: Manifest) -> Manifest:
    """A manifest whose entries name their partition under the key `partition`; an older version wrote `lesson`."""
    renamed = {
        name: [{"partition" if key == "lesson" else key: value for key, value in entry.items()} for entry in entries]
        for name in ("lineage", "left_out")
        if (entries := manifest.get(name)) is not None
    }
    return {**manifest, **renamed}


RELEASES = Publication(HOME, "release", FORMAT, _parse, pattern="{home}/releases/{id}")


def make_release(
    lake: Lake,
    rules: ReleaseRules,
    expected: Expected,
    retracted: Collection[str],
) -> Release:
    """Publish the accepted dialogues of all current partitions. The same inputs give the same release, written once.

    Args:
        lake: where everything is read and written.
        rules: what to take, screen and refuse.
        expected: what current partitions are made of; the versions of the prompts are in the manifest.
        retracted: seeds whose dialogues are not released.

    Raises:
        ReleaseRefused: coverage is too low, nothing was accepted, or the judge passes too many faults.
        GatesFailed: the staged release failed a gate.
        Overtaken: another run published meanwhile.
        AssemblyError: an accepted dialogue cannot be exported.
        ConfigurationError: a benchmark cannot be read.
    """
    run = RELEASES.begin(lake)
    screen = open_screen(rules.benchmarks, rules.contamination_words, lake.s3)
    selection = select_partitions(lake, rules, expected.profile.name, expected, retracted)
    _refuse_low_coverage(selection, rules)
    calibration = find_calibration(lake, judge_identity(expected.profile, expected.prompts, expected.judging))
    _refuse_unreliable_judge(calibration, rules, expected)
    configuration = _configuration(rules, screen, expected, calibration)
    lineage = _lineage(selection)
    inputs = _hash_inputs(configuration, lineage, retracted)
    previous = run.previous()
    if previous and previous.manifest["inputs"] == inputs:
        return previous

    with run.temporary_folder() as scratch:
        staged = scratch / "release"
        staged.mkdir()
        with open_partitions(lake, selection, retracted, scratch) as connection:
            written, removed = _stage_rows(connection, staged, rules, screen)
            run.gate(gate_faults(connection, staged, written, rules, screen), GATE_ADVICE)
            removed_digest, _ = digest_of(removed.iter_rows(named=True))
            identity = stable_hash(FORMAT, written.digest, removed_digest, configuration)[:16]
            contents = _stage_plots(connection, lake, staged, previous, expected.scenarios)
        write_dataset_info(staged, rules.name, written)
        languages = languages_of(lake, (partition.key for partition in selection.taken))
        folder = RELEASES.folder(identity)
        contents = replace(contents, calibration=calibration)
        write_card(staged, identity, folder, rules, expected, selection, contents, screen.questions, languages)
        manifest = {
            "inputs": inputs,
            "name": rules.name,
            **_describe(written, contents, selection),
            "configuration": configuration,
            "lineage": lineage,
            "previous": previous.id if previous else None,
        }
        return run.publish(staged, identity, manifest, UNHASHED)


GATE_ADVICE = (
    "the checks of earlier assets name the rows that are wrong; correct these, then materialise boost_qa again"
)


def _configuration(
    rules: ReleaseRules, screen: BenchmarkScreen, expected: Expected, calibration: Calibration | None
) -> dict[str, Any]:
    """What the release's id depends on beside its rows: files by their content, servers by their names."""
    return {
        # a default that older releases do not name
        "rules": rules.model_dump(
            mode="json", exclude={"benchmarks", *({"loss"} if rules.loss == "all" else ())}, exclude_none=True
        ),
        "benchmarks": {"names": [benchmark.name for benchmark in rules.benchmarks], "content": screen.fingerprint},
        "profile": expected.profile.name,
        "roles": {
            role: cast.model_dump(mode="json", include=ROLE_SETTINGS)
            for role, cast in sorted(expected.profile.roles.items())
        },
        "prompts": {**expected.prompts.versions(), **expected.scenarios.prompt_versions()},
        "scenarios": {name: scenario.identity for name, scenario in expected.scenarios.items()},
        **({"signals": SIGNALS.versions} if SIGNALS.versions else {}),
        **({"calibration": calibration.record.content} if calibration else {}),
    }


def _lineage(selection: Selection) -> list[dict[str, str]]:
    """The partitions taken, with the fingerprints of their dialogues and scores."""
    return [
        {
            "partition": partition.key,
            "dialogues": dialogues.fingerprint,
            "scores": scored.fingerprint,
        }
        for partition in selection.taken
        if (dialogues := partition.dialogues) and (scored := partition.scored)
    ]


def _hash_inputs(configuration: dict[str, Any], lineage: list[dict[str, str]], retracted: Collection[str]) -> str:
    """Identity of all that a release is made of, with the keys of older manifests, so that theirs stay equal."""
    partitions = [
        {"lesson": entry["partition"], "dialogues": entry["dialogues"], "scores": entry["scores"]} for entry in lineage
    ]
    return stable_hash(HOME, FORMAT, configuration, partitions, sorted(retracted))


def _stage_rows(
    connection: duckdb.DuckDBPyConnection, staged: Path, rules: ReleaseRules, screen: BenchmarkScreen
) -> tuple[Written, pl.DataFrame]:
    """Write the released and the removed rows, and show them as views `released` and `removed`."""
    left_out: list[Row] = []
    remove_unfit(connection, rules.near_duplicate_similarity)
    written = write_splits(release_rows(connection, screen, rules.loss, left_out), staged, rules.shard_bytes)
    removed = removed_frame(connection, left_out)
    _refuse_empty(written.counts, removed)
    pq.write_table(removed.to_arrow().cast(plain_schema(REMOVED)), staged / "removed.parquet", compression="zstd")
    connection.execute("DROP TABLE removed")
    create_view(connection, "released", RELEASE_ROW, map(str, sorted((staged / "data").glob("*.parquet"))))
    create_view(connection, "removed", REMOVED, [str(staged / "removed.parquet")])
    return written, removed


def _stage_plots(
    connection: duckdb.DuckDBPyConnection, lake: Lake, staged: Path, previous: Release | None, scenarios: Scenarios
) -> Contents:
    """Draw the plots; returns what the card and the manifest say about the staged rows."""
    if previous:
        create_release_views(connection, lake, previous, "previous")
    contents = read_contents(connection, first=previous is None)
    draw_plots(connection, staged, contents, scenarios)
    return contents


def _describe(written: Written, contents: Contents, selection: Selection) -> Manifest:
    """What the manifest says about the rows."""
    return {
        "rows": written.counts,
        "rows_sha256": written.digest,
        "rows_by_scenario": contents.rows,
        "removed": contents.removed,
        "coverage": round(selection.coverage, 6),
        "left_out": [{"partition": partition.key, "why": partition.why} for partition in selection.left_out],
        "cast": contents.cast,
        "judges": contents.judges,
        "calibration": error_figures(contents.calibration.rates, contents.judged, contents.judged_wrong)
        if contents.calibration
        else [],
        "tokens": contents.tokens,
        "changes": contents.changes,
    }


def create_view(connection: duckdb.DuckDBPyConnection, name: str, schema: Any, files: Iterable[str]) -> None:
    """Create a view over Parquet files; without files, an empty one with the schema's columns."""
    quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    if quoted:
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet([{quoted}])")  # noqa: S608 - our names
    else:
        columns = {column: definition.dtype.type for column, definition in schema.columns.items()}
        connection.register(name, pl.DataFrame(schema=columns).to_arrow())


def create_release_views(connection: duckdb.DuckDBPyConnection, lake: Lake, release: Release | None, name: str) -> None:
    """Create the views `<name>` and `<name>_removed` over a release; empty ones for None."""
    data = release.files("data/") if release else []
    removed = release.files("removed.parquet") if release else []
    create_view(connection, name, RELEASE_ROW, map(lake.store.uri, data))
    create_view(connection, f"{name}_removed", REMOVED, map(lake.store.uri, removed))


def _refuse_low_coverage(selection: Selection, rules: ReleaseRules) -> None:
    if not selection.planned:
        raise ReleaseRefused("there are no dialogue plans yet; materialise raw_seeds and dialogue_plans first")
    if selection.taken and selection.coverage >= rules.minimum_coverage:
        return
    partitions = [f"{partition.key}: {partition.why}, {partition.planned} planned" for partition in selection.left_out]
    more = [f"and {len(partitions) - SHOWN} more"] if len(partitions) > SHOWN else []
    raise ReleaseRefused(
        fault_list(
            f"{selection.coverage:.1%} of {selection.planned} planned dialogues are in partitions that are current and "
            f"passed their gate; the release rules require {rules.minimum_coverage:.0%}. Left out:",
            partitions[:SHOWN] + more,
        )
        + "\nmaterialise scenario_dialogues and scored_dialogues for these partitions, or lower minimum_coverage"
    )


def _refuse_unreliable_judge(calibration: Calibration | None, rules: ReleaseRules, expected: Expected) -> None:
    limit = rules.maximum_false_pass
    if limit is None:
        return
    if expected.profile.judging == "rules_alone":
        raise ReleaseRefused(
            f"the release rules limit the judge's false passes to {limit:.1%}, but no judge decides with the profile "
            f"{expected.profile.name}; remove maximum_false_pass, or use a profile with a judge"
        )
    found = calibration.rates.false_pass if calibration else None
    if found is None:
        raise ReleaseRefused(
            f"the release rules limit the judge's false passes to {limit:.1%}, but its calibration is missing or has "
            "no verdicts; materialise judge_calibration"
        )
    if found.high > limit:
        raise ReleaseRefused(
            f"the judge passes {interval_text(found)} of the planted faults, and the release rules allow at most "
            f"{limit:.1%} at the upper end of the interval; use a stronger judge, or calibrate with more dialogues"
        )


def _refuse_empty(counts: dict[str, int], removed: pl.DataFrame) -> None:
    if counts:
        return
    reasons = removed.group_by("decision", "reason").len().sort("len", "reason", descending=[True, False]).head(SHOWN)
    raise ReleaseRefused(
        fault_list(
            f"none of {removed.height} dialogues may be released, so there is nothing to publish. The reasons:",
            [f"{count} {decision}: {reason}" for decision, reason, count in reasons.rows()],
        )
        + "\nread some dialogues of scored_dialogues in the UI; a stronger model in the profile, better prompts or "
        "other seeds help, lower thresholds do not"
    )
