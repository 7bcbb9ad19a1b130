"""A preview: dialogues about a few seeds, generated and judged in a temporary lake, before a run is paid for.

Seeds, plans, dialogues and verdicts come from the functions that the assets use. Only the choice differs: the first
rows of each source are read, and every scenario gets seeds, whatever its share.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.configuration import PlanRules, SplitShares
from assets.dialogue_plans.planning import draw_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.generate import generate_dialogue
from assets.dialogues.questions import Question, Questions, read_questions
from assets.dialogues.task import DialogueTask, tasks_of
from assets.dialogues.turn_loop import TurnLoop
from assets.framework.partition_run import gather_results
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import QualityRules
from assets.quality.decisions import load_decisions
from assets.quality.inputs import dialogue_input
from assets.quality.score_dialogues import Judging, score_row, screen_dialogues
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.embeddings import embed_source
from assets.seeds.intake import take_in
from assets.seeds.retractions import load_retractions
from assets.seeds.shards import source_shards
from resources.chat.calls import Usage
from resources.chat.service import ChatService
from resources.embedder import Embedder
from resources.lake.tables import Lake

READ_ROWS = 500  # of a source, its first ones
SAMPLE = 60  # seeds of a source, drawn from these rows: few enough to embed within seconds
SCOPE = "preview"
Row = Mapping[str, Any]
Show = Callable[[Row, Row, Sequence[Question]], None]


@dataclass(frozen=True, slots=True)
class Preview:
    """The dialogues to generate, and the scenarios of which there is none."""

    tasks: tuple[DialogueTask, ...]
    left_out: Mapping[str, str]  # scenario to the reason


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """Generates and judges the dialogues of a preview."""

    service: ChatService
    scenarios: Scenarios
    prompts: PromptBook
    rules: QualityRules
    regenerations: int  # how often a refused utterance is asked for again

    def roles(self, tasks: Sequence[DialogueTask]) -> list[str]:
        """The roles that the dialogues and their judging need."""
        speaking = [role for task in tasks for role in self.scenarios[task.scenario].roles]
        judging = [] if self.service.profile.judging == "rules_alone" else self.rules.judge.jury
        return list(dict.fromkeys([*speaking, *judging]))

    async def run(self, tasks: Sequence[DialogueTask], run_id: str, show: Show) -> Usage:
        """Generate and judge every task.

        Args:
            tasks: the dialogues.
            run_id: whose budget is drawn on.
            show: called with each dialogue as soon as it is judged: a row of `scenario_dialogues`, a row of
                `scored_dialogues`, and the questions.

        Returns:
            What all calls took.

        Raises:
            BudgetSpent, EndpointUnusable: the dialogues that are not shown yet are lost.
            ConfigurationError: keys that the models need are not set.
        """
        profile, jury = self.service.profile, self.rules.judge.jury
        rules_alone = profile.judging == "rules_alone"
        decisions = load_decisions(self.rules.decisions)
        async with self.service.engine(self.roles(tasks), run_id) as chat:
            slots = asyncio.Semaphore(max(1, chat.target_concurrency))
            turn_loop = TurnLoop(chat, self.scenarios, profile, self.regenerations)
            judging = Judging(chat, self.prompts, self.rules.judge, rules_alone)
            judge_model = ", ".join(profile.roles[role].model for role in jury)

            async def make(task: DialogueTask) -> None:
                async with slots:
                    row = (await generate_dialogue(task, turn_loop, SCOPE)).row()
                questions = {question.seed_id: question for question in questions_of(task)}
                dialogue = dialogue_input(row, self.scenarios[task.scenario], questions, task.repetitions)
                (screened,) = screen_dialogues([dialogue], self.rules, rules_alone=rules_alone)
                judgement = await judging.judge(screened, SCOPE, slots)
                scores = score_row(row, screened, judgement, judge_model, self.rules, decisions)
                show(row, scores, tuple(questions.values()))

            await gather_results(map(make, tasks))
            return chat.total


def questions_of(task: DialogueTask) -> tuple[Question, ...]:
    """What a dialogue is about: the question, and the similar one where there is one."""
    return (task.question, task.similar) if task.similar else (task.question,)


def read_seeds(lake: Lake, seeds: SeedsConfiguration, embedder: Embedder | None, most_sources: int) -> list[str]:
    """Read seeds of the first rows of each source into a temporary lake.

    Args:
        lake: the temporary lake; also how S3 is reached.
        seeds: the sources.
        embedder: embeds their questions; None where no scenario needs a similar question.
        most_sources: further sources are left out.

    Returns:
        The names of the sources that were read.

    Raises:
        SeedsError: a source cannot be read, or none of these rows can be used.
        EmbeddingError, EndpointUnusable: the embedder cannot be used.
    """
    sources = [
        source.model_copy(update={"sample": min(source.sample or SAMPLE, SAMPLE)})
        for source in seeds.sources[:most_sources]
    ]
    few = seeds.model_copy(update={"sources": sources, "max_rejected_share": 1.0})
    retracted = load_retractions(seeds, lake.s3)
    for source in sources:
        take_in(lake, few, source.name, retracted, most_rows=READ_ROWS)
        if embedder is not None:
            embed_source(lake, embedder, source.name)
    return few.source_names


def plan_preview(
    lake: Lake, sources: Sequence[str], scenarios: Scenarios, chosen: Sequence[str], rules: PlanRules, count: int
) -> Preview:
    """Choose dialogues: the scenarios take turns, and each takes the sources in turn.

    The same seeds and rules give the same choice. No two dialogues are about the same question while others are left.

    Args:
        lake: with the seeds of the sources.
        sources: their names.
        scenarios: all of the deployment.
        chosen: names of those to try.
        rules: of the deployment's plans; its shares do not count.
        count: how many dialogues.

    Raises:
        PlanError: embeddings are missing.
    """
    plans = {name: _plans_of(lake, sources, scenarios, name, rules) for name in chosen}
    unlike = f"none of the seeds that were read has a similar question (min_similarity {rules.min_similarity:g})"
    left_out = {
        name: unlike if scenarios[name].needs_partner else "there is no seed for it"
        for name in chosen
        if not plans[name]
    }
    rows, used = list[Row](), set[str]()
    while len(rows) < count and any(plans.values()):
        for name in [name for name in chosen if plans[name]][: count - len(rows)]:
            row = next((row for row in plans[name] if row["seed_id"] not in used), plans[name][0])
            plans[name].remove(row)
            rows.append(row)
            used |= {row["seed_id"], row["partner_seed_id"]}
    untried = [name for name in chosen if name not in {*left_out, *(row["scenario"] for row in rows)}]
    left_out |= dict.fromkeys(untried, f"give -n {len(chosen)} for one dialogue in each scenario")
    return Preview(tuple(_task(lake, row) for row in rows), left_out)


def _plans_of(
    lake: Lake, sources: Sequence[str], scenarios: Scenarios, name: str, rules: PlanRules
) -> list[dict[str, Any]]:
    """Plans of one scenario, from the sources in turn; which source is first depends on the scenario."""
    others = [other for other in scenarios if not scenarios[other].needs_partner][:1]  # similar questions are of these
    shares = dict.fromkeys(scenarios, 0.0) | {name: 1.0}
    if scenarios[name].needs_partner:
        shares |= dict.fromkeys(others, 1.0)
    alone = rules.model_copy(update={"scenarios": shares, "splits": SplitShares(train=1, validation=0, test=0)})
    by_source = []
    for source in sources:
        plans, _ = draw_shards(lake, source, source_shards(lake, source), scenarios, alone)
        by_source.append(plans.filter(pl.col("scenario") == name).sort("seed_id").to_dicts())
    first = list(scenarios).index(name) % len(sources)
    turns = by_source[first:] + by_source[:first]
    longest = max(len(rows) for rows in turns)
    return [rows[place] for place in range(longest) for rows in turns if place < len(rows)]


def _task(lake: Lake, plan: Row) -> DialogueTask:
    seeds = {name for name in (plan["seed_id"], plan["partner_seed_id"]) if name}
    questions: Questions = read_questions(lake, plan["source"], source_shards(lake, plan["source"]), seeds)
    (task,) = tasks_of(DIALOGUE_PLANS.frame([plan]), questions, plan["scenario"], {})
    return task
