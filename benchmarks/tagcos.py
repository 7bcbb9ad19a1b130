"""TAGCOS's selection beside scikit-learn's k-means alone: `python -m benchmarks.tagcos`.

19,000 made-up rows of 8,192 dimensions in 100 clusters, of which a twentieth is chosen. Each way is a process of its
own over the same features, a float16 memory map as the program leaves it; its highest resident memory is printed
beside that before it began.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from assets.training_sets.coreset import choose, cluster
from resources.identity import stable_hash

BLOCK = 1000


def write_features(path: Path, rows: int, dimensions: int, clusters: int) -> None:
    """Unit rows about as many directions as there are clusters, of unequal sizes, the same every time."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((clusters, dimensions), dtype=np.float32)
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, dimensions))
    shares = generator.dirichlet(np.full(clusters, 2.0))
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        part = centres[generator.choice(clusters, count, p=shares)]
        part = part + 1.5 * generator.standard_normal((count, dimensions), dtype=np.float32)
        features[first : first + count] = part / np.linalg.norm(part, axis=1, keepdims=True)
    features.flush()


def peak() -> int:
    """Highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def select(way: str, path: Path, budget: int, clusters: int) -> None:
    """One way, timed."""
    import scipy.linalg  # type: ignore[import-untyped]  # noqa: F401 - imports are not what is measured
    import sklearn.cluster  # type: ignore[import-untyped]  # noqa: F401

    features = np.load(path, mmap_mode="r")
    before = peak()
    start, busy = time.perf_counter(), time.process_time()
    found = cluster(features, clusters, 0) if way == "k-means" else choose(features, budget, clusters, 0)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    checksum = stable_hash(found.tolist())[:8]
    times = f"{seconds:.1f} s ({busy:.1f} s of processor time)"
    print(f"{way}: {times}, peak {peak()} MB ({before} MB before); result {checksum}")


def main() -> None:
    """Run each part in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=19_000)
    parser.add_argument("--dimensions", type=int, default=8192)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--budget", type=int, default=950)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--features", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        select(given.way, given.features, given.budget, given.clusters)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        write_features(path, given.rows, given.dimensions, given.clusters)
        sizes = ["--budget", str(given.budget), "--clusters", str(given.clusters), "--features", str(path)]
        for way in ("k-means", "selection"):
            subprocess.run([sys.executable, "-m", "benchmarks.tagcos", *sizes, "--way", way], check=True)


if __name__ == "__main__":
    main()
