"""Asking a model the questions of a benchmark: one row per answer, graded as the benchmark's kind says."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import (
    BENCHMARK_JUDGE_ROLE,
    REVIEW_ROLE,
    TESTED_ROLE,
    BenchmarkPlugin,
    Benchmarks,
    CodeBenchmark,
    JudgedBenchmark,
    MultipleChoiceBenchmark,
)
from assets.evaluation.grading import (
    Grade,
    extract_code,
    grade_by_plugin,
    grade_by_rule,
    grade_choice,
    grade_code,
    read_judge_mark,
    run_tests,
)
from assets.evaluation.lm_eval import NOTHING, grade_task
from assets.evaluation.prompting import as_text, filled, prompt_hash, question_messages
from assets.evaluation.questions import QuestionSet
from assets.framework.partition_run import gather_results
from resources.chat.calls import Call, CallFailed, Chat, Completion, Message
from resources.chat.log_probabilities import LogProbability

AnswerRow = dict[str, Any]


@dataclass
class BenchmarkRun:
    """One benchmark, one model, and what is needed to ask it."""

    questions: QuestionSet
    configuration: Benchmarks
    base: str
    variant: str
    model: str  # as its endpoint knows it
    chat: Chat
    scope: str  # of the journal
    on_answer: Callable[[int, int], None] = lambda done, total: None  # called after each answer
    answered: int = field(init=False, default=0)
    sandboxes: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.sandboxes = asyncio.Semaphore(self.configuration.sandbox.at_once)

    @property
    def stages(self) -> tuple[str, ...]:
        """Whether each question is asked once, or with a review too."""
        with_exchange = self.questions.benchmark.name in self.configuration.exchange.benchmarks
        return ("plain", "exchange") if with_exchange else ("plain",)

    @property
    def total(self) -> int:
        """How many rows it makes."""
        return len(self.questions.questions) * self.questions.benchmark.samples * len(self.stages)

    def count_answer(self) -> None:
        """One more answer is there."""
        self.answered += 1
        self.on_answer(self.answered, self.total)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One answer that is asked for."""

    question: BenchmarkQuestion
    sample: int
    stage: str
    messages: tuple[Message, ...]


async def answer_benchmark(run: BenchmarkRun) -> list[AnswerRow]:
    """Every answer to every question, as rows of `BENCHMARK_ANSWERS`, in the order of the questions.

    A question that cannot be answered or graded gives a failed row, and the others go on.

    Raises:
        EndpointUnusable, BudgetSpent, NoSandbox: the run has to stop; the journal holds what was answered.
        ConfigurationError, LmEvalStopped: a task of lm-eval cannot grade.
    """
    questions = run.questions
    if questions.task is not None:
        return await _answer_task(run)
    asked = [(question, sample) for question in questions.questions for sample in range(questions.benchmark.samples)]
    answered: list[list[AnswerRow]] = [[] for _ in asked]
    waiting = enumerate(asked)  # shared: each worker takes the next one

    async def work() -> None:
        for index, (question, sample) in waiting:
            answered[index] = await _ask(run, question, sample)

    await gather_results(work() for _ in range(min(len(asked), run.chat.target_concurrency)))
    return [row for one in answered for row in one]


async def _answer_task(run: BenchmarkRun) -> list[AnswerRow]:
    """The rows of a task of lm-eval, which asks through this project's engine and grades."""
    if run.questions.task is not None and run.questions.task.pairs:
        return await _score_task(run, run.questions.task.pairs)
    questions = {as_text(question.messages): question for question in run.questions.questions}
    answers: dict[str, Completion | CallFailed] = {}

    async def answer(messages: tuple[Message, ...], _: object) -> str:
        prompt = as_text(messages)
        try:
            answers[prompt] = completion = await _call(run, TESTED_ROLE, messages, questions[prompt], "answer", 0)
        except CallFailed as failure:
            answers[prompt] = failure
            return ""
        finally:
            run.count_answer()
        return completion.text

    grades = await grade_task(run.questions, answer)
    rows = []
    for question in run.questions.questions:
        asked = _Asked(question, 0, "plain", question.messages)
        given = answers.get(as_text(question.messages), CallFailed("not_asked", "lm-eval did not ask this question"))
        if isinstance(given, CallFailed):
            rows.append(_failed(run, asked, "not_answered", given))
        else:
            rows.append(_row(run, asked, given, grades[question.item_id]))
    return rows


