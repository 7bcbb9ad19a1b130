"""RandomAug and SpellingAug: the seeds' own questions and answers with character noise (METHOD: baselines)."""

from collections.abc import Callable, Iterator, Mapping

from assets.boost_qa.assembly import Row
from assets.boost_qa.release import Release
from assets.training_sets.configuration import NoiseRules
from assets.training_sets.noise import random_noise, spelling_noise
from assets.training_sets.variants import Source, TrainingSet, make_set, original_pairs, original_row
from resources.lake.tables import Lake

AUGMENTERS: Mapping[str, Callable[..., str]] = {"random_aug": random_noise, "spelling_aug": spelling_noise}


def make_augmented(lake: Lake, release: Release, variant: str, rules: NoiseRules) -> TrainingSet:
    """The rows of `ori` with noise on both sides. See `assets.training_sets.noise` for what stays as it is.

    Raises:
        TrainingSetError: as for `ori`.
    """
    augment = AUGMENTERS[variant]

    def rows(source: Source) -> Iterator[Row]:
        for pair in original_pairs(source):
            row = original_row(pair)
            said = [
                {**turn, "value": augment(turn["value"], rules, row["seed_id"], turn["from"])}
                for turn in row["conversations"]
            ]
            source.counts["unchanged" if said == row["conversations"] else "changed"] += 1
            yield {**row, "conversations": said, "scenario": variant}

    return make_set(lake, release, variant, rows, {"noise": rules.model_dump(mode="json")})
