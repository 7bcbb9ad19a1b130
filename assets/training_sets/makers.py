"""Which variant is made how, of everything that any of them needs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import Release
from assets.training_sets.ablations import ABLATIONS, make_ablation
from assets.training_sets.augmented import AUGMENTERS, make_augmented
from assets.training_sets.configuration import ComparisonRules
from assets.training_sets.pools import Pool, make_pool, make_sampled
from assets.training_sets.reasoning import make_cot
from assets.training_sets.tagcos import make_tagcos
from assets.training_sets.variants import TrainingSet, TrainingSetError, make_boost_qa, make_ori
from resources.chat.service import ChatService
from resources.lake.tables import Lake
from resources.progress import Update
from resources.training_jobs.job import TrainingJob


@dataclass(frozen=True, slots=True)
class VariantContext:
    """What the sets of one release are made with."""

    lake: Lake
    release: Release
    rules: ComparisonRules
    release_rules: ReleaseRules
    retracted: Collection[str]
    chat: ChatService
    compute: Callable[[TrainingJob], None]  # has gradients computed
    update: Update
    note: Callable[[str], None]
    run: str | None = None  # whose budget is drawn on


def make_variant(workshop: VariantContext, variant: str) -> TrainingSet:
    """The training set of one of `assets.framework.partitions.VARIANTS`.

    Raises:
        TrainingSetError, ConfigurationError: it cannot be made; the message says why.
        EndpointUnusable, BudgetSpent: the models of `cot` cannot be asked, or not any more.
    """
    lake, release, rules = workshop.lake, workshop.release, workshop.rules
    if variant in ABLATIONS:
        return make_ablation(lake, release, variant)
    if variant in AUGMENTERS:
        return make_augmented(lake, release, variant, rules.noise)
    match variant:
        case "boost_qa":
            return make_boost_qa(lake, release)
        case "ori":
            return make_ori(lake, release)
        case "cot":
            return make_cot(lake, release, workshop.chat, rules.cot, workshop.update, workshop.run)
        case "cot_collection":
            if rules.cot_collection.pool is None:
                raise TrainingSetError(
                    "'cot_collection' needs the CoT Collection's rows: describe them in a seeds configuration and name "
                    "it in the comparison rules (cot_collection.pool)"
                )
            return make_sampled(lake, release, variant, _pool(workshop, variant, rules.cot_collection.pool))
        case "tagcos":
            pool = _pool(workshop, variant, rules.tagcos.pool)
            return make_tagcos(lake, release, pool, rules.tagcos, workshop.compute, workshop.note)
    raise KeyError(variant)


def _pool(workshop: VariantContext, variant: str, path: str | None) -> Pool:
    return make_pool(workshop.lake, workshop.release, variant, path, workshop.release_rules, workshop.retracted)
