"""Pools: questions and answers beside the release's seeds, which some sets take their training rows from.

training_sets/<variant>/pool-<id>/    data/ and jsonl/ as a training set has them, without exports, all in split train;
                                      lineage.parquet: where each row was read; manifest.json

A pool has nothing in common with the release's validation and test, or with a benchmark. It is in memory while it is
made: `sample` in its seeds configuration limits it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import open_screen
from assets.boost_qa.files import write_splits
from assets.boost_qa.forms import CONVERSATION
from assets.boost_qa.release import Release, create_release_views
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.near_duplicates import NearDuplicateIndex
from assets.framework.partitions import Split
from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.intake import sample_rows
from assets.seeds.reading import read_rows
from assets.seeds.rows import SeedsError
from assets.seeds.schema import SEEDS
from assets.training_sets.configuration import PoolRules
from assets.training_sets.variants import (
    HOME,
    RowContext,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_pairs,
    original_row,
    pair_row,
    query,
)
from resources.identity import stable_hash
from resources.lake.published_folders import publish
from resources.lake.tables import Lake
from resources.scratch import scratch_folder

FORMAT = 1
LINEAGE = ("seed_id", "source", "origin_file", "origin_row")


@dataclass(frozen=True, slots=True)
class Pool:
    """A published pool."""

    id: str
    folder: str  # relative to the lake's root
    manifest: Mapping[str, Any]
    rows: Sequence[Row]  # of `RELEASE_ROW`, all in split train, by id

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """Path relative to the lake's root, bytes and sha256 of its Parquet files, in the order of the rows."""
        return [
            {**file, "path": f"{self.folder}/{file['path']}"}
            for file in self.manifest["files"]
            if file["path"].startswith("data/")
        ]


def make_pool(
    lake: Lake, release: Release, variant: str, pool: PoolRules, rules: ReleaseRules, retracted: Collection[str]
) -> Pool:
    """Read and publish the pool of one variant. The same rows give the same pool, written once.

    Args:
        lake: where everything is read and written.
        release: the pool has nothing of its validation and test.
        variant: the set that is taken from the pool.
        pool: where its rows are; without a seeds configuration they are the seeds that dialogue_plans put into train.
        rules: which benchmarks the pool has nothing of.
        retracted: seeds that were taken down.

    Raises:
        TrainingSetError: the pool cannot be read, or has no usable row.
        ConfigurationError: the seeds configuration or a benchmark cannot be read.
    """
    counts: Counter[str] = Counter()
    pairs = own_seeds(lake) if pool.pool is None else _read_sources(lake, pool.pool, pool.whole_sources, counts)
    kept = usable_pairs(lake, release, pairs, rules, retracted, counts)
    rows = [pair_row({**pair, "split": Split.TRAIN.value}, variant, pair["question"], pair["answer"]) for pair in kept]
    with scratch_folder("pool") as staged:
        shard_bytes = release.manifest["configuration"]["rules"]["shard_bytes"]
        written = write_splits(rows, staged, shard_bytes, replace(CONVERSATION, exports={}))
        lineage = [{name: pair[name] for name in LINEAGE} for pair in kept]
        pq.write_table(pa.Table.from_pylist(lineage), staged / "lineage.parquet", compression="zstd")
        identity = stable_hash("pool", FORMAT, written.digest)[:16]
        folder = f"{HOME}/{variant}/pool-{identity}"
        contents = {
            "format": FORMAT,
            "kind": "pool",
            "id": identity,
            "rows": len(rows),
            "rows_sha256": written.digest,
            "sources": dict(sorted(Counter(str(pair["source"]) for pair in kept).items())),
            "left_out": dict(counts),
        }
        manifest = publish(lake.store, staged, folder, contents)
    return Pool(identity, folder, manifest, rows)


def usable_pairs(
    lake: Lake,
    release: Release,
    pairs: Sequence[Row],
    rules: ReleaseRules,
    retracted: Collection[str],
    counts: Counter[str],
) -> list[Row]:
    """The pairs that a pool may have, by seed_id; `counts` gets how many of the others there are of each kind."""
    screen = open_screen(rules.benchmarks, rules.contamination_words, lake.s3)
    held_out = _near_held_out(lake, release, pairs)
    kept: list[Row] = []
    for pair in sorted(pairs, key=lambda one: str(one["seed_id"])):
        if pair["seed_id"] in retracted:
            counts["retracted"] += 1
        elif pair["seed_id"] in held_out:
            counts["near-duplicate of validation or test"] += 1
        elif screen.find([pair["question"], pair["answer"]]):
            counts["contaminated by a benchmark"] += 1
        else:
            kept.append(pair)
    return kept


def make_pooled(
    lake: Lake, release: Release, variant: str, pool: Pool, selected: Sequence[Row], made_with: Mapping[str, Any]
) -> TrainingSet:
    """A set that trains on the `selected` rows of a pool, and has the validation and test rows of `ori`."""

    def rows(context: RowContext) -> Iterator[Row]:
        yield from sorted(selected, key=lambda row: str(row["id"]))
        for pair in original_pairs(context):
            if pair["split"] != Split.TRAIN:
                yield original_row(pair)

    described = {"id": pool.id, "folder": pool.folder, "rows": len(pool.rows), "sources": pool.manifest["sources"]}
    about = f"Rows that were selected from a pool of {len(pool.rows):,} rows; validation and test are those of `ori`."
    return make_set(lake, release, variant, about, rows, {"pool": described, **made_with})


