"""`dpo`: a right and a wrong answer to one question, out of one released dialogue.

Rejected is an answer whose result a rule found wrong. Chosen is the closing answer of the same question, or another
speaker's answer whose result a rule found right: of two debaters, neither role nor length shows which is right.
"""

from collections.abc import Iterator

from assets.boost_qa.assembly import Row
from assets.boost_qa.forms import PREFERENCE
from assets.boost_qa.release import Release
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.rubric import RESULT
from assets.training_sets.turns import SOURCE_COLUMNS, TABLES, Answer, DialogueTurns, made_from, released_dialogues
from assets.training_sets.variants import RowContext, TrainingSet, make_set
from resources.identity import stable_hash
from resources.lake.tables import Lake

VARIANT = "dpo"
MOST_PAIRS = 4  # of one dialogue
EQUAL = "chosen equal to rejected"
MORE = "more pairs of one dialogue"


def make_preferences(lake: Lake, release: Release, scenarios: Scenarios) -> TrainingSet:
    """The set `dpo` of a release.

    Raises:
        NothingToMake: no released dialogue has a right and a wrong answer to one question.
    """

    def rows(context: RowContext) -> Iterator[Row]:
        for dialogue in released_dialogues(context, scenarios):
            kept = 0
            for chosen, rejected in answer_pairs(dialogue):
                if " ".join(chosen.text.split()) == " ".join(rejected.text.split()):
                    context.counts[EQUAL] += 1
                elif kept == MOST_PAIRS:
                    context.counts[MORE] += 1
                else:
                    kept += 1
                    context.counts[f"{chosen.step.role} over {rejected.step.role}"] += 1
                    yield _row(dialogue, chosen, rejected)

    about = "Pairs of a right and a wrong answer to one question, for preference tuning."
    made_with = made_from(lake, release, scenarios)
    return make_set(lake, release, VARIANT, about, rows, made_with, form=PREFERENCE, same_size=False, tables=TABLES)


def answer_pairs(dialogue: DialogueTurns) -> Iterator[tuple[Answer, Answer]]:
    """The pairs of a dialogue, chosen and rejected: first those with a closing answer, then those of its equals."""
    answers = dialogue.answers
    wrong = [one for one in answers if one.final_answer == "wrong" and not one.step.judged]
    right = [one for one in answers if is_right(dialogue, one)]
    for chosen in sorted(right, key=lambda one: not one.step.judged):
        for rejected in wrong:
            others = chosen.step.judged or chosen.step.speaker != rejected.step.speaker
            if chosen.asked == rejected.asked and others:
                yield chosen, rejected


def is_right(dialogue: DialogueTurns, answer: Answer) -> bool:
    """Whether an answer's result is verified: by a rule, or by the judge where a closing answer cannot be compared."""
    found = dialogue.finding_of(answer, RESULT) if answer.step.judged else None
    if found is not None and not found["good"]:
        return False  # accepted by a manual decision all the same
    return answer.final_answer == "right" or (answer.final_answer == "unknown" and found is not None)


def _row(dialogue: DialogueTurns, chosen: Answer, rejected: Answer) -> Row:
    """A pair as a row of `PREFERENCE_ROW`."""
    row = dialogue.row
    return {
        "id": stable_hash("pair", row["dialogue_id"], chosen.place, rejected.place),
        "prompt": dialogue.prompt(chosen.asked),
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "chosen_role": chosen.step.role,
        "rejected_role": rejected.step.role,
        "dialogue_id": row["dialogue_id"],
        "scenario": row["scenario"],
        **{name: row[name] for name in SOURCE_COLUMNS},
    }
