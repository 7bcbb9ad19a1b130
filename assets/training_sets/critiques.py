"""`critique`: a question with a wrong answer, and the teacher's review of it, as rows of the release's form.

A review is taken only where the judge found its verdict true and nothing given away, and no rule found otherwise. What
rules alone can show of a review is not enough: it may call a wrong answer wrong for a wrong reason.
"""

from collections.abc import Iterator
from pathlib import Path
from string import Template

from assets.boost_qa.assembly import Row
from assets.boost_qa.release import Release
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.rubric import GAVE_AWAY, VERDICT_TRUE
from assets.training_sets.turns import SOURCE_COLUMNS, TABLES, Answer, DialogueTurns, made_from, released_dialogues
from assets.training_sets.variants import RowContext, TrainingSet, make_set
from resources.identity import stable_hash
from resources.lake.tables import Lake

VARIANT = "critique"
PROMPT = Path(__file__).parent / "prompts" / "critique.txt"


def make_critiques(lake: Lake, release: Release, scenarios: Scenarios) -> TrainingSet:
    """The set `critique` of a release.

    Raises:
        NothingToMake: no review of a wrong answer was confirmed by a judge.
    """
    prompt = Template(PROMPT.read_text(encoding="utf-8").strip())

    def rows(context: RowContext) -> Iterator[Row]:
        for dialogue in released_dialogues(context, scenarios):
            for place, step, answer in _reviews(dialogue):
                if fault := _fault(dialogue, answer):
                    context.counts[fault] += 1
                else:
                    context.counts[f"by {step.role}"] += 1
                    yield _row(dialogue, place, answer, prompt)

    about = "A question with a wrong answer, and a teacher's review of it that a judge found true."
    made_with = {**made_from(lake, release, scenarios), "prompt": stable_hash(prompt.template)}
    return make_set(lake, release, VARIANT, about, rows, made_with, same_size=False, tables=TABLES)


def _reviews(dialogue: DialogueTurns) -> Iterator[tuple[int, Say, Answer]]:
    """Every turn that reviews an answer: its place, its step, and that answer."""
    for place, step in enumerate(dialogue.steps):
        if isinstance(step, Say) and step.reviews:
            earlier = [one for one in dialogue.answers if one.place < place and one.step.say == step.reviews]
            if earlier:
                yield place, step, earlier[-1]


def _fault(dialogue: DialogueTurns, answer: Answer) -> str | None:
    """Why a review is not taken; None where it is."""
    if answer.final_answer != "wrong":
        return "the answer is not verified to be wrong"
    verdict, given = dialogue.finding(VERDICT_TRUE), [dialogue.finding(name) for name in GAVE_AWAY]
    if not dialogue.is_judged or verdict is None or verdict["value"] != "yes":
        return "no judge found the review's verdict true"
    if any(found and not found["good"] for found in given) or dialogue.row["gave_away_result"]:
        return "the review gives the result away"
    return "a rule found the review's verdict false" if dialogue.row["false_claim"] else None


def _row(dialogue: DialogueTurns, place: int, answer: Answer, prompt: Template) -> Row:
    """A review as a row of `RELEASE_ROW`."""
    row = dialogue.row
    task = prompt.substitute(question=row[answer.asked], answer=answer.text)
    return {
        "id": stable_hash("critique", row["dialogue_id"], place),
        "conversations": [{"from": "human", "value": task}, {"from": "gpt", "value": row["turns"][place]["text"]}],
        "system": dialogue.system(answer.asked),
        "trains": [False, True],
        "scenario": row["scenario"],
        **{name: row[name] for name in SOURCE_COLUMNS},
        "quality_score": row["quality_score"],
    }
