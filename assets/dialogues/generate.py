"""Generating the partitions of a run: what `assets.framework.partition_run` does with one partition of dialogues."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.gate import gate
from assets.dialogues.inputs import PartitionInputs, is_current, read_inputs
from assets.dialogues.questions import PartnerQuestions
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.summary import dialogues_metadata
from assets.dialogues.task import DialogueTask
from assets.dialogues.turn_loop import Dialogue, TurnLoop
from assets.framework.partition_run import PartitionWaits, RunProgress, Written, gather_results
from assets.framework.partitions import partition_columns
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.usage_metadata import partition_usage
from resources.chat.calls import AwaitingBatch, BudgetSpent, EndpointUnusable, Usage
from resources.chat.engine import ChatEngine
from resources.chat.service import ChatService
from resources.chat.throughput import Throughput
from resources.lake.store import StoreError
from resources.lake.tables import Lake

Row = Mapping[str, Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GenerationRules:
    """When an utterance is asked for again, and when a partition fails."""

    regenerations: int  # how often a refused utterance is asked for again
    set_aside_limit: float  # a partition fails when a greater share of its dialogues is set aside (0..1)
    set_aside_minimum: int  # fewer refused dialogues than this never fail a partition


@dataclass(slots=True)
class DialogueGeneration:
    """Implements `PartitionWork` for `scenario_dialogues`. A unit of work is one dialogue."""

    lake: Lake
    service: ChatService
    scenarios: Scenarios
    rules: GenerationRules
    retracted: frozenset[str]
    keys: Sequence[str]  # every partition of the run
    progress: RunProgress
    run_id: str | None = None  # whose budget is drawn on
    set_aside: int = 0  # dialogues of this run
    throughput: Throughput = field(default_factory=lambda: Throughput(Usage()))
    chat: ChatEngine = field(init=False)
    partners: PartnerQuestions = field(init=False)

    def __post_init__(self) -> None:
        self.partners = PartnerQuestions(self.lake, DIALOGUE_PLANS, self.keys, self.scenarios, self.is_current)

    def is_current(self, key: str) -> bool:
        """See `assets.dialogues.inputs.is_current`."""
        return is_current(self.lake, key, self.scenarios, self.service.profile)

    def describe(self, key: str) -> Mapping[str, Any]:
        """The metadata of a partition that was there before."""
        keys = partition_columns(key)
        return dialogues_metadata(self.lake, keys, self.lake.read(DIALOGUES, [keys]).to_dicts(), None)

    def read(self, key: str) -> PartitionInputs:
        """See `assets.dialogues.inputs.read_inputs`."""
        return read_inputs(self.lake, key, self.scenarios, self.service.profile, self.retracted, self.partners)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """A chat engine, and slots for as many dialogues as keep it busy."""
        names = {partition_columns(key)["scenario"] for key in self.keys}
        roles = [role for name, scenario in self.scenarios.items() if name in names for role in scenario.roles]
        async with self.service.engine(roles, self.run_id, batches=True) as self.chat:
            self.throughput = Throughput(self.chat.total)
            self.progress.words, self.progress.calls = self.throughput.describe, self.throughput.answered
            yield asyncio.Semaphore(max(1, self.chat.target_concurrency))

    async def run(self, key: str, inputs: PartitionInputs, slots: asyncio.Semaphore) -> list[Row]:
        """The partition's rows in order of seed_id: those that are kept, and a new one for every other task.

        Raises:
            PartitionWaits: some dialogues wait for a batch.
        """
        turn_loop = TurnLoop(self.chat, self.scenarios, self.service.profile, self.rules.regenerations)
        waiting = [task for task in inputs.tasks if task.dialogue_id not in inputs.kept]
        set_aside = 0
        calls = sum(self.scenarios[task.scenario].calls(task.repetitions).total() for task in waiting)
        with self.progress.partition(key, len(waiting), calls) as one_more:

            async def generate(task: DialogueTask) -> Row | None:
                nonlocal set_aside
                try:
                    async with slots:
                        row = (await generate_dialogue(task, turn_loop, scope_of(key))).row()
                except AwaitingBatch:
                    return None
                if row["status"] == "set_aside":
                    set_aside += 1
                    self.set_aside += 1
                one_more(f"{set_aside} set aside" if set_aside else "")
                return row

            found = await gather_results(generate(task) for task in waiting)
        made = [row for row in found if row is not None]
        if len(made) < len(found):
            raise PartitionWaits(await self.chat.submit(scope_of(key)))
        rows = {**inputs.kept, **{row["dialogue_id"]: row for row in made}}
        return [rows[task.dialogue_id] for task in inputs.tasks]

    def write(self, key: str, inputs: PartitionInputs, made: list[Row]) -> Written:
        """Write the partition with its gate and with what made it."""
        usage = self.chat.take_usage(scope_of(key))
        passed, reason = gate(made, self.rules.set_aside_limit, self.rules.set_aside_minimum)
        scenario = self.scenarios[inputs.keys["scenario"]]
        facts = {
            "profile": self.service.profile.name,
            "prompts": scenario.prompts.versions(scenario.prompt_names),
            "models": {role: self.service.profile.roles[role].model for role in scenario.roles},
            "made_by": inputs.made_by,
            "usage": partition_usage(self.lake, DIALOGUES, inputs.keys, usage, inputs.kept_share),
        }
        frame = DIALOGUES.frame(made)
        self.lake.write(DIALOGUES, inputs.keys, frame, fingerprint=inputs.fingerprint, gate=passed, facts=facts)
        return Written(dialogues_metadata(self.lake, inputs.keys, made, usage, passed, reason), reason)


async def generate_dialogue(task: DialogueTask, turn_loop: TurnLoop, scope: str) -> Dialogue:
    """Run the turns of one task. A bug that one task meets sets that dialogue aside, and the run goes on."""
    try:
        return await turn_loop.run(task, scope)
    except (AwaitingBatch, BudgetSpent, EndpointUnusable, StoreError):
        raise
    except Exception as error:
        logger.exception("dialogue %s of %s was set aside because of a fault", task.dialogue_id, scope)
        dialogue = Dialogue(task, turn_loop.scenarios[task.scenario])
        dialogue.set_aside("fault", f"{type(error).__name__}: {error}")
        return dialogue


def scope_of(key: str) -> str:
    """A partition's name in the journal and the usage."""
    return f"{DIALOGUES.name}/{key}"