async def _score_task(run: BenchmarkRun, pairs: Mapping[str, Sequence[tuple[str, str]]]) -> list[AnswerRow]:
    """The rows of a task of lm-eval that compares the log-probabilities of continuations.

    Args:
        run: the benchmark and what is needed to ask it.
        pairs: the contexts and continuations of each question, by item_id.
    """
    owners = {pair: one for one in reversed(run.questions.questions) for pair in pairs[one.item_id]}
    scored: dict[tuple[str, str], Completion | CallFailed] = {}

    async def score(messages: tuple[Message, ...], request: Mapping[str, Any]) -> str:
        pair = (messages[0].content, request["continuation"])
        call = Call(TESTED_ROLE, messages, owners[pair].item_id, "log-probability", continuation=pair[1])
        try:
            scored[pair] = completion = await run.chat.complete(call, scope=run.scope)
        except CallFailed as failure:
            scored[pair] = failure
            return NOTHING.as_text()
        return completion.text

    grades = await grade_task(run.questions, score)
    rows = []
    for question in run.questions.questions:
        run.count_answer()
        asked = _Asked(question, 0, "plain", question.messages)
        found = [(pair[1], scored[pair]) for pair in pairs[question.item_id]]
        failed = next((one for _, one in found if isinstance(one, CallFailed)), None)
        if failed is not None:
            rows.append(_failed(run, asked, "not_answered", failed))
        else:
            answers = [(text, one) for text, one in found if isinstance(one, Completion)]
            rows.append(_row(run, asked, _compared(answers), grades[question.item_id]))
    return rows


def _compared(answers: Sequence[tuple[str, Completion]]) -> Completion:
    """Scored continuations as one answer: a line for each, with its log-probability."""
    lines = [
        f"{LogProbability.read(one.text).total:.4f} {json.dumps(text, ensure_ascii=False)}" for text, one in answers
    ]
    read = sum(one.prompt_tokens for _, one in answers)
    return replace(answers[0][1], text="\n".join(lines), prompt_tokens=read)


async def _ask(run: BenchmarkRun, question: BenchmarkQuestion, sample: int) -> list[AnswerRow]:
    """The plain answer, and where the benchmark is asked so, the one after a review."""
    plain = _Asked(question, sample, "plain", question_messages(question, run.questions.shots))
    try:
        answer = await _call(run, TESTED_ROLE, plain.messages, question, "answer", sample)
    except CallFailed as failure:
        rows = [_failed(run, replace(plain, stage=stage), "not_answered", failure) for stage in run.stages]
        for _ in rows:
            run.count_answer()
        return rows
    rows = [_row(run, plain, answer, await _grade(run, plain, answer))]
    run.count_answer()
    if "exchange" in run.stages:
        rows.append(await _ask_after_review(run, plain, answer))
        run.count_answer()
    return rows


async def _ask_after_review(run: BenchmarkRun, plain: _Asked, answer: Completion) -> AnswerRow:
    """The exchange: a review of the plain answer, and the answer after it (METHOD: what the paper measured)."""
    question, sample = plain.question, plain.sample
    again = replace(plain, stage="exchange")
    review_prompt = (Message("user", filled("review", question=plain.messages[-1].content, answer=answer.text)),)
    try:
        review = await _call(run, REVIEW_ROLE, review_prompt, question, "review", sample)
    except CallFailed as failure:
        return _failed(run, again, "no_review", failure)
    correction = Message("user", filled("correction", review=review.text))
    again = replace(again, messages=(*plain.messages, Message("assistant", answer.text), correction))
    try:
        corrected = await _call(run, TESTED_ROLE, again.messages, question, "corrected", sample)
    except CallFailed as failure:
        return _failed(run, again, "not_answered", failure)
    grade = await _grade(run, again, corrected)
    read = corrected.prompt_tokens + review.prompt_tokens
    return _row(run, again, replace(corrected, prompt_tokens=read), grade)


