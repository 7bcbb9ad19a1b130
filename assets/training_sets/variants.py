"""The sets that a model is tuned on, all of one form: BOOST-QA itself, and what it is compared with.

training_sets/<variant>/<id>/manifest.json    of which release; all but `boost_qa` also data/, jsonl/, dataset_info.json
training_sets/<variant>/latest.json           which of them is the latest
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assets.boost_qa.assembly import Row, conversation_fault, stream
from assets.boost_qa.files import TOLD, dataset_info, digest_of, read_lines, read_splits, write_splits
from assets.boost_qa.release import Release, offer_release, read_release
from assets.seeds.schema import SEEDS
from resources.identity import stable_hash
from resources.lake.published_folders import (
    NotPublished,
    latest_folder,
    move_latest,
    publish,
    read_latest,
    read_manifest,
    write_json,
)
from resources.lake.tables import Lake

HOME = "training_sets"
FORMAT = 2
ORIGINAL = "original"  # in the column `scenario`: a seed's own question and answer
QUERIES = Path(__file__).parent / "queries"
JSON = Any


class TrainingSetError(RuntimeError):
    """A training set cannot be made; nothing was published. The message says why and what to do."""


class NoTrainingSet(NotPublished):
    """The variant was not made yet."""

    kind = "training set"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One variant of one release."""

    variant: str
    id: str
    folder: str  # of its manifest, relative to the lake's root
    manifest: dict[str, Any]
    data_folder: str  # of its files: the release's, where it points there
    data_files: tuple[Mapping[str, Any], ...]  # path in `data_folder`, bytes, sha256

    def files(self, prefix: str) -> list[str]:
        """Paths, relative to the lake's root, of its files that begin with `prefix`, such as `data/train-`."""
        return [f"{self.data_folder}/{file['path']}" for file in self.data_files if file["path"].startswith(prefix)]


@dataclass(frozen=True, slots=True)
class Source:
    """What the rows of a variant are read from: views `released` (the release's rows) and `raw_seeds`."""

    connection: duckdb.DuckDBPyConnection
    scratch: Path  # a folder for work that does not fit in memory
    counts: Counter[str]  # what became of the rows, for the manifest


def latest_training_set(lake: Lake, variant: str) -> TrainingSet:
    """The latest of that variant.

    Raises:
        NoTrainingSet: it was not made yet.
        NoRelease: the release that it points to is gone.
    """
    folder = latest_folder(lake.store, f"{HOME}/{variant}", NoTrainingSet)
    manifest = read_manifest(lake.store, folder, NoTrainingSet)
    release = manifest["points_to"]
    files = read_release(lake, release).manifest["files"] if release else manifest["files"]
    return TrainingSet(variant, manifest["id"], folder, manifest, release or folder, tuple(files))


def make_boost_qa(lake: Lake, release: Release) -> TrainingSet:
    """The release itself as a training set: a manifest that points to it; no row is written twice."""
    start = read_latest(lake.store, f"{HOME}/boost_qa")
    with tempfile.TemporaryDirectory(prefix="training_sets-") as nothing:
        contents = {"points_to": release.folder, "rows_sha256": release.manifest["rows_sha256"]}
        _publish(lake, "boost_qa", release, Path(nothing), release.id, contents, start)
    return latest_training_set(lake, "boost_qa")


def make_ori(lake: Lake, release: Release) -> TrainingSet:
    """The release's seeds in its splits and order, each with its original answer instead of a dialogue.

    Raises:
        TrainingSetError: a seed of the release is not in raw_seeds, or a row cannot be exported.
    """
    return make_set(lake, release, "ori", lambda source: map(original_row, original_pairs(source)))


