"""The set `tagcos`: a coreset of each source of a larger pool, selected by a model's gradients.

The model was warmed up on a part of the pool.
"""

from collections.abc import Callable

import numpy as np

from assets.boost_qa.release import Release
from assets.training_sets.configuration import CoresetRules
from assets.training_sets.coreset import CoresetError, choose
from assets.training_sets.gradient_features import features_job, read_features
from assets.training_sets.pools import Pool, make_pooled, source_budgets
from assets.training_sets.variants import TrainingSet, TrainingSetError
from resources.lake.tables import Lake


def make_tagcos(
    lake: Lake,
    release: Release,
    pool: Pool,
    rules: CoresetRules,
    log: Callable[[str], None] = lambda line: None,
) -> TrainingSet:
    """As many rows of each source of the pool as the release trains on, selected by TAGCOS (METHOD: baselines).

    Args:
        lake: where everything is read and written.
        release: whose size and held-out splits the set has.
        pool: what is selected from.
        rules: how.
        log: gets lines on the progress.

    Raises:
        NotPublished: the gradient features of the pool were not computed yet.
        TrainingSetError: the pool is too small, or the features cannot be used.
    """
    budgets = source_budgets(lake, release, "tagcos", pool)
    job = features_job(pool, rules)
    try:
        features = read_features(lake, job)
        selected = []
        for source, budget in budgets.items():
            rows = np.array([number for number, row in enumerate(pool.rows) if row["source"] == source])
            chosen = choose(features[rows], budget, rules.clusters, rules.seed, log)
            selected += [pool.rows[number] for number in rows[chosen]]
    except CoresetError as error:
        raise TrainingSetError(
            f"no rows can be selected by the gradients in {job.folder}: {error}; delete that folder and materialise "
            "gradient_features again; if that does not help, with other settings in the comparison rules "
            "(tagcos.features)"
        ) from error
    except ImportError as error:
        raise TrainingSetError(f"selecting by gradients needs {error.name}; install the extra `train`") from error
    chosen_with = {"features": job.specification["id"], "clusters": rules.clusters, "seed": rules.seed}
    return make_pooled(lake, release, "tagcos", pool, selected, {**chosen_with, "rows_by_source": budgets})
