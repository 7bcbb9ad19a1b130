"""The sets that a model is tuned on: BOOST-QA itself, what it is compared with, and what else its dialogues yield.

training_sets/<variant>/<id>/manifest.json    which release; all but `boost_qa` also have the files of
                                              `assets.boost_qa.files`
training_sets/<variant>/<id>/README.md        the card
training_sets/<variant>/latest.json           which of them is the latest
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assets.boost_qa.assembly import Row, conversation_fault, stream
from assets.boost_qa.files import UNHASHED, Written, read_back_faults, write_dataset_info, write_splits
from assets.boost_qa.forms import CONVERSATION, RowForm
from assets.boost_qa.release import RELEASES, Release, create_release_views
from assets.framework.publication import Manifest, Publication
from assets.seeds.schema import SEEDS
from assets.seeds.shards import languages_of
from assets.training_sets.card import write_release_card, write_set_card
from resources.identity import stable_hash
from resources.lake.tables import Lake, Table

HOME = "training_sets"
FORMAT = 2
ORIGINAL = "original"  # in the column `scenario`: a seed's own question and answer
QUERIES = Path(__file__).parent / "queries"
CHANGED = "changed since the release"
UNTRAINED = "no turn carries loss"
LEFT_OUT = (CHANGED, UNTRAINED)
"""In `counts` of a manifest: rows of the release that a set of its size leaves out."""


class TrainingSetError(RuntimeError):
    """A training set cannot be made; nothing was published. The message says why and what to do."""


class NothingToMake(TrainingSetError):
    """The release has no row for a training set. This is a result, not a failure."""


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
class RowContext:
    """What the rows of a variant are made with."""

    # With views of the set's tables (`raw_seeds` by default), `released` (the release's rows) and `released_removed`.
    connection: duckdb.DuckDBPyConnection
    counts: Counter[str]  # how many rows of each kind were made, for the manifest


def _parse(lake: Lake, folder: str, manifest: Manifest) -> TrainingSet:
    release = manifest["points_to"]
    files = RELEASES.read(lake, release).manifest["files"] if release else manifest["files"]
    return TrainingSet(manifest["variant"], manifest["id"], folder, manifest, release or folder, tuple(files))


TRAINING_SETS = Publication(HOME, "training set", FORMAT, _parse)


def make_boost_qa(lake: Lake, release: Release) -> TrainingSet:
    """The release itself as a training set: a manifest that points to it, without rows of its own."""
    run = TRAINING_SETS.begin(lake, "boost_qa")
    contents = {
        "form": CONVERSATION.name,
        "rows": release.manifest["rows"],
        "points_to": release.folder,
        "rows_sha256": release.manifest["rows_sha256"],
    }
    with run.temporary_folder() as staged:
        write_release_card(staged, "boost_qa", release)
        return run.publish(staged, release.id, {**_of_release("boost_qa", release), **contents}, UNHASHED)


def make_ori(lake: Lake, release: Release) -> TrainingSet:
    """The release's seeds in its splits and order, each with its original answer instead of a dialogue.

    Raises:
        TrainingSetError: a seed of the release is not in raw_seeds, or a row cannot be exported.
    """
    about = "The seeds of the release, each with its original answer instead of a dialogue."
    return make_set(lake, release, "ori", about, lambda context: map(original_row, original_pairs(context)))


def make_set(
    lake: Lake,
    release: Release,
    variant: str,
    about: str,
    rows: Callable[[RowContext], Iterable[Row]],
    made_with: Mapping[str, Any] | None = None,
    *,
    form: RowForm = CONVERSATION,
    same_size: bool = True,
    tables: Sequence[Table] = (SEEDS,),
) -> TrainingSet:
    """Publish a set with rows of its own. The same release and `made_with` give the same set, made once.

    Args:
        lake: where everything is read and written.
        release: whose seeds, splits and sizes it has.
        variant: a name of `assets.training_sets.ablations.variants`.
        about: what it is, in one sentence for its card.
        rows: makes the rows, in their final order (see `write_splits`).
        made_with: what the rows depend on beside the release: rules, models, a pool.
        form: of the rows.
        same_size: whether it has to have as many rows as the release, so that models tuned on them can be compared.
            Rows that are counted as one of `LEFT_OUT` are excepted.
        tables: that the rows are made of.

    Raises:
        NothingToMake: there is no row.
        GatesFailed: the set does not have the release's size, or its files are damaged.
        TrainingSetError, and what `rows` raises.
    """
    run = TRAINING_SETS.begin(lake, variant)
    inputs = stable_hash(variant, FORMAT, release.id, made_with or {})
    latest = run.previous()
    if latest and latest.manifest.get("inputs") == inputs:
        return latest
    with run.temporary_folder() as scratch:
        staged = scratch / variant
        staged.mkdir()
        counts: Counter[str] = Counter()
        with lake.connect(tables) as connection:
            connection.execute(f"SET temp_directory = '{scratch / 'spill'}'")
            create_release_views(connection, lake, release, "released")
            shard_bytes = release.manifest["configuration"]["rules"]["shard_bytes"]
            written = write_splits(rows(RowContext(connection, counts)), staged, shard_bytes, form)
        if not written.counts:
            raise NothingToMake(_no_rows(variant, release, counts))
        if written.digest == release.manifest["rows_sha256"]:
            raise NothingToMake(f"{variant!r} would equal boost_qa of release {release.id}")
        faults = read_back_faults(staged, written) + (_other_size(written, release, counts) if same_size else [])
        run.gate(faults, f"materialise training_sets for {variant!r} again")
        write_dataset_info(staged, variant, written)
        identity = stable_hash(variant, FORMAT, written.digest, release.id, made_with or {})[:16]
        folder = TRAINING_SETS.folder(identity, variant)
        languages = languages_of(lake, (entry["partition"] for entry in release.manifest["lineage"]))
        same_size = same_size and written.counts == release.manifest["rows"]
        write_set_card(staged, variant, about, release, folder, languages, form, same_size=same_size)
        manifest = {
            **_of_release(variant, release),
            "form": form.name,
            "rows": written.counts,
            "same_size": same_size,
            "points_to": None,
            "rows_sha256": written.digest,
            "inputs": inputs,
            "made_with": made_with or {},
            "counts": dict(counts),
        }
        return run.publish(staged, identity, manifest, UNHASHED)


def _of_release(variant: str, release: Release) -> Manifest:
    """What the manifest of every variant says about its release."""
    return {"variant": variant, "release": release.id}


def _no_rows(variant: str, release: Release, counts: Mapping[str, int]) -> str:
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items())
    return f"release {release.id} has no rows for {variant!r}" + (f" ({left_out})" if left_out else "")


def _other_size(written: Written, release: Release, counts: Mapping[str, int]) -> list[str]:
    """The gate that a staged set fails if it does not have as many rows as the release, but for those left out."""
    left_out = sum(counts.get(why, 0) for why in LEFT_OUT)
    if sum(written.counts.values()) + left_out == sum(release.manifest["rows"].values()) and (
        left_out or written.counts == release.manifest["rows"]
    ):
        return []
    return [f"it has {written.counts} rows where the release has {release.manifest['rows']}"]


def query(name: str) -> str:
    """The text of one of this stage's queries."""
    return (QUERIES / name).read_text(encoding="utf-8")


def original_pairs(context: RowContext) -> Iterable[Row]:
    """The seeds of the release's rows in its order; see `queries/original_pairs.sql`."""
    return stream(context.connection, query("original_pairs.sql"))


def original_row(pair: Mapping[str, Any]) -> Row:
    """A seed's own question and answer as a row of `RELEASE_ROW`. See `queries/original_pairs.sql`.

    Raises:
        TrainingSetError: the seed is missing, or its question or answer is empty.
    """
    if pair["question"] is None:
        raise TrainingSetError(
            f"seed {pair['seed_id']} of the release is not in raw_seeds; restore that table, or materialise boost_qa "
            "again"
        )
    return pair_row(pair, ORIGINAL, pair["question"], pair["answer"])


def pair_row(pair: Mapping[str, Any], scenario: str, question: str, answer: str) -> Row:
    """A row of `RELEASE_ROW` that asks `question` and answers `answer`, with the lineage of `pair`.

    Raises:
        TrainingSetError: the question or the answer is empty.
    """
    conversation = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    fault = conversation_fault(conversation)
    if fault:
        raise TrainingSetError(
            f"seed {pair['seed_id']} cannot be exported: {fault}; retract it, then materialise boost_qa again"
        )
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
