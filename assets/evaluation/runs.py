"""What an evaluation consists of: the model under test, its profile, the fingerprint, the scores and their gate."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.checkpoints.checkpoint import ADAPTER, CHECKPOINTS, MODEL, Checkpoint
from assets.evaluation.configuration import (
    BENCHMARK_JUDGE_ROLE,
    REVIEW_ROLE,
    TESTED_ROLE,
    Benchmark,
    BenchmarkPlugin,
    Benchmarks,
    CodeBenchmark,
    JudgedBenchmark,
    LmEvalBenchmark,
)
from assets.evaluation.lm_eval import read_task
from assets.evaluation.prompting import PROMPTS, prompts_version
from assets.evaluation.questions import QuestionSet, read_plugin_questions, read_questions
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.evaluation.scores import score_answers
from assets.training_programs.recipe import TEMPLATES, Training
from resources.chat.calls import Usage
from resources.chat.profile import Profile
from resources.chat.role_model import ModelPrice, RoleModel
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.records import Gate
from resources.lake.store import S3Options
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving
from resources.model_servers.tuned.serving import ModelUnderTest, ServedModel, describe_serving
from resources.sandbox.sandbox import require_sandbox

FORMAT = 4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What checkpoints are evaluated with."""

    lake: Lake
    chat: ChatService  # who judges and reviews
    serving: Serving
    benchmarks: Benchmarks
    training: Training
    run: str | None = None  # whose budget it draws on


@dataclass(frozen=True, slots=True)
class EvaluatedPartition:
    """A partition of answers and scores as the lake holds it now."""

    keys: Mapping[str, str]
    answers: pl.DataFrame
    scores: pl.DataFrame
    gate: Gate
    usage: Mapping[str, Usage] | None  # by benchmark; None: it was there already, and nothing was asked
    unparsed: list[dict[str, object]]


def read_all_questions(evaluation: Evaluation) -> list[QuestionSet]:
    """The questions of every benchmark, before anything is spent.

    Raises:
        ConfigurationError: a benchmark's rows cannot be used, or the profile lacks a role.
        NoSandbox: there is a benchmark of code, and no sandbox works here.
    """
    benchmarks, s3 = evaluation.benchmarks.benchmarks, evaluation.lake.s3
    evaluation.chat.profile.check_roles(evaluation.benchmarks.roles_needed)
    if any(isinstance(one, CodeBenchmark) for one in benchmarks):
        require_sandbox()
    return [_read(benchmark, s3) for benchmark in benchmarks]


def _read(benchmark: Benchmark | BenchmarkPlugin, s3: S3Options) -> QuestionSet:
    match benchmark:
        case BenchmarkPlugin():
            return read_plugin_questions(benchmark)
        case LmEvalBenchmark():
            return read_task(benchmark, s3)
    return read_questions(benchmark, s3)


def model_under_test(lake: Lake, training: Training, base: str, variant: str) -> ModelUnderTest:
    """The newest checkpoint of a base model and variant, as what is to be served.

    Raises:
        NotPublished: there is none.
    """
    checkpoint = CHECKPOINTS.latest(lake, base, variant)
    configured = training.base(base)
    return ModelUnderTest(
        base=base,
        base_model=configured.model,
        variant=variant,
        checkpoint=checkpoint.id,
        adapter=f"{checkpoint.folder}/{ADAPTER}" if checkpoint.weights == ADAPTER else None,
        template=trained_template(lake, checkpoint, configured.template),
        weights=f"{checkpoint.folder}/{MODEL}" if checkpoint.weights == MODEL else None,
        revision=configured.revision,
    )


