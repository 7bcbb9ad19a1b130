"""RandomAug and SpellingAug: the seeds' own questions and answers with character noise (METHOD: baselines)."""

from collections.abc import Callable, Iterator, Mapping

from assets.boost_qa.assembly import Row
from assets.boost_qa.release import Release
from assets.training_sets.configuration import NoiseRules
from assets.training_sets.noise import random_noise, spelling_noise
from assets.training_sets.variants import RowContext, TrainingSet, make_set, original_pairs, original_row
from resources.lake.tables import Lake

AUGMENTERS: Mapping[str, Callable[..., str]] = {"random_aug": random_noise, "spelling_aug": spelling_noise}


def make_augmented(lake: Lake, release: Release, variant: str, rules: NoiseRules) -> TrainingSet:
    """The rows of `ori` with noise in question and answer. `assets.training_sets.noise` says what does not change.

    Raises:
        TrainingSetError: as for `ori`.
    """
    add_noise = AUGMENTERS[variant]

    def rows(context: RowContext) -> Iterator[Row]:
        for pair in original_pairs(context):
            row = original_row(pair)
            noisy = [
                {**turn, "value": add_noise(turn["value"], rules, row["seed_id"], turn["from"])}
                for turn in row["conversations"]
            ]
            context.counts["unchanged" if noisy == row["conversations"] else "changed"] += 1
            yield {**row, "conversations": noisy, "scenario": variant}

    about = "The seeds of the release with their original answers, both with character noise."
    return make_set(lake, release, variant, about, rows, {"noise": rules.model_dump(mode="json")})