def make_set(
    lake: Lake,
    release: Release,
    variant: str,
    rows: Callable[[Source], Iterable[Row]],
    made_with: Mapping[str, JSON] | None = None,
) -> TrainingSet:
    """A set of its own rows, published; the same release and `made_with` give the same set, made once.

    Args:
        lake: where everything is read and written.
        release: whose seeds, splits and sizes it has.
        variant: a name of `assets.framework.partitions.VARIANTS`.
        rows: gives the rows in their final order (see `write_splits`).
        made_with: what the rows depend on beside the release: rules, models, a pool.

    Raises:
        TrainingSetError: it has not the release's size, or what `rows` says.
    """
    start = read_latest(lake.store, f"{HOME}/{variant}")
    inputs = stable_hash(variant, FORMAT, release.id, made_with or {})
    try:
        latest = latest_training_set(lake, variant)
        if latest.manifest.get("inputs") == inputs:
            return latest
    except NoTrainingSet:
        pass
    with tempfile.TemporaryDirectory(prefix="training_sets-") as name:
        staged, scratch = Path(name) / variant, Path(name) / "scratch"
        staged.mkdir()
        scratch.mkdir()
        counts: Counter[str] = Counter()
        with lake.connect([SEEDS]) as connection:
            connection.execute(f"SET temp_directory = '{scratch / 'spill'}'")
            offer_release(connection, lake, release, "released")
            shard_bytes = release.manifest["configuration"]["rules"]["shard_bytes"]
            written = write_splits(rows(Source(connection, scratch, counts)), staged, shard_bytes)
        for read in (read_splits, read_lines):
            if digest_of(read(staged, written.counts)) != (written.digest, written.counts):
                raise TrainingSetError(
                    f"the staged files of {variant!r}, read back, do not hold the rows that were written"
                )
        if written.counts != release.manifest["rows"]:
            raise TrainingSetError(
                f"{variant!r} has {written.counts} rows where the release has {release.manifest['rows']}"
            )
        write_json(staged / "dataset_info.json", dataset_info(variant, written.counts))
        set_id = stable_hash(variant, FORMAT, written.digest, release.id, made_with or {})[:16]
        contents = {
            "points_to": None,
            "rows_sha256": written.digest,
            "inputs": inputs,
            "made_with": made_with or {},
            "counts": dict(counts),
        }
        _publish(lake, variant, release, staged, set_id, contents, start)
    return latest_training_set(lake, variant)


def original_pairs(source: Source) -> Iterable[Row]:
    """The seeds of the release's rows in its order; see `queries/original_pairs.sql`."""
    return stream(source.connection, (QUERIES / "original_pairs.sql").read_text(encoding="utf-8"))


def original_row(pair: Mapping[str, Any]) -> Row:
    """A seed's own question and answer in the form of `RELEASE_ROW`. See `queries/original_pairs.sql`.

    Raises:
        TrainingSetError: the seed is not there, or a side is empty.
    """
    if pair["question"] is None:
        raise TrainingSetError(
            f"seed {pair['seed_id']} of the release is not in raw_seeds; restore that table, or release anew"
        )
    return pair_row(pair, ORIGINAL, pair["question"], pair["answer"])


def pair_row(pair: Mapping[str, Any], scenario: str, question: str, answer: str) -> Row:
    """A row of `RELEASE_ROW` that asks `question` and answers `answer`, with the lineage of `pair`.

    Raises:
        TrainingSetError: a side is empty.
    """
    conversation = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    fault = conversation_fault(conversation)
    if fault:
        raise TrainingSetError(f"seed {pair['seed_id']} cannot be exported: {fault}; retract it and release anew")
    return {
        "id": pair["seed_id"],
        "conversations": conversation,
        "system": pair["system"] or "",
        "trains": [False, True],
        "scenario": scenario,
        **{name: pair[name] for name in ("source", "domain", "split", "seed_id")},
        "partner_seed_id": None,
        "licence": pair["licence"],
        "quality_score": None,
    }


def _publish(
    lake: Lake,
    variant: str,
    release: Release,
    staged: Path,
    set_id: str,
    contents: Mapping[str, JSON],
    start: Mapping[str, Any] | None,
) -> None:
    folder = f"{HOME}/{variant}/{set_id}"
    manifest = {
        "format": FORMAT,
        "kind": HOME,
        "variant": variant,
        "id": set_id,
        "release": release.id,
        "rows": release.manifest["rows"],
        **contents,
    }
    publish(lake.store, staged, folder, manifest, TOLD)
    move_latest(lake.store, f"{HOME}/{variant}", {"id": set_id, "folder": folder}, start)
