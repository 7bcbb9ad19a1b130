"""Evaluating the checkpoints of a run: what `assets.framework.partition_run` does with one base model and variant."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from assets.evaluation.answering import BenchmarkRun, answer_benchmark
from assets.evaluation.questions import QuestionSet
from assets.evaluation.runs import (
    EvaluatedPartition,
    Evaluation,
    benchmark_profile,
    fingerprint_of,
    gate_of,
    model_under_test,
    roles_of,
    scores_of,
)
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.evaluation.summary import GATE_FAILED, scores_metadata
from assets.framework.currency import why_not_current
from assets.framework.partition_run import Written
from assets.framework.usage_metadata import usage_facts
from resources.chat.calls import Usage
from resources.chat.throughput import Throughput
from resources.model_servers.tuned.serving import ModelUnderTest, serve_model
from resources.progress import Update

KEPT_UNPARSED = 200  # rows of a benchmark's file that are named in the footer


@dataclass(slots=True)
class CheckpointEvaluation:
    """Implements `PartitionWork` for `benchmark_scores`: checkpoints are evaluated one after the other.

    An evaluation that was interrupted continues where it stopped: the journal holds what was answered.
    """

    evaluation: Evaluation
    questions: list[QuestionSet]
    show_progress: Callable[[str], AbstractContextManager[Update]]  # by title

    def is_current(self, key: str) -> bool:
        """Whether answers and scores are those of the newest checkpoint, as it would be evaluated now."""
        lake, keys = self.evaluation.lake, _keys(key)
        fingerprint = fingerprint_of(self.evaluation, self.questions, self.read(key))
        tables = (BENCHMARK_ANSWERS, BENCHMARK_SCORES)
        return not any(why_not_current(lake.record(table, keys), fingerprint) for table in tables)

    def describe(self, key: str) -> Mapping[str, Any]:
        """The metadata of a partition that was there before."""
        return scores_metadata(self.written(key), self.evaluation.lake)

    def written(self, key: str) -> EvaluatedPartition:
        """A current partition, from the lake."""
        lake, keys = self.evaluation.lake, _keys(key)
        answers, scores = (lake.read(table, [keys]) for table in (BENCHMARK_ANSWERS, BENCHMARK_SCORES))
        return EvaluatedPartition(keys, answers, scores, "passed", None, _unparsed(self.questions))

    def read(self, key: str) -> ModelUnderTest:
        """The newest checkpoint. Raises NotPublished where there is none."""
        return model_under_test(self.evaluation.lake, self.evaluation.training, **_keys(key))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """One slot: only one model is served at a time."""
        yield asyncio.Semaphore(1)

    async def run(self, key: str, inputs: ModelUnderTest, slots: asyncio.Semaphore) -> EvaluatedPartition:
        """Ask the checkpoint all benchmarks.

        Raises:
            EndpointUnusable, BudgetSpent: the run has to stop; the journal holds what was answered.
        """
        rows: list[dict[str, object]] = []
        usage: dict[str, Usage] = {}
        evaluation, store = self.evaluation, self.evaluation.lake.store
        async with slots:
            with (
                self.show_progress(f"evaluating {key}") as update,
                serve_model(evaluation.serving, store, inputs) as served,
            ):
                for found in self.questions:
                    name = found.benchmark.name
                    profile = benchmark_profile(evaluation, inputs, served, found.benchmark)
                    scope = f"{BENCHMARK_ANSWERS.name}/{key}/{found.benchmark.asked_as}"
                    roles = roles_of(evaluation.benchmarks, found.benchmark)
                    async with evaluation.chat.with_profile(profile).engine(roles, run=evaluation.run) as engine:
                        benchmark_run = BenchmarkRun(
                            found,
                            evaluation.benchmarks,
                            inputs.base,
                            inputs.variant,
                            served.model,
                            engine,
                            scope,
                            _shows_progress(name, Throughput(engine.total), update),
                        )
                        rows += await answer_benchmark(benchmark_run)
                        usage[name] = engine.take_usage(scope)
        answers = BENCHMARK_ANSWERS.frame(rows)
        scores = scores_of(answers, self.questions, inputs.checkpoint)
        gate = gate_of(scores, evaluation.benchmarks)
        return EvaluatedPartition(_keys(key), answers, scores, gate, usage, _unparsed(self.questions))

    def write(self, key: str, inputs: ModelUnderTest, made: EvaluatedPartition) -> Written:
        """Write answers and scores with their gate and with what made them."""
        evaluation = self.evaluation
        facts = {
            "benchmarks": evaluation.benchmarks.name,
            "profile": evaluation.chat.profile.name,
            "checkpoint": inputs.checkpoint,
            "usage": {name: usage_facts(one) for name, one in (made.usage or {}).items()},
            "unparsed": made.unparsed[:KEPT_UNPARSED],
            "lm_eval": {one.benchmark.name: one.task.facts for one in self.questions if one.task is not None},
        }
        fingerprint = fingerprint_of(evaluation, self.questions, inputs)
        for table, frame in ((BENCHMARK_ANSWERS, made.answers), (BENCHMARK_SCORES, made.scores)):
            evaluation.lake.write(table, made.keys, frame, fingerprint=fingerprint, gate=made.gate, facts=facts)
        return Written(scores_metadata(made, evaluation.lake), GATE_FAILED if made.gate == "failed" else "")


def _keys(key: str) -> dict[str, str]:
    base, _, variant = key.partition("|")
    return {"base": base, "variant": variant}


def _unparsed(questions: list[QuestionSet]) -> list[dict[str, object]]:
    return [asdict(one) for found in questions for one in found.unparsed]


def _shows_progress(name: str, throughput: Throughput, update: Update) -> Callable[[int, int], None]:
    """Shows how many answers to a benchmark are there, of how many."""
    return lambda done, total: update(done, total, lambda: f"{name}, {throughput.describe()}")
