"""Questions of validation and test that are near-duplicates of a question of an earlier split."""

from collections.abc import Iterable
from dataclasses import dataclass

from assets.framework.near_duplicates import NearDuplicateIndex
from assets.framework.partitions import Split


@dataclass(frozen=True, slots=True)
class DialogueQuestions:
    """The questions of one dialogue."""

    dialogue_id: str
    split: str
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A dialogue that is removed from its split, and the one that is kept."""

    dialogue_id: str
    kept: str  # dialogue_id of the copy in the earlier split
    kept_split: str
    similarity: float  # Jaccard similarity of the two questions


def near_duplicates(dialogues: Iterable[DialogueQuestions], similarity: float) -> list[NearDuplicate]:
    """Dialogues of validation and test with a near-duplicate in training, and of test with one in validation.

    Memory grows with validation and test alone.

    Args:
        dialogues: all dialogues, validation and test before train, in a fixed order.
        similarity: Jaccard similarity from which on two questions are near-duplicates (0..1).
    """
    index = NearDuplicateIndex(similarity)
    held_out: list[tuple[DialogueQuestions, str]] = []
    removed: dict[str, NearDuplicate] = {}

    def compare(earlier: DialogueQuestions, question: str, splits: tuple[Split, ...]) -> None:
        for number, jaccard in index.find(question):
            later = held_out[number][0]
            if later.dialogue_id not in removed and later.split in splits:
                removed[later.dialogue_id] = NearDuplicate(
                    later.dialogue_id, earlier.dialogue_id, earlier.split, jaccard
                )

    for dialogue in dialogues:
        for question in dialogue.questions:
            if dialogue.split == Split.TRAIN:
                compare(dialogue, question, (Split.VALIDATION, Split.TEST))
            else:
                index.add(question)
                held_out.append((dialogue, question))
    for dialogue, question in held_out:
        if dialogue.split == Split.VALIDATION and dialogue.dialogue_id not in removed:
            compare(dialogue, question, (Split.TEST,))
    return sorted(removed.values(), key=lambda pair: pair.dialogue_id)
