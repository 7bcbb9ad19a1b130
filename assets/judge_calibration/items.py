"""The items that a judge is asked about: accepted dialogues, untouched and with one planted fault each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assets.judge_calibration.faults import NONE, Sampled, item_id, planted
from assets.quality.inputs import DialogueInput


@dataclass(frozen=True, slots=True)
class Item:
    """A dialogue as the judge reads it. Its own dialogue_id is the item's id, which shows nothing."""

    kind: str  # of the planted fault, or `NONE`
    source: str  # dialogue_id of the dialogue that it was made from
    dialogue: DialogueInput

    @property
    def id(self) -> str:
        """The item's id."""
        return self.dialogue.dialogue_id


def make_items(dialogues: Sequence[DialogueInput]) -> list[Item]:
    """Each dialogue untouched, and once for each kind of fault that it can have, shuffled by their ids."""
    items = []
    for dialogue in dialogues:
        made = {NONE: dialogue, **planted(Sampled(dialogue, _other_answers(dialogue, dialogues)))}
        items += [
            Item(kind, dialogue.dialogue_id, replace(one, dialogue_id=item_id(one, kind))) for kind, one in made.items()
        ]
    return sorted(items, key=lambda item: item.id)


def _other_answers(dialogue: DialogueInput, dialogues: Sequence[DialogueInput]) -> list[str]:
    """Closing answers to other questions with other references: of the same scenario and domain, else of the same
    scenario."""
    others = [
        other
        for other in dialogues
        if other.scenario.name == dialogue.scenario.name and other.answers and _differs(dialogue, other)
    ]
    closest = [other for other in others if other.domain == dialogue.domain]
    return [other.answers[-1] for other in closest or others]


def _differs(one: DialogueInput, other: DialogueInput) -> bool:
    first, second = one.questions[-1], other.questions[-1]
    same_final = first.reference_final is not None and first.reference_final == second.reference_final
    return first.seed_id != second.seed_id and first.reference != second.reference and not same_final
