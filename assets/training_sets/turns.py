"""The release's dialogues turn by turn, with what was found of each answer: masks, pairs and critiques need it.

A released row has the texts alone. Who spoke, what a rule found of an answer and what the judge found are in
`scenario_dialogues` and `scored_dialogues`, which may have changed since the release was made. A dialogue whose turns
no longer give the released conversation is left out and counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assets.boost_qa.assembly import Row, in_order
from assets.boost_qa.release import Release
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.sharegpt import conversation
from assets.framework.scenarios.declaration import Asked, Say, Turn
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from assets.training_sets.variants import CHANGED, RowContext, query
from resources.identity import stable_hash
from resources.lake.tables import Lake

TABLES = (SEEDS, DIALOGUES, SCORED)
SOURCE_COLUMNS = ("source", "domain", "split", "seed_id", "partner_seed_id", "licence")


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's turn that answers a question."""

    place: int  # of the turn in the dialogue
    step: Say
    asked: Asked
    text: str  # without the speaker's name
    final_answer: str  # "right", "wrong" or "unknown": what a rule found of its result


@dataclass(frozen=True, slots=True)
class DialogueTurns:
    """A dialogue whose turns are those of its scenario."""

    row: Row  # of `queries/turns.sql`
    scenario: Scenario
    steps: tuple[Turn, ...]  # as many as there are turns

    @property
    def answers(self) -> list[Answer]:
        """Every student's turn that answers a question, in order."""
        turns = zip(self.steps, self.row["turns"], strict=True)
        return [
            Answer(
                place, step, step.answers, _own_text(turn["text"], self.row, step), turn["final_answer"] or "unknown"
            )
            for place, (step, turn) in enumerate(turns)
            if isinstance(step, Say) and step.answers
        ]

    @property
    def is_judged(self) -> bool:
        """Whether a judge's verdict is there."""
        return bool(self.row["judge_status"] == "judged")

    def finding(self, name: str) -> Mapping[str, Any] | None:
        """What the judge found, by the name of `assets.quality.rubric.Finding`; None where it was not asked."""
        return next((one for one in self.row["judge_findings"] or () if one["finding"] == name), None)

    def finding_of(self, answer: Answer, name: str) -> Mapping[str, Any] | None:
        """What the judge found of a judged answer; see `assets.quality.rubric.rubric_of` for its keys."""
        judged = self.scenario.judged
        return self.finding(f"{name}_{judged.index(answer.step) + 1}" if len(judged) > 1 else name)

    def system(self, asked: Asked) -> str:
        """The system prompt of the question's seed; empty where there is none."""
        return self.row["system" if asked == "question" else "similar_system"] or ""

    def prompt(self, asked: Asked) -> list[dict[str, str]]:
        """The question as messages, after its seed's system prompt where there is one."""
        system = self.system(asked)
        opening = [{"role": "system", "content": system}] if system else []
        return [*opening, {"role": "user", "content": self.row[asked]}]


def released_dialogues(context: RowContext, scenarios: Scenarios) -> Iterator[DialogueTurns]:
    """The dialogues of the release's rows, in the release's order, a limited number in memory at a time.

    `context.counts` gets how many are left out.

    Args:
        context: of a set that is made with `TABLES`.
        scenarios: declared now.
    """
    (rows,) = context.connection.execute("SELECT count(*) FROM released").fetchall()[0]
    for row in in_order(context.connection, turns_query("FROM released"), rows):
        if dialogue := released_turns(row, scenarios):
            yield dialogue
        else:
            context.counts[CHANGED] += 1


def turns_query(chosen: str) -> str:
    """The query for the turns of the rows that another query chooses."""
    return f"WITH chosen AS (\n{chosen}\n)\n{query('turns.sql')}"


def released_turns(row: Row, scenarios: Scenarios) -> DialogueTurns | None:
    """What `turns_of` gives where the turns give the released conversation."""
    return turns_of(row, scenarios) if _is_released(row) else None


def turns_of(row: Row, scenarios: Scenarios) -> DialogueTurns | None:
    """A row of `queries/turns.sql` with the step that each turn is; None where it is no such dialogue now."""
    scenario = scenarios.get(row["scenario"])
    if scenario is None or not row["turns"] or row["question"] is None:
        return None
    said = [(turn["speaker"], turn["role"]) for turn in row["turns"]]
    drawn: tuple[int | None, ...] = tuple(scenario.repetitions[1]) if scenario.repetitions else (None,)
    for repetitions in drawn:
        steps = scenario.match(said, repetitions) if scenario.is_complete(said, repetitions) else None
        if steps is not None:
            return DialogueTurns(row, scenario, steps)
    return None


def made_from(lake: Lake, release: Release, scenarios: Scenarios) -> dict[str, Any]:
    """What a set of the release's dialogues depends on beside the release: their turns and scores as they are now."""
    taken = {entry["partition"] for entry in release.manifest["lineage"]}
    records = [
        (table.name, sorted(record.keys.items()), record.content)
        for table in (DIALOGUES, SCORED)
        for record in lake.records(table)
        if f"{record.keys['scenario']}|{record.keys['shard']}" in taken
    ]
    return {"turns": stable_hash(records), "scenarios": {name: one.identity for name, one in scenarios.items()}}


def _is_released(row: Row) -> bool:
    """Whether the turns give the conversation of the released row."""
    try:
        messages = conversation(row["turns"] or [])
    except ValueError:
        return False
    return bool([{"from": one["from"], "value": one["value"]} for one in messages] == row["conversations"])


def _own_text(text: str, row: Row, step: Say) -> str:
    """A turn's text without the question that its step puts in front of it."""
    return text.removeprefix(f"{row[step.begins_with]}\n\n") if step.begins_with else text
