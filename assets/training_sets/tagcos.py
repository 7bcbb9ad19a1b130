"""TAGCOS: a coreset of a larger pool, chosen by the gradients of a model that was warmed up on some of it.

training_sets/tagcos/features-<id>/    specification.json: which pool, which model, which warm-up
                                       features.npy: rows × dimensions, float16, in the order of the pool's rows
                                       manifest.json: written last

The gradients are the work of a program that runs where the GPU is (`PROGRAM`); what is chosen from them is chosen here.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assets.boost_qa.release import Release
from assets.training_sets.configuration import CoresetRules
from assets.training_sets.coreset import CoresetError, Floats, choose
from assets.training_sets.pools import Pool, make_pooled, train_budget
from assets.training_sets.variants import HOME, TrainingSet, TrainingSetError
from resources.identity import stable_hash
from resources.lake.published_folders import MANIFEST
from resources.lake.tables import Lake
from resources.training_jobs.job import TrainingJob

FORMAT = 1
FEATURES = "features.npy"
PROGRAM = "assets.training_programs.gradients"  # by name: a later stage, which this one may not import


def features_work(pool: Pool, rules: CoresetRules) -> TrainingJob:
    """What is asked of the program that computes gradient features; the same pool and rules give the same folder."""
    parts: Mapping[str, Any] = {
        "format": FORMAT,
        "model": rules.features.model_dump(mode="json"),
        "seed": rules.seed,
        "data": {"id": pool.id, "rows": len(pool.rows), "files": pool.files},
    }
    identity = stable_hash("features", parts)[:16]
    return TrainingJob(
        name=f"master-tagcos-features-{identity}",
        folder=f"{HOME}/tagcos/features-{identity}",
        specification={"id": identity, **parts},
        program=PROGRAM,
    )


def features_done(lake: Lake, work: TrainingJob) -> bool:
    """Whether the program has left its result."""
    return lake.store.exists(f"{work.folder}/{MANIFEST}")


def read_features(lake: Lake, work: TrainingJob) -> Floats:
    """(rows, dimensions): a memory map where the lake is on this machine's disk.

    Raises:
        TrainingSetError: they are not there, or not those of the pool.
    """
    path = f"{work.folder}/{FEATURES}"
    local = lake.store.local_path(path)
    features: Floats
    try:
        if local is not None:
            features = np.load(local, mmap_mode="r", allow_pickle=False)
        else:
            features = np.load(io.BytesIO(lake.store.get(path)), allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise TrainingSetError(
            f"{lake.store.uri(path)} does not hold gradient features ({error}); delete {work.folder} and materialise "
            "training_sets for tagcos again"
        ) from error
    expected = (work.specification["data"]["rows"], work.specification["model"]["dimensions"])
    if features.shape != expected:
        raise TrainingSetError(
            f"{lake.store.uri(path)} should hold {expected[0]} rows × {expected[1]} dimensions, one row for each of "
            f"the pool, holds {' × '.join(map(str, features.shape))}; delete {work.folder} and materialise again"
        )
    return features


def make_tagcos(
    lake: Lake,
    release: Release,
    pool: Pool,
    rules: CoresetRules,
    compute: Callable[[TrainingJob], None],
    note: Callable[[str], None] = lambda line: None,
) -> TrainingSet:
    """As many rows of the pool as the release trains on, chosen by TAGCOS.

    Args:
        lake: where everything is read and written.
        release: whose size and held-out splits the set has.
        pool: what is chosen from.
        rules: how.
        compute: computes the features where they are not there yet.
        note: told how far it is.

    Raises:
        TrainingSetError: the pool is too small, or the features are not usable.
    """
    budget = train_budget(release, "tagcos", pool)
    work = features_work(pool, rules)
    if not features_done(lake, work):
        compute(work)
    try:
        places = choose(read_features(lake, work), budget, rules.clusters, rules.seed, note)
    except CoresetError as error:
        raise TrainingSetError(
            f"nothing can be chosen by the gradients in {work.folder}: {error}; delete that folder and compute them "
            "again, with other settings in the comparison rules (tagcos.features) if that does not help"
        ) from error
    except ImportError as error:
        raise TrainingSetError(f"choosing by gradients needs {error.name}; install the extra `train`") from error
    made_with = {"features": work.specification["id"], "clusters": rules.clusters, "seed": rules.seed}
    return make_pooled(lake, release, "tagcos", pool, [pool.rows[place] for place in places], made_with)
