"""The set `tagcos`: a coreset of a larger pool, selected by the gradients of a model that was warmed up on a part."""

from collections.abc import Callable

from assets.boost_qa.release import Release
from assets.training_sets.configuration import CoresetRules
from assets.training_sets.coreset import CoresetError, choose
from assets.training_sets.gradient_features import features_job, read_features
from assets.training_sets.pools import Pool, make_pooled, train_budget
from assets.training_sets.variants import TrainingSet, TrainingSetError
from resources.lake.tables import Lake


def make_tagcos(
    lake: Lake,
    release: Release,
    pool: Pool,
    rules: CoresetRules,
    log: Callable[[str], None] = lambda line: None,
) -> TrainingSet:
    """As many rows of the pool as the release trains on, selected by TAGCOS.

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
    budget = train_budget(release, "tagcos", pool)
    job = features_job(pool, rules)
    try:
        selected = choose(read_features(lake, job), budget, rules.clusters, rules.seed, log)
    except CoresetError as error:
        raise TrainingSetError(
            f"no rows can be selected by the gradients in {job.folder}: {error}; delete that folder and materialise "
            "gradient_features again; if that does not help, with other settings in the comparison rules "
            "(tagcos.features)"
        ) from error
    except ImportError as error:
        raise TrainingSetError(f"selecting by gradients needs {error.name}; install the extra `train`") from error
    made_with = {"features": job.specification["id"], "clusters": rules.clusters, "seed": rules.seed}
    return make_pooled(lake, release, "tagcos", pool, [pool.rows[row] for row in selected], made_with)
