"""Questions of validation and test that are all but the same as one of an earlier split."""

from collections.abc import Iterable
from dataclasses import dataclass

from rensa import RMinHash, RMinHashLSH

from assets.boost_qa.decontamination import words
from assets.framework.partitions import Split

# 32 bands of 4 find a pair of similarity 0.8 almost surely (1 - (1 - 0.8^4)^32); every candidate is then compared
# word by word, so that what is removed never rests on an estimate.
PERMUTATIONS, BANDS, SEED = 128, 32, 1


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions that one dialogue poses."""

    dialogue_id: str
    split: str
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A dialogue that leaves its split, and the one that stays."""

    dialogue_id: str
    kept: str  # dialogue_id of the copy in the earlier split
    kept_split: str
    similarity: float  # Jaccard, of the two questions' word triples


def shingles(question: str) -> frozenset[str]:
    """Runs of three normalised words; a shorter question is one run."""
    found = words(question)
    return frozenset(" ".join(found[start : start + 3]) for start in range(max(1, len(found) - 2)))


def near_duplicates(asked: Iterable[Asked], similarity: float) -> list[NearDuplicate]:
    """Dialogues of validation and test that pose nearly a question of training, and of test nearly one of validation.

    Memory grows with validation and test alone.

    Args:
        asked: all dialogues, validation and test before train, in a fixed order.
        similarity: Jaccard similarity of word triples from which two questions count as the same.
    """
    index = RMinHashLSH(similarity, PERMUTATIONS, BANDS)
    held_out: list[tuple[Asked, str]] = []  # a question's words take twenty times the memory of its text
    leaving: dict[str, NearDuplicate] = {}

    def compare(earlier: Asked, question: frozenset[str], split: Split | None) -> None:
        for place in sorted(index.query(_sketch(question))):
            later, text = held_out[place]
            if later.dialogue_id in leaving or (split is not None and later.split != split):
                continue
            theirs = shingles(text)
            jaccard = len(question & theirs) / len(question | theirs)
            if jaccard >= similarity:
                leaving[later.dialogue_id] = NearDuplicate(
                    later.dialogue_id, earlier.dialogue_id, earlier.split, jaccard
                )

    for dialogue in asked:
        for text in dialogue.questions:
            if dialogue.split == Split.TRAIN:
                compare(dialogue, shingles(text), None)
            else:
                index.insert(len(held_out), _sketch(shingles(text)))
                held_out.append((dialogue, text))
    for dialogue, text in held_out:
        if dialogue.split == Split.VALIDATION and dialogue.dialogue_id not in leaving:
            compare(dialogue, shingles(text), Split.TEST)
    return sorted(leaving.values(), key=lambda pair: pair.dialogue_id)


def _sketch(question: frozenset[str]) -> RMinHash:
    sketch = RMinHash(PERMUTATIONS, SEED)
    sketch.update(sorted(question))
    return sketch
