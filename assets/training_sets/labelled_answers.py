"""`kto`: closing answers with a label, good where the dialogue was accepted and bad where the answer was rejected.

A dialogue is also rejected for what is no fault of its closing answer, such as a teacher who gives the result away:
only an answer with a fault of its own is labelled bad. Rejected dialogues are no part of the release, so they are
screened here as the release is.
"""

from collections.abc import Collection, Iterator

from assets.boost_qa.assembly import Row, in_order, stream
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen, open_screen
from assets.boost_qa.forms import LABELLED
from assets.boost_qa.release import Release
from assets.framework.near_duplicates import NearDuplicateIndex
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.rubric import ABOUT_ANSWERS, RESULT, SAME_RESULT
from assets.quality.rules import HARD_RULES
from assets.training_sets.turns import (
    SOURCE_COLUMNS,
    TABLES,
    Answer,
    DialogueTurns,
    made_from,
    released_turns,
    turns_of,
    turns_query,
)
from assets.training_sets.variants import CHANGED, RowContext, TrainingSet, make_set, query
from resources.identity import stable_hash
from resources.lake.tables import Lake

VARIANT = "kto"
FINDINGS = (RESULT, *(finding.name for finding in ABOUT_ANSWERS))
BY_RULE = frozenset(rule.code for rule in HARD_RULES if rule.signal == "final_answer")
OF_ANSWERS = BY_RULE | {SAME_RESULT.code, *(finding.code for finding in ABOUT_ANSWERS)}
"""Rejection reasons that are a fault of a closing answer."""


def make_labelled(
    lake: Lake, release: Release, scenarios: Scenarios, rules: ReleaseRules, retracted: Collection[str]
) -> TrainingSet:
    """The set `kto` of a release.

    Args:
        lake: where everything is read and written.
        release: whose dialogues give the good answers, and whose rejected ones the bad answers.
        scenarios: declared now.
        rules: which benchmarks the bad answers have nothing of.
        retracted: seeds that were taken down.

    Raises:
        NothingToMake: there is no closing answer.
        ConfigurationError: a benchmark cannot be read.
    """
    screen = open_screen(rules.benchmarks, rules.contamination_words, lake.s3)
    similarity = release.manifest["configuration"]["rules"]["near_duplicate_similarity"]

    def rows(context: RowContext) -> Iterator[Row]:
        crossing = _crossing(context, similarity)
        for row, released in _dialogues(context):
            why = None if released else _unfit(row, screen, crossing, retracted)
            dialogue = None if why else (released_turns if released else turns_of)(row, scenarios)
            if dialogue is None:
                context.counts[why or CHANGED] += 1
                continue
            for answer in dialogue.answers:
                if answer.step.judged:
                    yield from _labelled(context, dialogue, answer, good=released)

    about = "Closing answers with a label: whether the answer is good."
    made_with = {
        **made_from(lake, release, scenarios),
        "benchmarks": screen.fingerprint,
        "retracted": stable_hash(*sorted(retracted)),
    }
    return make_set(lake, release, VARIANT, about, rows, made_with, form=LABELLED, same_size=False, tables=TABLES)


def _dialogues(context: RowContext) -> Iterator[tuple[Row, bool]]:
    """The release's rows and the rejected dialogues in the release's order, and whether each is released."""
    counted = "SELECT (SELECT count(*) FROM released), count(*) FROM released_removed WHERE decision = 'rejected'"
    ((released, rejected),) = context.connection.execute(counted).fetchall()
    sql = turns_query(f"FROM released UNION ALL BY NAME (\n{query('rejected.sql')}\n)")
    for row in in_order(context.connection, sql, released + rejected):
        is_released = row["conversations"] is not None
        rejected -= not is_released
        yield row, is_released
    if rejected:
        context.counts[CHANGED] += rejected


def _crossing(context: RowContext, similarity: float) -> set[str]:
    """The rejected dialogues with a question that is a near-duplicate of one in another split."""
    index, added, crossing = NearDuplicateIndex(similarity), list[tuple[str, str]](), set[str]()
    for row in stream(context.connection, query("questions_by_split.sql")):
        others = [added[number][0] for number, _ in index.find(row["question"]) if added[number][1] != row["split"]]
        if not row["rejected"]:
            crossing.update(others)
        elif others:
            crossing.add(row["dialogue_id"])
        else:
            index.add(row["question"])
            added.append((row["dialogue_id"], row["split"]))
    return crossing


def _unfit(row: Row, screen: BenchmarkScreen, crossing: Collection[str], retracted: Collection[str]) -> str | None:
    """Why a rejected dialogue could not be in a release even if it were accepted; None where it could."""
    if row["seed_id"] in retracted or row["partner_seed_id"] in retracted:
        return "retracted"
    if row["dialogue_id"] in crossing:
        return "near-duplicate of another split"
    texts = [row[name] for name in ("question", "answer", "similar_question", "similar_answer")]
    found = screen.find([*filter(None, texts), *(turn["text"] for turn in row["turns"] or ())])
    return "contaminated by a benchmark" if found else None


def _labelled(context: RowContext, dialogue: DialogueTurns, answer: Answer, *, good: bool) -> Iterator[Row]:
    """The row of a closing answer, unless its label is not sure."""
    if good == _is_faulty(dialogue, answer):
        context.counts["accepted although a fault was found" if good else "rejected for another reason"] += 1
        return
    context.counts["good answers" if good else "bad answers"] += 1
    row = dialogue.row
    yield {
        "id": stable_hash("answer", row["dialogue_id"], answer.place),
        "prompt": dialogue.prompt(answer.asked),
        "completion": [{"role": "assistant", "content": answer.text}],
        "label": good,
        "dialogue_id": row["dialogue_id"],
        "scenario": row["scenario"],
        **{name: row[name] for name in SOURCE_COLUMNS},
    }


def _is_faulty(dialogue: DialogueTurns, answer: Answer) -> bool:
    """Whether the dialogue was rejected for a fault of this closing answer: by a rule, or by the judge."""
    reasons = OF_ANSWERS.intersection(dialogue.row["rejection_reasons"])
    found = [dialogue.finding_of(answer, name) for name in FINDINGS]
    of_this = answer.final_answer == "wrong" or any(one and not one["good"] for one in found)
    # a rule finds a dialogue's worst answer, so that one of several is not known to be it
    return bool(reasons) and (of_this or (len(dialogue.scenario.judged) == 1 and bool(reasons & BY_RULE)))
