"""Calibrating a judge: what `assets.framework.partition_run` does with the items of one judge."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from assets.framework.currency import why_not_current
from assets.framework.partition_run import (
    Outcomes,
    PartitionError,
    RunProgress,
    Written,
    gather_results,
    run_partitions,
)
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.usage_metadata import partition_usage
from assets.judge_calibration.items import Item, make_items
from assets.judge_calibration.rates import Rates, rates_of
from assets.judge_calibration.sampling import content_hash, current_partitions, evenly, read_sample, read_scores
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.judge_calibration.summary import RULES_ALONE, calibration_metadata
from assets.quality.configuration import JudgeRules, QualityRules
from assets.quality.fingerprint import judging_fingerprint
from assets.quality.judge import judge
from assets.quality.partition_status import Expected, PartitionStatus, expected_fingerprints
from assets.quality.rules import REASONS
from assets.quality.score_dialogues import Screened, screen_dialogues
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile
from resources.chat.service import ChatService, run_async
from resources.chat.throughput import Throughput
from resources.identity import stable_hash
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

VERSION = 1  # raise it when faults are planted in another way
STRATA = ("scenario", "domain")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The written calibration of a judge."""

    record: PartitionRecord
    items: pl.DataFrame  # rows of `JUDGE_CALIBRATION`

    @property
    def rates(self) -> Rates:
        """Of all items."""
        return rates_of(self.items)


def judge_identity(profile: Profile, prompts: PromptBook, judging: JudgeRules) -> str:
    """16 hex digits of what a judge is: models, sampling, prompt and rubric."""
    return judging_fingerprint("", profile, prompts, judging)[:16]


def find_calibration(lake: Lake, judge: str) -> Calibration | None:
    """The newest calibration of a judge, by its `judge_identity`; None if it was never calibrated."""
    record = lake.record(JUDGE_CALIBRATION, {"judge": judge})
    return Calibration(record, lake.read(JUDGE_CALIBRATION, [record.keys])) if record else None


def calibration_fingerprint(partitions: Sequence[PartitionStatus], judge: str, rules: QualityRules) -> str:
    """Over a judge, the dialogues of all current partitions, and how many of them are sampled."""
    content = content_hash(partitions)
    return stable_hash(JUDGE_CALIBRATION.name, VERSION, judge, content, rules.calibration.dialogues)


def calibrate(work: "CalibrationWork") -> Mapping[str, Any]:
    """Have the judge judge the items, and write them; a current calibration stays. Without a judge nothing is done.

    Returns:
        The metadata for the UI.

    Raises:
        PartitionError: no dialogue is scored yet, or none was accepted, or its seed is missing.
        EndpointUnusable, BudgetSpent: the run has to stop. What was answered is in the journal.
    """
    if work.service.profile.judging == "rules_alone":
        return {"judge": RULES_ALONE}
    key = judge_identity(work.service.profile, work.prompts, work.rules.judge)
    outcomes = Outcomes([key])
    run_async(run_partitions(work, outcomes, address=work.lake.store.uri(JUDGE_CALIBRATION.name)))
    if failure := outcomes.failures.get(key):
        raise PartitionError(failure)
    return outcomes.written[key]