async def _call(
    run: BenchmarkRun,
    role: str,
    messages: tuple[Message, ...],
    question: BenchmarkQuestion,
    turn: str,
    regeneration: int,
) -> Completion:
    call = Call(role, messages, sample=question.item_id, turn=turn, regeneration=regeneration)
    return await run.chat.complete(call, scope=run.scope)


# -- grading -----------------------------------------------------------------------------------------------------------


async def _grade(run: BenchmarkRun, asked: _Asked, answer: Completion) -> Grade:
    match run.questions.benchmark:
        case MultipleChoiceBenchmark():
            return grade_choice(answer.text, asked.question)
        case CodeBenchmark():
            return await _run_tests(run, asked.question, answer.text)
        case JudgedBenchmark(domain=domain):
            by_rule = await asyncio.to_thread(grade_by_rule, answer.text, asked.question, domain)
            return by_rule or await _judge(run, asked, answer.text)
        case BenchmarkPlugin(grade=grade):
            return await asyncio.to_thread(grade_by_plugin, answer.text, asked.question, grade)
        case _:
            return Grade("failed", "not_scored")  # lm-eval grades its own, see `_answer_task`


async def _run_tests(run: BenchmarkRun, question: BenchmarkQuestion, output: str) -> Grade:
    code = await asyncio.to_thread(extract_code, output, question)  # up to half a second where there is no fence
    if code is None:
        return Grade("wrong", "no_code", decided_by="tests")
    async with run.sandboxes:
        result = await asyncio.to_thread(run_tests, code, question, run.configuration.sandbox)
    return grade_code(code, result)


async def _judge(run: BenchmarkRun, asked: _Asked, output: str) -> Grade:
    """The judge's verdict where no rule decides; after an invalid one it is asked again a bounded number of times."""
    question = asked.question
    prompt = filled("judge", question=question.text, reference=question.reference, answer=output)
    turn = f"judge-{asked.stage}-{asked.sample}"
    said = ""
    tries = run.configuration.judging.regenerations + 1
    for regeneration in range(tries):
        try:
            completion = await _call(
                run, BENCHMARK_JUDGE_ROLE, (Message("user", prompt),), question, turn, regeneration
            )
        except CallFailed as failure:
            return Grade("failed", "judge_not_reached", detail=str(failure))
        said = completion.text
        mark = read_judge_mark(said)
        if mark is not None:
            reason = None if mark else "judged_wrong"
            return Grade("right" if mark else "wrong", reason, decided_by="judge", judge_output=said)
    detail = f"none of {tries} answers ends with its only mark, <1> or <0>"
    return Grade("failed", "judge_unreadable", detail=detail, judge_output=said)


# -- rows --------------------------------------------------------------------------------------------------------------


def _failed(run: BenchmarkRun, asked: _Asked, reason: str, failure: CallFailed) -> AnswerRow:
    """The row of an answer that could not be had."""
    return _row(run, asked, None, Grade("failed", reason, detail=str(failure)))


def _row(run: BenchmarkRun, asked: _Asked, answer: Completion | None, grade: Grade) -> AnswerRow:
    return {
        "base": run.base,
        "variant": run.variant,
        "benchmark": run.questions.benchmark.name,
        "kind": run.questions.benchmark.kind,
        "item_id": asked.question.item_id,
        "cluster": asked.question.cluster,
        "stage": asked.stage,
        "sample": asked.sample,
        "prompt_hash": prompt_hash(asked.messages),
        "prompt": as_text(asked.messages),
        "output": answer.text if answer else None,
        "reference": asked.question.reference,
        "labels": list(asked.question.labels),
        **asdict(grade),
        "finish_reason": answer.finish_reason if answer else None,
        "prompt_tokens": answer.prompt_tokens if answer else 0,
        "completion_tokens": answer.completion_tokens if answer else 0,
        "model": run.model,
    }
