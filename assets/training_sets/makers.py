"""Which variant is made how."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import Release
from assets.framework.scenarios.scenario import Scenarios
from assets.training_sets.ablations import ablations, make_ablation
from assets.training_sets.augmented import AUGMENTERS, make_augmented
from assets.training_sets.chain_of_thought import make_cot
from assets.training_sets.configuration import ComparisonRules
from assets.training_sets.critiques import make_critiques
from assets.training_sets.labelled_answers import make_labelled
from assets.training_sets.masks import MASKS, make_masked
from assets.training_sets.pools import Pool, make_pool, make_sampled
from assets.training_sets.preferences import make_preferences
from assets.training_sets.tagcos import make_tagcos
from assets.training_sets.variants import TrainingSet, TrainingSetError, make_boost_qa, make_ori
from assets.training_sets.verifiable import make_verifiable
from resources.chat.profile import Profile
from resources.lake.tables import Lake


@dataclass(frozen=True, slots=True)
class VariantContext:
    """What the variants of one release are made with."""

    lake: Lake
    release: Release
    scenarios: Scenarios
    rules: ComparisonRules
    release_rules: ReleaseRules
    retracted: Collection[str]
    profile: Profile
    log: Callable[[str], None] = lambda line: None

    def pool(self, variant: str) -> Pool:
        """The pool of `cot_collection` or `tagcos`. Raises as `make_pool` does."""
        pool = self.rules.tagcos if variant == "tagcos" else self.rules.cot_collection
        if variant == "cot_collection" and pool.pool is None:
            raise TrainingSetError(
                "'cot_collection' needs the CoT Collection's rows: describe them in a seeds configuration and name "
                "it in the comparison rules (cot_collection.pool)"
            )
        return make_pool(self.lake, self.release, variant, pool, self.release_rules, self.retracted)


def make_variant(context: VariantContext, variant: str) -> TrainingSet:
    """The training set of one of `assets.training_sets.ablations.variants`.

    Raises:
        TrainingSetError, ConfigurationError: it cannot be made; the message says why.
        NotPublished: the gradient features of `tagcos` were not computed yet.
    """
    lake, release, rules = context.lake, context.release, context.rules
    if kept := ablations(context.scenarios).get(variant):
        return make_ablation(lake, release, variant, kept)
    if variant in MASKS:
        return make_masked(lake, release, variant, context.scenarios)
    if variant in AUGMENTERS:
        return make_augmented(lake, release, variant, rules.noise)
    match variant:
        case "boost_qa":
            return make_boost_qa(lake, release)
        case "ori":
            return make_ori(lake, release)
        case "dpo":
            return make_preferences(lake, release, context.scenarios)
        case "kto":
            return make_labelled(lake, release, context.scenarios, context.release_rules, context.retracted)
        case "critique":
            return make_critiques(lake, release, context.scenarios)
        case "rlvr":
            return make_verifiable(lake, release, context.release_rules, context.retracted)
        case "cot":
            return make_cot(lake, release, context.profile, rules.cot)
        case "cot_collection":
            return make_sampled(lake, release, variant, context.pool(variant))
        case "tagcos":
            return make_tagcos(lake, release, context.pool(variant), rules.tagcos, context.log)
    raise KeyError(variant)
