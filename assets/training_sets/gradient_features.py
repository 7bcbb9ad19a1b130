"""Gradient features of the pool of `tagcos`: computed by a program that runs where the GPU is, published in the lake.

training_sets/tagcos/features-<id>/    specification.json: which pool, which model, which warm-up
                                       features.npy: rows × dimensions, float16, in the order of the pool's rows
                                       manifest.json: written last
gradient_features/latest.json          which of them is the latest
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assets.boost_qa.release import Release
from assets.framework.publication import Manifest, Publication, PublicationRun
from assets.training_programs import gradients
from assets.training_programs.gradients.specification import FEATURES, FORMAT
from assets.training_sets.configuration import CoresetRules
from assets.training_sets.coreset import Floats
from assets.training_sets.pools import Pool, source_budgets
from assets.training_sets.schema import GRADIENT_FEATURES
from assets.training_sets.variants import TrainingSetError
from resources.identity import stable_hash
from resources.lake.tables import Lake
from resources.training_jobs.job import TrainingJob


@dataclass(frozen=True, slots=True)
class Features:
    """The published gradient features of a pool."""

    id: str
    folder: str  # relative to the lake's root
    manifest: Manifest


FEATURE_SETS = Publication(
    GRADIENT_FEATURES.name,
    "set of gradient features",
    FORMAT,
    lambda lake, folder, manifest: Features(manifest["id"], folder, manifest),
    pattern="training_sets/tagcos/features-{id}",
)


def publish_features(
    run: PublicationRun[Features],
    release: Release,
    pool: Pool,
    rules: CoresetRules,
    train: Callable[[TrainingJob], None],
) -> Features:
    """Compute the features of a pool, unless they are published, and point to them.

    Args:
        run: begun before the pool was read.
        release: whose training rows `tagcos` has as many of as it selects.
        pool: whose rows have features.
        rules: the model and its warm-up.
        train: runs the job; returns when the job's folder is complete.

    Raises:
        TrainingSetError: the pool is too small. No job was launched.
    """
    source_budgets(run.lake, release, "tagcos", pool)
    job = features_job(pool, rules)
    train(job)
    return run.point_to(job.specification["id"])


def features_job(pool: Pool, rules: CoresetRules) -> TrainingJob:
    """The job that computes the features of a pool; the same pool and rules give the same id and folder."""
    parts = {
        "format": FORMAT,
        "model": rules.features.model_dump(mode="json"),
        "seed": rules.seed,
        "data": {"id": pool.id, "rows": len(pool.rows), "files": pool.files},
    }
    identity = stable_hash("features", parts)[:16]
    return TrainingJob(
        name=f"master-tagcos-features-{identity}",
        folder=FEATURE_SETS.folder(identity),
        specification={"id": identity, **parts},
        program=gradients.__name__,
    )


def read_features(lake: Lake, job: TrainingJob) -> Floats:
    """(rows, dimensions): a memory map if the lake is on this machine's disk.

    Raises:
        NotPublished: they were not computed yet.
        TrainingSetError: the file is damaged, or has the features of other rows.
    """
    path = f"{FEATURE_SETS.read(lake, job.folder).folder}/{FEATURES}"
    local = lake.store.local_path(path)
    features: Floats
    try:
        if local is not None:
            features = np.load(local, mmap_mode="r", allow_pickle=False)
        else:
            features = np.load(io.BytesIO(lake.store.get(path)), allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise TrainingSetError(
            f"{lake.store.uri(path)} has no gradient features ({error}); delete {job.folder} and materialise "
            "gradient_features again"
        ) from error
    expected = (job.specification["data"]["rows"], job.specification["model"]["dimensions"])
    if features.shape != expected:
        raise TrainingSetError(
            f"{lake.store.uri(path)} should have {expected[0]} rows × {expected[1]} dimensions, one row per row of the "
            f"pool, but has {' × '.join(map(str, features.shape))}; delete {job.folder} and materialise "
            "gradient_features again"
        )
    return features