def make_sampled(lake: Lake, release: Release, variant: str, pool: Pool) -> TrainingSet:
    """As many rows of a pool as the release trains on, those with the smallest hashes.

    Raises:
        TrainingSetError: the pool is too small.
    """
    budget = train_budget(release, variant, pool)
    selected = sorted(pool.rows, key=lambda row: stable_hash("sample", row["id"]))[:budget]
    return make_pooled(lake, release, variant, pool, selected, {})


def train_budget(release: Release, variant: str, pool: Pool) -> int:
    """How many rows the release trains on.

    Raises:
        TrainingSetError: it trains on none, or the pool does not have more rows than that.
    """
    budget = int(release.manifest["rows"].get(Split.TRAIN, 0))
    if not budget:
        raise TrainingSetError(
            f"release {release.id} has no training rows, so there is nothing to select for {variant!r}"
        )
    if len(pool.rows) <= budget:
        left = ", ".join(f"{count} {why}" for why, count in pool.manifest["left_out"].items())
        raise TrainingSetError(
            f"the pool of {variant!r} has {len(pool.rows)} rows, and {budget} are to be selected from it; name a "
            f"larger pool in the comparison rules ({variant}.pool){f' (left out of it: {left})' if left else ''}"
        )
    return budget


def source_budgets(lake: Lake, release: Release, variant: str, pool: Pool) -> dict[str, int]:
    """How many rows of each source the release trains on, by the source's name.

    Raises:
        TrainingSetError: see `train_budget`; or a source of the pool does not have as many rows.
    """
    train_budget(release, variant, pool)
    with lake.connect([SEEDS]) as connection:
        create_release_views(connection, lake, release, "released")
        budgets = dict(connection.execute(query("training_rows_by_source.sql")).fetchall())
    rows = Counter(row["source"] for row in pool.rows)
    for source, budget in budgets.items():
        if rows[source] < budget:
            raise TrainingSetError(
                f"the pool of {variant!r} has {rows[source]} rows of source {source!r}, and {budget} are to be "
                f"selected from them; name a pool with more in the comparison rules ({variant}.pool), whose sources "
                "have the names of the release's"
            )
    return budgets


def pool_files(lake: Lake, made: TrainingSet) -> list[str]:
    """The Parquet files, relative to the lake's root, of the pool that a set was taken from; none for other sets."""
    pool = made.manifest.get("made_with", {}).get("pool")
    if pool is None:
        return []
    return [file.path for file in lake.store.list(f"{pool['folder']}/data") if file.path.endswith(".parquet")]


def own_seeds(lake: Lake) -> list[Row]:
    """Every seed that its dialogue plan put into train; see `queries/training_seeds.sql`."""
    with lake.connect([SEEDS, DIALOGUE_PLANS]) as connection:
        return list(stream(connection, query("training_seeds.sql")))


def _read_sources(lake: Lake, path: str, whole: bool, counts: Counter[str]) -> list[Row]:
    """The pairs of a seeds configuration; `counts` gets the rejected rows by reason; `whole` takes no sample."""
    configuration = load_seeds_configuration(path)
    pairs: dict[str, Row] = {}
    for configured in configuration.sources:
        source = configured.model_copy(update={"sample": None}) if whole else configured
        try:
            sampled = sample_rows(read_rows(source, configuration, lake.s3), source, configuration.max_characters)
        except SeedsError as error:
            raise TrainingSetError(f"the pool of {path} cannot be read: {error}") from error
        if not sampled.sample.kept or sampled.unusable > configuration.max_rejected_share * sampled.rows:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sampled.reasons.most_common())
            raise TrainingSetError(
                f"the pool of {path}: {sampled.unusable} of {sampled.rows} rows of source {source.name!r} cannot be "
                f"used ({reasons or 'it is empty'}); correct them, or raise max_rejected_share there"
            )
        counts.update(sampled.reasons)
        for key, candidate in sampled.sample.kept.items():
            pairs[key] = {
                "seed_id": key,
                "source": source.name,
                "domain": source.domain,
                "licence": source.licence,
                "system": candidate.pair.system,
                "question": candidate.pair.question,
                "answer": candidate.pair.answer,
                "origin_file": candidate.origin_file,
                "origin_row": candidate.origin_row,
                "conversation": candidate.conversation,
            }
    return list(pairs.values())


def _near_held_out(lake: Lake, release: Release, pairs: Sequence[Row]) -> set[str]:
    """seed_ids of the pairs whose question is a near-duplicate of one in the release's validation or test.

    All pairs of its conversation are among them.
    """
    index = NearDuplicateIndex(release.manifest["configuration"]["rules"]["near_duplicate_similarity"])
    with lake.connect([SEEDS]) as connection:
        create_release_views(connection, lake, release, "released")
        for (question,) in connection.execute(query("held_out_questions.sql")).fetchall():
            index.add(question)
    near = {str(pair["seed_id"]) for pair in pairs if index.find(str(pair["question"]))}
    return near | {str(pair["seed_id"]) for pair in pairs if not near.isdisjoint(pair.get("conversation", ()))}
