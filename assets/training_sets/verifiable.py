"""`rlvr`: questions whose answers a rule can check, for reinforcement learning with verifiable rewards.

No dialogue is needed, so all training seeds are taken, also those whose dialogue was rejected. Validation and test are
those of the release. `master_dagster.rewards` checks answers.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from assets.answers.formulas import formula
from assets.answers.markup import clean
from assets.answers.quantities import read_quantity
from assets.answers.values import named_value, option_label, option_labels
from assets.boost_qa.assembly import Row
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.forms import VERIFIABLE
from assets.boost_qa.release import Release
from assets.framework.partitions import Split
from assets.training_sets.pools import own_seeds, usable_pairs
from assets.training_sets.variants import ORIGINAL, NothingToMake, RowContext, TrainingSet, make_set, original_pairs
from resources.identity import stable_hash
from resources.lake.tables import Lake

VARIANT = "rlvr"


def make_verifiable(lake: Lake, release: Release, rules: ReleaseRules, retracted: Collection[str]) -> TrainingSet:
    """The set `rlvr` of a release.

    Args:
        lake: where everything is read and written.
        release: whose validation and test it has; no training question is a near-duplicate of one of these.
        rules: which benchmarks the training questions have nothing of.
        retracted: seeds that were taken down.

    Raises:
        NothingToMake: no question can be checked.
        ConfigurationError: a benchmark cannot be read.
    """
    counts: Counter[str] = Counter()
    pairs = [pair for pair in own_seeds(lake) if checker_of(pair)]
    train = usable_pairs(lake, release, pairs, rules, retracted, counts)
    if not train:
        raise NothingToMake(
            "no training seed has a result that a rule can check: a number, a formula, the label of an option, or tests"
        )

    def rows(context: RowContext) -> Iterator[Row]:
        context.counts.update(counts)
        held_out = {pair["seed_id"]: pair for pair in original_pairs(context) if pair["split"] != Split.TRAIN}
        for pair in [*({**pair, "split": Split.TRAIN.value} for pair in train), *held_out.values()]:
            if checker := checker_of(pair):
                context.counts[checker] += 1
                yield verifiable_row(pair, checker)

    made_with = {"training_seeds": stable_hash(*(pair["seed_id"] for pair in train))}
    about = "Questions whose answers a rule can check, from all training seeds; for reinforcement learning."
    return make_set(lake, release, VARIANT, about, rows, made_with, form=VERIFIABLE, same_size=False)


def checker_of(pair: Mapping[str, Any]) -> str | None:
    """How an answer to a seed is checked: `code`, `math` or `label`; None where no rule decides surely.

    Args:
        pair: of a seed, with `domain`, `reference_final` and `tests`.
    """
    if pair["tests"]:
        return "code"
    reference = clean(pair["reference_final"] or "")
    if not reference:
        return None
    if option_label(reference)[0] or option_labels(reference):
        return "label"
    is_value = read_quantity(named_value(reference)[1]) or (pair["domain"] == "math" and formula(reference))
    return "math" if is_value else None


def verifiable_row(pair: Mapping[str, Any], checker: str) -> Row:
    """A seed as a row of `VERIFIABLE_ROW`."""
    reference = pair["tests"] if checker == "code" else pair["reference_final"]
    system = [{"role": "system", "content": pair["system"]}] if pair["system"] else []
    return {
        "id": pair["seed_id"],
        "prompt": [*system, {"role": "user", "content": pair["question"]}],
        "reference_final": reference,
        "checker": checker,
        "scenario": ORIGINAL,
        **{name: pair[name] for name in ("source", "domain", "split", "seed_id", "licence")},
        "data_source": pair["source"],
        "reward_model": {"style": "rule", "ground_truth": reference},
        "extra_info": {"index": pair["seed_id"], "checker": checker},
    }
