"""A lake with small sources of seeds and vectors."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assets.seeds.schema import EMBEDDINGS, SEEDS
from resources.identity import stable_hash
from resources.lake.tables import Lake

WriteSeeds = Callable[..., list[str]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


@pytest.fixture
def write_seeds(lake: Lake) -> WriteSeeds:
    """Write one shard of seeds and their vectors; returns the seeds' ids.

    `representatives` maps the index of a seed to that of its representative, or to the id of one in another shard.
    Without `vectors` they are random.
    """

    def write(
        shard: str,
        size: int,
        *,
        reading: int = 1,
        representatives: dict[int, int | str] | None = None,
        vectors: Sequence[Sequence[float]] | NDArray[np.float32] | None = None,
        embedder: str | None = "tests:vectors",
    ) -> list[str]:
        source = shard.rpartition("-")[0]
        names = [stable_hash(shard, number) for number in range(size)]
        of_group = {number: number for number in range(size)} | (representatives or {})
        keys = {"source": source, "shard": shard}
        seeds = [
            {
                **keys,
                "seed_id": name,
                "reading": reading,
                "domain": "math",
                "question": f"question {number} of {shard}",
                "answer": "an answer",
                "representative": names[group] if isinstance(group := of_group[number], int) else group,
                "licence": "Apache-2.0",
                "origin_file": "seeds.jsonl",
                "origin_row": number,
            }
            for number, name in enumerate(names)
        ]
        lake.write(SEEDS, keys, SEEDS.frame(seeds), fingerprint=stable_hash(names))
        if embedder:
            if vectors is None:
                vectors = np.random.default_rng(int(names[0][:8], 16)).standard_normal((size, 4), dtype=np.float32)
            units = np.asarray(vectors, dtype=np.float32)
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            rows = [
                {**keys, "seed_id": name, "embedder": embedder, "vector": unit.tolist()}
                for name, unit in zip(names, units, strict=True)
            ]
            lake.write(EMBEDDINGS, keys, EMBEDDINGS.frame(rows), fingerprint=stable_hash(names, embedder))
        return names

    return write
