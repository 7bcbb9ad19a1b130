"""Scoring the partitions of a run: what `assets.framework.partition_run` does with one partition of scores."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from assets.dialogues.questions import PartnerQuestions
from assets.dialogues.schema import DIALOGUES
from assets.framework.currency import was_made_from_others, why_not_current
from assets.framework.partition_run import PartitionError, PartitionWaits, RunProgress, Written, gather_results
from assets.framework.partitions import partition_columns
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.usage_metadata import partition_usage
from assets.quality.configuration import QualityRules
from assets.quality.decisions import Decisions, load_decisions
from assets.quality.fingerprint import judging_fingerprint, scored_fingerprint
from assets.quality.gate import asked_about, gate_of
from assets.quality.inputs import read_dialogues
from assets.quality.judge import Judgement, JudgeVerdict
from assets.quality.prompts import JUDGE
from assets.quality.schema import SCORED
from assets.quality.score_dialogues import Judging, Screened, score_row, screen_dialogues, written_verdicts
from assets.quality.summary import GATE_FAILED, reasons_text, scores_metadata
from resources.chat.calls import AwaitingBatch
from resources.chat.engine import ChatEngine
from resources.chat.service import ChatService
from resources.chat.throughput import Throughput
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

FEW_ACCEPTED, LEAST_DECIDED = 0.1, 10  # a share, and the dialogues from which on it means something


@dataclass(frozen=True, slots=True)
class ScoringInputs:
    """One partition of dialogues that is to be scored."""

    record: PartitionRecord  # of the dialogues
    rows: Sequence[Mapping[str, Any]]  # of `scenario_dialogues`, ordered by dialogue_id
    screened: Sequence[Screened]  # the same dialogues
    verdicts: Mapping[str, JudgeVerdict]  # by dialogue_id: those of the present judge on these very dialogues
    kept_share: float  # of the dialogues that the judge was asked about before


@dataclass(slots=True)
class DialogueScoring:
    """Implements `PartitionWork` for `scored_dialogues`. A unit of work is the judging of one dialogue.

    The manual decisions are those at the start of the run, also where their file changes meanwhile.

    Raises:
        ConfigurationError: the manual decisions cannot be used.
    """

    lake: Lake
    service: ChatService
    scenarios: Scenarios
    prompts: PromptBook
    rules: QualityRules
    keys: Sequence[str]  # every partition of the run
    progress: RunProgress
    run_id: str | None = None  # whose budget is drawn on
    decisions: Decisions = field(init=False)
    rules_identity: str = field(init=False)
    chat: ChatEngine = field(init=False)
    accepted: int = 0  # dialogues of the run's partitions
    decided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of rejection, with the number of dialogues
    partners: PartnerQuestions = field(init=False)

    def __post_init__(self) -> None:
        self.partners = PartnerQuestions(self.lake, DIALOGUES, self.keys, self.scenarios, self.is_current)
        self.decisions = load_decisions(self.rules.decisions)
        self.rules_identity = self.rules.identity_with(self.decisions)

    @property
    def rules_alone(self) -> bool:
        """Whether no judge decides."""
        return self.service.profile.judging == "rules_alone"

    def is_current(self, key: str) -> bool:
        """Whether the partition's dialogues have scores by the present judge and rules, and the gate passed."""
        dialogues = self.lake.record(DIALOGUES, partition_columns(key))
        if dialogues is None:
            raise PartitionError("it has no dialogues yet; materialise scenario_dialogues for it first")
        scored = self.lake.record(SCORED, dialogues.keys)
        return why_not_current(scored, self._fingerprint(dialogues), dialogues) is None

    def describe(self, key: str) -> Mapping[str, Any]:
        """The metadata of a partition that was there before."""
        keys = partition_columns(key)
        scores = self.lake.read(SCORED, [keys])
        self._count(scores)
        return scores_metadata(self.lake, keys, scores, None, rules_alone=self.rules_alone)

    def read(self, key: str) -> ScoringInputs:
        """The partition's dialogues, their signals and failed rules, and the verdicts that need no new call."""
        keys = partition_columns(key)
        record = self.lake.record(DIALOGUES, keys)
        assert record is not None  # noqa: S101 - `is_current` has looked
        rows, dialogues = read_dialogues(self.lake, keys, self.partners)
        screened = screen_dialogues(dialogues, self.rules, rules_alone=self.rules_alone)
        return ScoringInputs(record, rows, screened, *self._verdicts(record, screened))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """A chat engine for the judge, and slots for as many dialogues as keep it busy."""
        async with self.service.engine(
            [] if self.rules_alone else self.rules.judge.jury, self.run_id, batches=True
        ) as self.chat:
            throughput = Throughput(self.chat.total)
            self.progress.words = lambda: self._accepted_so_far() + throughput.describe()
            yield asyncio.Semaphore(max(1, self.chat.target_concurrency))

    async def run(self, key: str, inputs: ScoringInputs, slots: asyncio.Semaphore) -> pl.DataFrame:
        """The partition's scores, one row per dialogue. The judge reads only the dialogues that may be accepted.

        Raises:
            PartitionWaits: some verdicts wait for a batch.
        """
        judging = Judging(self.chat, self.prompts, self.rules.judge, self.rules_alone)
        judge_model = ", ".join(self.service.profile.roles[role].model for role in self.rules.judge.jury)
        with self.progress.partition(key, len(inputs.screened)) as one_more:

            async def judgement_of(one: Screened) -> Judgement | None:
                known = inputs.verdicts.get(one.dialogue.dialogue_id)
                try:
                    judgement = Judgement("judged", known) if known else await judging.judge(one, _scope(key), slots)
                except AwaitingBatch:
                    return None
                one_more()
                return judgement

            found = await gather_results(map(judgement_of, inputs.screened))
        judgements = [judgement for judgement in found if judgement is not None]
        if len(judgements) < len(found):
            raise PartitionWaits(await self.chat.submit(_scope(key)))
        made = zip(inputs.rows, inputs.screened, judgements, strict=True)
        scores = SCORED.frame(
            [score_row(row, one, judgement, judge_model, self.rules, self.decisions) for row, one, judgement in made]
        )
        self._count(scores)
        return scores

    def write(self, key: str, inputs: ScoringInputs, made: pl.DataFrame) -> Written:
        """Write the partition with its gate and with what made it."""
        usage, gate, keys = self.chat.take_usage(_scope(key)), gate_of(made, self.rules), inputs.record.keys
        facts = {
            "profile": self.service.profile.name,
            "rules": self.rules.name,
            "limits": self.rules.limits.model_dump(mode="json"),
            "judging": self._judging_fingerprint(inputs.record),
            "judge_prompt": self.prompts.version(JUDGE),
            "usage": partition_usage(self.lake, SCORED, keys, usage, inputs.kept_share),
        }
        fingerprint = self._fingerprint(inputs.record)
        self.lake.write(SCORED, keys, made, fingerprint=fingerprint, gate=gate, facts=facts, made_from=inputs.record)
        metadata = scores_metadata(self.lake, keys, made, usage, gate, rules_alone=self.rules_alone)
        return Written(metadata, GATE_FAILED if gate == "failed" else "")

    def _fingerprint(self, dialogues: PartitionRecord) -> str:
        return scored_fingerprint(
            dialogues.fingerprint, self.service.profile, self.prompts, self.rules.judge, self.rules_identity
        )

    def _judging_fingerprint(self, dialogues: PartitionRecord) -> str:
        return judging_fingerprint(dialogues.fingerprint, self.service.profile, self.prompts, self.rules.judge)

    def _verdicts(
        self, dialogues: PartitionRecord, screened: Sequence[Screened]
    ) -> tuple[dict[str, JudgeVerdict], float]:
        """Written verdicts of the same judge on the same dialogues, and their share of those that it was asked for.

        Changed decisions, and changed rules that find the same flags, need no new call.
        """
        scored = self.lake.record(SCORED, dialogues.keys)
        if scored is None or was_made_from_others(scored, dialogues):
            return {}, 0.0
        if self.lake.facts(SCORED, dialogues.keys).get("judging") != self._judging_fingerprint(dialogues):
            return {}, 0.0
        scores = self.lake.read(SCORED, [dialogues.keys])
        verdicts = written_verdicts(scores, screened)
        return verdicts, len(verdicts) / max(1, asked_about(scores).height)

    def _count(self, scores: pl.DataFrame) -> None:
        self.accepted += int(scores["accepted"].sum())
        self.decided += scores.height
        self.reasons.update(scores["rejection_reasons"].explode().drop_nulls())

    def summary(self) -> str:
        """How many dialogues are accepted and why the others are not, in one sentence."""
        accepted = f"{self.accepted} of {self.decided} dialogues are accepted"
        return f"{accepted}; rejected: {reasons_text(self.reasons)}" if self.reasons else accepted

    @property
    def nearly_all_rejected(self) -> bool:
        """Whether so few dialogues are accepted that something is likely to be wrong."""
        return self.decided >= LEAST_DECIDED and self.accepted < FEW_ACCEPTED * self.decided

    def _accepted_so_far(self) -> str:
        return f"{self.accepted} of {self.decided} accepted so far, " if self.decided else ""


def _scope(key: str) -> str:
    """A partition's name in the journal and the usage."""
    return f"{SCORED.name}/{key}"