@dataclass(slots=True)
class CalibrationWork:
    """Implements `PartitionWork` for `judge_calibration`. A unit of work is the judging of one item."""

    lake: Lake
    service: ChatService
    scenarios: Scenarios
    prompts: PromptBook
    rules: QualityRules
    progress: RunProgress
    run_id: str | None = None  # whose budget is used
    chat: ChatEngine = field(init=False)

    @property
    def _expected(self) -> Expected:
        return expected_fingerprints(self.service.profile, self.scenarios, self.prompts, self.rules)

    def is_current(self, key: str) -> bool:
        """Whether this judge was calibrated on the present dialogues."""
        return why_not_current(self.lake.record(JUDGE_CALIBRATION, {"judge": key}), self._fingerprint(key)) is None

    def describe(self, key: str) -> Mapping[str, Any]:
        """The metadata of a calibration that was there before."""
        return calibration_metadata(self.lake, {"judge": key}, None)

    def read(self, key: str) -> Sequence[Item]:
        """The items, in the order in which the judge is asked."""
        columns = ["dialogue_id", "shard", *STRATA, "accepted"]
        scored = read_scores(self.lake, current_partitions(self.lake, self._expected), columns)
        accepted = scored.filter("accepted")
        if scored.height and accepted.is_empty():
            raise PartitionError(
                f"each of the {scored.height:,} scored dialogues was rejected, so there is none to plant faults into; "
                "see the rejection reasons with `master-dagster show --rejected`, then change models, prompts or rules"
            )
        sample = evenly(accepted, STRATA, self.rules.calibration.dialogues, JUDGE_CALIBRATION.name)
        if sample.is_empty():
            raise PartitionError(
                "there is no scored dialogue in a current partition to plant faults into; materialise "
                "scenario_dialogues and scored_dialogues first"
            )
        return make_items(read_sample(self.lake, self.scenarios, sample))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """A chat engine for the judge, and slots for as many items as keep it busy."""
        async with self.service.engine(self.rules.judge.jury, self.run_id) as self.chat:
            throughput = Throughput(self.chat.total)
            self.progress.words = throughput.describe
            yield asyncio.Semaphore(max(1, self.chat.target_concurrency))

    async def run(self, key: str, inputs: Sequence[Item], slots: asyncio.Semaphore) -> pl.DataFrame:
        """Rows of `JUDGE_CALIBRATION`, by item_id."""
        with self.progress.partition(key, len(inputs)) as one_more:

            async def row(item: Item) -> dict[str, Any]:
                (screened,) = screen_dialogues([item.dialogue], self.rules, rules_alone=False)
                async with slots:
                    rejected, finding = await self._ask(screened, key)
                one_more()
                return {
                    "judge": key,
                    "item_id": item.id,
                    "dialogue_id": item.source,
                    "scenario": item.dialogue.scenario.name,
                    "domain": item.dialogue.domain,
                    "kind": item.kind,
                    "rejected": rejected,
                    "finding": finding,
                    "rejected_by_rules": bool(screened.failed),
                }

            return JUDGE_CALIBRATION.frame(await gather_results(map(row, inputs)))

    def write(self, key: str, inputs: Sequence[Item], made: pl.DataFrame) -> Written:
        """Write the items with the judge that was asked."""
        usage, keys = self.chat.take_usage(_scope(key)), {"judge": key}
        profile = self.service.profile
        facts = {
            "profile": profile.name,
            "judge_model": ", ".join(profile.roles[role].model for role in self.rules.judge.jury),
            "usage": partition_usage(self.lake, JUDGE_CALIBRATION, keys, usage, 0.0),
        }
        self.lake.write(JUDGE_CALIBRATION, keys, made, fingerprint=self._fingerprint(key), facts=facts)
        return Written(calibration_metadata(self.lake, keys, usage))

    async def _ask(self, item: Screened, key: str) -> tuple[bool | None, str | None]:
        """Whether the judge, asked as for scores, found a fault (None: no valid verdict), and what it said."""
        judges = self.rules.judge
        judgement = await judge(
            self.chat,
            self.prompts,
            item.dialogue,
            regenerations=judges.regenerations,
            scope=_scope(key),
            flags=[REASONS[code] for code in item.flags],
            jury=judges.jury,
            rule=judges.rule,
        )
        if judgement.verdict is None:
            return None, judgement.fault
        return not judgement.verdict.correct, f"{judgement.verdict.error_class}: {judgement.verdict.reason}"

    def _fingerprint(self, key: str) -> str:
        return calibration_fingerprint(current_partitions(self.lake, self._expected), key, self.rules)


def _scope(key: str) -> str:
    """The calibration's name in the journal and the usage."""
    return f"{JUDGE_CALIBRATION.name}/{key}"
