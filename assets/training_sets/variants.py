"""The sets that a model is tuned on, all of one form: BOOST-QA itself, and what it is compared with.

training_sets/<variant>/<id>/manifest.json    of which release; `ori` also has data/, jsonl/, dataset_info.json
training_sets/<variant>/latest.json           which of them is the latest
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.boost_qa.assembly import Row, conversation_fault, stream
from assets.boost_qa.files import TOLD, dataset_info, digest_of, read_lines, read_splits, write_splits
from assets.boost_qa.release import Release, offer_release, read_release
from assets.seeds.schema import SEEDS
from resources.identity import stable_hash
from resources.lake import Lake
from resources.publication import LATEST, MANIFEST, move_latest, publish, read_latest, write_json
from resources.store import StoreError

HOME = "training_sets"
FORMAT = 1
ORIGINAL = "original"  # in the column `scenario`
QUERIES = Path(__file__).parent / "queries"


class TrainingSetError(RuntimeError):
    """A training set cannot be made; nothing was published. The message says why and what to do."""


class NoTrainingSet(StoreError):
    """The variant was not made yet."""


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


def latest_training_set(lake: Lake, variant: str) -> TrainingSet:
    """The latest of that variant.

    Raises:
        NoTrainingSet: it was not made yet.
        NoRelease: the release that it points to is gone.
    """
    try:
        folder = json.loads(lake.store.get(f"{HOME}/{variant}/{LATEST}"))["folder"]
        manifest = json.loads(lake.store.get(f"{folder}/{MANIFEST}"))
    except FileNotFoundError as error:
        raise NoTrainingSet(
            f"there is no training set {variant!r} ({error} is missing); materialise training_sets for it"
        ) from None
    release = manifest["points_to"]
    files = read_release(lake, release).manifest["files"] if release else manifest["files"]
    return TrainingSet(variant, manifest["id"], folder, manifest, release or folder, tuple(files))


def make_boost_qa(lake: Lake, release: Release) -> TrainingSet:
    """The release itself as a training set: a manifest that points to it; no row is written twice."""
    start, digest = read_latest(lake.store, f"{HOME}/boost_qa"), release.manifest["rows_sha256"]
    with tempfile.TemporaryDirectory(prefix="training_sets-") as nothing:
        _publish(lake, "boost_qa", release, Path(nothing), release.id, digest, release.folder, start)
    return latest_training_set(lake, "boost_qa")


def make_ori(lake: Lake, release: Release) -> TrainingSet:
    """The release's seeds in its splits and order, each with its original answer instead of a dialogue.

    Raises:
        TrainingSetError: a seed of the release is not in raw_seeds, or a row cannot be exported.
    """
    start = read_latest(lake.store, f"{HOME}/ori")
    try:
        latest = latest_training_set(lake, "ori")
        if latest.manifest["release"] == release.id:
            return latest
    except NoTrainingSet:
        pass
    with tempfile.TemporaryDirectory(prefix="training_sets-") as name:
        staged = Path(name) / "ori"
        staged.mkdir()
        with lake.connect([SEEDS]) as connection:
            connection.execute(f"SET temp_directory = '{Path(name) / 'spill'}'")
            offer_release(connection, lake, release, "released")
            pairs = stream(connection, (QUERIES / "original_pairs.sql").read_text(encoding="utf-8"))
            shard_bytes = release.manifest["configuration"]["rules"]["shard_bytes"]
            written = write_splits(map(original_row, pairs), staged, shard_bytes)
        for read in (read_splits, read_lines):
            if digest_of(read(staged, written.counts)) != (written.digest, written.counts):
                raise TrainingSetError("the staged files of `ori`, read back, do not hold the rows that were written")
        if written.counts != release.manifest["rows"]:
            raise TrainingSetError(f"`ori` has {written.counts} rows where the release has {release.manifest['rows']}")
        write_json(staged / "dataset_info.json", dataset_info("ori", written.counts))
        set_id = stable_hash("ori", FORMAT, written.digest, release.id)[:16]
        _publish(lake, "ori", release, staged, set_id, written.digest, None, start)
    return latest_training_set(lake, "ori")


MAKERS: Mapping[str, Callable[[Lake, Release], TrainingSet]] = {"boost_qa": make_boost_qa, "ori": make_ori}


def original_row(pair: Mapping[str, Any]) -> Row:
    """A seed's own question and answer in the form of `RELEASE_ROW`. See `queries/original_pairs.sql`.

    Raises:
        TrainingSetError: the seed is not there, or a side is empty.
    """
    where = f"seed {pair['seed_id']}"
    if pair["question"] is None:
        raise TrainingSetError(f"{where} of the release is not in raw_seeds; restore that table, or release anew")
    conversation = [{"from": "human", "value": pair["question"]}, {"from": "gpt", "value": pair["answer"]}]
    fault = conversation_fault(conversation)
    if fault:
        raise TrainingSetError(f"{where} cannot be exported: {fault}; retract it and release anew")
    return {
        "id": pair["seed_id"],
        "conversations": conversation,
        "system": pair["system"] or "",
        "trains": [False, True],
        "scenario": ORIGINAL,
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
    digest: str,
    points_to: str | None,
    start: Mapping[str, Any] | None,
) -> None:
    folder = f"{HOME}/{variant}/{set_id}"
    manifest = {
        "format": FORMAT,
        "kind": HOME,
        "variant": variant,
        "id": set_id,
        "release": release.id,
        "points_to": points_to,
        "rows": release.manifest["rows"],
        "rows_sha256": digest,
    }
    publish(lake.store, staged, folder, manifest, TOLD)
    move_latest(lake.store, f"{HOME}/{variant}", {"id": set_id, "folder": folder}, start)
