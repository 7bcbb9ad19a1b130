"""Unit vectors of the seeds' questions, shard by shard."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.seeds.shards import source_shards
from resources.embedder import Embedder
from resources.identity import stable_hash
from resources.lake.tables import Lake


class EmbeddingError(RuntimeError):
    """The embedder's vectors cannot be used. The message says what was returned and what was expected."""


@dataclass(frozen=True)
class EmbeddingResult:
    """What embedding a source did."""

    source: str
    seeds: int
    dimensions: int
    new_shards: list[str]
    shards: list[str]


def embedding_fingerprint(seeds_fingerprint: str, embedder_identity: str) -> str:
    """Fingerprint of a shard of `seed_embeddings`: the seeds and the embedder."""
    return stable_hash("seed_embeddings", seeds_fingerprint, embedder_identity)


def embed_source(lake: Lake, embedder: Embedder, source: str) -> EmbeddingResult:
    """Embed every shard of a source that this embedder has not embedded yet; each is written when it is done.

    Raises:
        EmbeddingError: the vectors are not unit vectors, or not one per question.
    """
    shards = source_shards(lake, source)
    new_shards = []
    seeds = 0
    for shard in shards:
        keys = {"source": source, "shard": shard}
        seeds_record = lake.record(SEEDS, keys)
        assert seeds_record is not None  # noqa: S101 - it was listed
        seeds += seeds_record.rows
        fingerprint = embedding_fingerprint(seeds_record.fingerprint, embedder.identity)
        record = lake.record(EMBEDDINGS, keys)
        if record is not None and record.fingerprint == fingerprint:
            continue
        lake.write(EMBEDDINGS, keys, _embed_shard(lake, embedder, keys), fingerprint=fingerprint)
        new_shards.append(shard)
    # Only one shard: all vectors of a big source do not fit into memory.
    newest = lake.read(EMBEDDINGS, [{"source": source, "shard": shard} for shard in shards[-1:]], ["vector"])["vector"]
    return EmbeddingResult(source, seeds, len(newest[0]) if newest.len() else 0, new_shards, shards)


def _embed_shard(lake: Lake, embedder: Embedder, keys: dict[str, str]) -> pl.DataFrame:
    seeds = lake.read(SEEDS, [keys], ["seed_id", "source", "shard", "question"])
    vectors = np.asarray(embedder.embed(seeds["question"].to_list()), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != seeds.height:
        raise EmbeddingError(
            f"{embedder.identity} returned vectors of shape {vectors.shape} for the {seeds.height} questions of "
            f"{keys['shard']}; one row per question is expected"
        )
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        raise EmbeddingError(f"{embedder.identity} returned vectors for {keys['shard']} that are not of unit length")
    return seeds.select(
        "seed_id",
        "source",
        "shard",
        embedder=pl.lit(embedder.identity),
        vector=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32)),
    )
