"""Exact retrieval in blocks beside one plain matrix product: `python -m benchmarks.retrieval`.

1,000 questions look for their five nearest among 200,000 vectors of 384. The plain way multiplies all of it at once and
takes the top of each row. Each way is a process of its own over the same made-up vectors; its highest resident memory
is printed beside that of the vectors alone. `--plan` plans one shard of a lake of so many seeds as well, reading its
embeddings.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.planning import plan_shards
from assets.dialogue_plans.retrieval import nearest
from assets.dialogues.load_scenarios import load_scenarios
from assets.framework.partitions import shard_name
from assets.seeds.schema import EMBEDDINGS, SEEDS
from resources.identity import stable_hash
from resources.lake.tables import Lake

DIMENSIONS = 384
NEIGHBOURS = 5
SHARD = 5000
SOURCE = "many"


def unit_vectors(rows: int) -> NDArray[np.float32]:
    """Random unit vectors, the same every time, without a second copy of them."""
    generator = np.random.default_rng(0)
    vectors = np.empty((rows, DIMENSIONS), dtype=np.float32)
    for first in range(0, rows, SHARD):
        part = vectors[first : first + SHARD]
        generator.standard_normal(out=part, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def peak() -> int:
    """Highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def retrieve(way: str, rows: int, queries: int) -> None:
    """One way of retrieval, timed."""
    vectors = unit_vectors(rows)
    before = peak()
    asking = np.arange(0, rows, rows // queries)[:queries]
    start = time.perf_counter()
    if way == "blocks":
        found, _ = nearest(vectors, asking, slice(None), np.arange(rows, dtype=np.int32), NEIGHBOURS)
    else:
        products = vectors[asking] @ vectors.T
        multiplied = time.perf_counter() - start
        products[np.arange(len(asking)), asking] = -np.inf
        found = np.argpartition(products, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        print(f"  (the product alone: {multiplied:.2f} s)")
    seconds = time.perf_counter() - start
    checksum = stable_hash(np.sort(found, axis=1).tolist())[:8]
    print(f"{way}: {seconds:.2f} s, peak {peak()} MB ({before} MB before); neighbours {checksum}")


def write_lake(root: str, rows: int) -> None:
    """Seeds and embeddings of one source."""
    lake = Lake.at(root)
    vectors = unit_vectors(rows)
    for number, first in enumerate(range(0, rows, SHARD)):
        keys = {"source": SOURCE, "shard": shard_name(SOURCE, number)}
        names = [stable_hash(place) for place in range(first, min(first + SHARD, rows))]
        seeds = [
            {
                **keys,
                "seed_id": name,
                "reading": 1,
                "domain": "math",
                "question": f"question {name}",
                "answer": f"answer {name}",
                "representative": name,
                "licence": "none",
                "origin_file": "synthetic",
                "origin_row": row,
            }
            for row, name in enumerate(names)
        ]
        lake.write(SEEDS, keys, SEEDS.frame(seeds), fingerprint=keys["shard"])
        embeddings = pl.DataFrame({"seed_id": names}).with_columns(
            source=pl.lit(SOURCE),
            shard=pl.lit(keys["shard"]),
            embedder=pl.lit("benchmark:random"),
            vector=pl.Series(vectors[first : first + SHARD]).cast(pl.List(pl.Float32)),
        )
        lake.write(EMBEDDINGS, keys, embeddings, fingerprint=keys["shard"])


def plan(root: str) -> None:
    """Plan the first shard."""
    start = time.perf_counter()
    plan_shards(Lake.at(root), SOURCE, [shard_name(SOURCE, 0)], load_scenarios(), PlanRules())
    print(f"plan {SHARD} seeds: {time.perf_counter() - start:.1f} s, peak {peak()} MB")


def main() -> None:
    """Run each part in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--plan", action="store_true", help="plan one shard of a lake of so many seeds as well")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--lake", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "plan":
        plan(given.lake)
    elif given.part == "write":
        write_lake(given.lake, given.rows)
    elif given.part:
        retrieve(given.part, given.rows, given.queries)
    else:
        sizes = ["--rows", str(given.rows), "--queries", str(given.queries)]
        this = [sys.executable, "-m", "benchmarks.retrieval", *sizes, "--part"]
        for part in ("plain", "blocks"):
            subprocess.run([*this, part], check=True)
        if given.plan:
            with tempfile.TemporaryDirectory() as folder:
                for part in ("write", "plan"):
                    subprocess.run([*this, part, "--lake", folder], check=True)


if __name__ == "__main__":
    main()
