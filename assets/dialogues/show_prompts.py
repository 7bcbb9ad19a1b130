"""Every prompt of planned dialogues as a model would read it, with stand-ins for what other speakers say."""

from collections import defaultdict
from collections.abc import Iterator

import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.questions import read_questions
from assets.dialogues.steps import FixedTurn, Steps, play
from assets.dialogues.task import DialogueTask, tasks_of
from assets.framework.partitions import source_of
from assets.framework.scenarios.scenario import Scenarios
from assets.seeds.shards import source_shards
from resources.lake.tables import Lake


def planned_tasks(lake: Lake, scenarios: Scenarios, count: int) -> list[DialogueTask]:
    """As many planned dialogues, taken in turn from the groups of equal source and scenario, smallest seed_id first."""
    plans = lake.read(DIALOGUE_PLANS).filter(pl.col("scenario").is_in(list(scenarios))).sort("seed_id")
    places = plans.select(place=pl.int_range(pl.len()).over("source", "scenario")).to_series()
    chosen = plans.with_columns(place=places).sort("place", "source", "scenario").head(count).drop("place")
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in chosen.iter_rows(named=True):
        wanted[source_of(row["shard"])] |= {row["seed_id"], row["partner_seed_id"]} - {None}
    questions = {
        seed_id: question
        for source, seed_ids in wanted.items()
        for seed_id, question in read_questions(lake, source, source_shards(lake, source), seed_ids).items()
    }
    return [task for name in scenarios for task in tasks_of(chosen, questions, name, {})]


def shown_dialogue(scenarios: Scenarios, task: DialogueTask) -> Iterator[str]:
    """A dialogue's turns in order: the text of those without a model, all messages of the others."""
    scenario = scenarios[task.scenario]
    steps: Steps = play(scenario, task)
    yield f"# {scenario.title}, {task.domain}, seed {task.question.seed_id}"
    text: str | None = None
    while True:
        try:
            step = next(steps) if text is None else steps.send(text)
        except StopIteration:
            return
        if isinstance(step, FixedTurn):
            text = step.text
            yield f"## {step.speaker}, no model\n\n{text}"
            continue
        text = f"<what {step.say.speaker} says in {step.say.say.replace('_', ' ')}>"
        messages = scenario.prompts.render(step.prompt, **step.sees)
        shown = "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
        yield f"## {step.say.speaker}, {step.say.role}, {step.prompt}.txt\n\n{shown}"