def trained_template(lake: Lake, checkpoint: Checkpoint, name: str) -> str:
    """The chat template that a checkpoint was trained with; for the untuned model the one it would be."""
    try:
        return lake.store.get(f"{checkpoint.folder}/tokenizer/chat_template.jinja").decode()
    except FileNotFoundError:
        return (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


def benchmark_profile(
    evaluation: Evaluation, tested: ModelUnderTest, served: ServedModel, benchmark: Benchmark | BenchmarkPlugin
) -> Profile:
    """The deployment's profile and, sampled as the benchmark says, the model under test and the review.

    Its endpoint is named after its checkpoint, so that the journal of an earlier checkpoint gives no answer for it.
    """
    profile, exchange = evaluation.chat.profile, evaluation.benchmarks.exchange
    name = f"tested-{tested.checkpoint}"
    tested_model = RoleModel(
        endpoint=name,
        model=served.model,
        temperature=benchmark.temperature,
        max_tokens=benchmark.max_tokens,
        seed=benchmark.seed,
    )
    roles = {**profile.roles, TESTED_ROLE: tested_model}
    review_model = roles[exchange.reviewer].limited_to(exchange.max_tokens)
    price: Mapping[str, ModelPrice] = {served.model: served.price} if served.price else {}
    return profile.model_copy(
        update={
            "endpoints": {**profile.endpoints, name: served.endpoint},
            "prices": {**profile.prices, **price},
            "roles": {**roles, REVIEW_ROLE: review_model},
        }
    )


def roles_of(benchmarks: Benchmarks, benchmark: Benchmark | BenchmarkPlugin) -> list[str]:
    """The roles that are used: the model under test, the review and the judge."""
    return [
        TESTED_ROLE,
        *([REVIEW_ROLE] if benchmark.name in benchmarks.exchange.benchmarks else []),
        *([BENCHMARK_JUDGE_ROLE] if isinstance(benchmark, JudgedBenchmark) else []),
    ]


def fingerprint_of(evaluation: Evaluation, questions: list[QuestionSet], tested: ModelUnderTest) -> str:
    """Everything that makes a partition's rows: checkpoint, questions, prompts, sampling, judge, limits."""
    benchmarks, profile = evaluation.benchmarks, evaluation.chat.profile
    asked = [
        [
            found.benchmark.model_dump(mode="json", exclude={"rows", "shot_rows", "title", "paper_column", "lm_eval"}),
            found.identity,
        ]
        for found in questions
    ]
    judge, reviewer = (
        profile.roles[role].model_dump(mode="json", exclude={"endpoint", "mode"})
        if role in benchmarks.roles_needed
        else None
        for role in (BENCHMARK_JUDGE_ROLE, benchmarks.exchange.reviewer)
    )
    settings = benchmarks.model_dump(mode="json", include={"exchange", "judging", "sandbox", "maximum_failed"})
    settings["sandbox"].pop("at_once")
    return stable_hash(
        BENCHMARK_ANSWERS.name,
        FORMAT,
        tested.checkpoint,
        describe_serving(evaluation.serving, tested),
        tested.template,
        asked,
        settings,
        prompts_version(*PROMPTS),
        judge,
        reviewer,
    )


def scores_of(answers: pl.DataFrame, questions: list[QuestionSet], checkpoint: str) -> pl.DataFrame:
    """`BENCHMARK_SCORES` of a partition's answers."""
    by_name = {found.benchmark.name: found for found in questions}

    def described(found: QuestionSet) -> dict[str, object]:
        benchmark = found.benchmark
        return {
            "unparsed": len(found.unparsed),
            **{name: getattr(benchmark, name) for name in ("temperature", "shots", "max_tokens", "paper_column")},
            "checkpoint": checkpoint,
            "title": benchmark.display_title,
        }

    return BENCHMARK_SCORES.frame(score | described(by_name[score["benchmark"]]) for score in score_answers(answers))


def gate_of(scores: pl.DataFrame, benchmarks: Benchmarks) -> Gate:
    """Whether at most the configured share of answers failed, in every benchmark."""
    shares = (scores["failed"] / scores["answers"]).to_list()
    return "passed" if all(share <= benchmarks.maximum_failed for share in shares) else "failed"
