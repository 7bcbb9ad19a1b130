"""Asking a model a benchmark's questions: one row an answer, decided as the benchmark's kind wants it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from assets.evaluation.configuration import Benchmarks
from assets.evaluation.harness import decide_by_metric
from assets.evaluation.prompting import as_text, filled, prompt_hash, question_messages
from assets.evaluation.questions import Question, QuestionSet
from assets.evaluation.verdicts import Verdict, choose, decide_by_rule, decide_code, extract_code, program, read_mark
from assets.framework.partition_run import gather_results
from resources.chat.calls import Call, CallFailed, Chat, Completion, Message
from resources.chat.profile import Role
from resources.sandbox.sandbox import Limits, run_code

# A profile casts no part of their own for them: the model under test speaks where the closing student does.
TESTED = Role.STRONG_STUDENT
REVIEWER = Role.CRITIC_TEACHER
CODE_MAY_IMPORT = ("numpy",)  # EvalPlus's tests compare with it

Row = dict[str, Any]


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
    one_more: Callable[[], None] = lambda: None  # told of each answer that is decided
    sandboxes: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.sandboxes = asyncio.Semaphore(self.configuration.sandbox.at_once)

    @property
    def with_exchange(self) -> bool:
        """Whether this benchmark is asked with a review too."""
        return self.questions.benchmark.name in self.configuration.exchange.benchmarks


def answers_of(examination: BenchmarkRun) -> int:
    """How many rows an examination makes."""
    questions = examination.questions
    return len(questions.questions) * questions.benchmark.samples * (2 if examination.with_exchange else 1)


async def examine(examination: BenchmarkRun) -> list[Row]:
    """Every answer to every question, as rows of `BENCHMARK_ANSWERS`, in the questions' order.

    One question that cannot be answered or decided is a failed row, and the others go on.

    Raises:
        EndpointUnusable, BudgetSpent, NoSandbox: the run is to stop; what was answered is in the journal.
    """
    questions = examination.questions
    asked = [(question, sample) for question in questions.questions for sample in range(questions.benchmark.samples)]
    rows: list[list[Row]] = [[] for _ in asked]
    waiting = enumerate(asked)  # shared: each worker takes the next one

    async def work() -> None:
        for place, (question, sample) in waiting:
            rows[place] = await _ask(examination, question, sample)

    await gather_results(work() for _ in range(min(len(asked), examination.chat.target_concurrency)))
    return [row for answered in rows for row in answered]


async def _ask(exam: BenchmarkRun, question: Question, sample: int) -> list[Row]:
    """The plain answer, and where the benchmark is asked so, the one after a review."""
    messages = question_messages(question, exam.questions.shots, exam.questions.benchmark.kind)
    try:
        answer = await _call(exam, TESTED, messages, question, "answer", sample)
    except CallFailed as failure:
        stages = ("plain", "exchange") if exam.with_exchange else ("plain",)
        for _ in stages:
            exam.one_more()
        return [_failed(exam, question, sample, stage, messages, "not_answered", failure) for stage in stages]
    verdict = await _decide(exam, question, sample, "plain", answer)
    rows = [_row(exam, question, sample, "plain", messages, answer, verdict)]
    exam.one_more()
    if exam.with_exchange:
        rows.append(await _ask_again(exam, question, sample, messages, answer))
        exam.one_more()
    return rows


async def _ask_again(
    exam: BenchmarkRun, question: Question, sample: int, messages: tuple[Message, ...], answer: Completion
) -> Row:
    """The exchange: a review of the plain answer, and the answer after it (METHOD: what the paper measured)."""
    review_prompt = (Message("user", filled("review", question=messages[-1].content, answer=answer.text)),)
    try:
        review = await _call(exam, REVIEWER, review_prompt, question, "review", sample)
    except CallFailed as failure:
        return _failed(exam, question, sample, "exchange", messages, "no_review", failure)
    told = (
        *messages,
        Message("assistant", answer.text),
        Message("user", filled("correction", review=review.text)),
    )
    try:
        corrected = await _call(exam, TESTED, told, question, "corrected", sample)
    except CallFailed as failure:
        return _failed(exam, question, sample, "exchange", told, "not_answered", failure)
    verdict = await _decide(exam, question, sample, "exchange", corrected)
    read = corrected.prompt_tokens + review.prompt_tokens
    return _row(exam, question, sample, "exchange", told, replace(corrected, prompt_tokens=read), verdict)


async def _call(
    exam: BenchmarkRun, role: Role, messages: tuple[Message, ...], question: Question, turn: str, regeneration: int
) -> Completion:
    call = Call(role, messages, sample=question.item_id, turn=turn, regeneration=regeneration)
    return await exam.chat.complete(call, scope=exam.scope)


async def _decide(exam: BenchmarkRun, question: Question, sample: int, stage: str, answer: Completion) -> Verdict:
    benchmark = exam.questions.benchmark
    if benchmark.kind == "multiple_choice":
        return choose(answer.text, question)
    if benchmark.kind == "code":
        return await _run(exam, question, answer.text)
    if exam.questions.task is not None:
        return await asyncio.to_thread(decide_by_metric, exam.questions.task, question, answer.text)
    by_rule = await asyncio.to_thread(decide_by_rule, answer.text, question, benchmark.domain)
    return by_rule or await _judge(exam, question, sample, stage, answer.text)


async def _run(exam: BenchmarkRun, question: Question, output: str) -> Verdict:
    code = await asyncio.to_thread(extract_code, output, question)  # up to half a second where there is no fence
    if code is None:
        return Verdict("wrong", "no_code", decided_by="tests")
    given = exam.configuration.sandbox
    limits = Limits(given.seconds, given.memory_mb, given.processes, given.file_mb, given.output_kb)
    async with exam.sandboxes:
        outcome = await asyncio.to_thread(run_code, program(code, question), limits, CODE_MAY_IMPORT)
    return decide_code(code, outcome)


async def _judge(exam: BenchmarkRun, question: Question, sample: int, stage: str, output: str) -> Verdict:
    """The judge's verdict where no rule decides; one that is not in form is asked again a bounded number of times."""
    prompt = filled("judge", question=question.text, reference=question.reference, answer=output)
    said = ""
    tries = exam.configuration.judging.regenerations + 1
    for regeneration in range(tries):
        try:
            completion = await _call(
                exam, Role.JUDGE, (Message("user", prompt),), question, f"judge-{stage}-{sample}", regeneration
            )
        except CallFailed as failure:
            return Verdict("failed", "judge_not_reached", detail=str(failure))
        said = completion.text
        mark = read_mark(said)
        if mark is not None:
            reason = None if mark else "judged_wrong"
            return Verdict("right" if mark else "wrong", reason, decided_by="judge", judge_output=said)
    detail = f"no <1> and no <0> in {tries} answers"
    return Verdict("failed", "judge_unreadable", detail=detail, judge_output=said)


def _failed(
    exam: BenchmarkRun,
    question: Question,
    sample: int,
    stage: str,
    messages: tuple[Message, ...],
    reason: str,
    failure: CallFailed,
) -> Row:
    """The row of an answer that there is none of."""
    verdict = Verdict("failed", reason, detail=str(failure))
    return _row(exam, question, sample, stage, messages, None, verdict)


def _row(
    exam: BenchmarkRun,
    question: Question,
    sample: int,
    stage: str,
    messages: tuple[Message, ...],
    answer: Completion | None,
    verdict: Verdict,
) -> Row:
    return {
        "base": exam.base,
        "variant": exam.variant,
        "benchmark": exam.questions.benchmark.name,
        "kind": exam.questions.benchmark.kind,
        "item_id": question.item_id,
        "cluster": question.cluster,
        "stage": stage,
        "sample": sample,
        "prompt_hash": prompt_hash(messages),
        "prompt": as_text(messages),
        "output": answer.text if answer else None,
        "extracted": verdict.extracted,
        "reference": question.reference,
        "labels": list(question.labels),
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "decided_by": verdict.decided_by,
        "judge_output": verdict.judge_output,
        "finish_reason": answer.finish_reason if answer else None,
        "prompt_tokens": answer.prompt_tokens if answer else 0,
        "completion_tokens": answer.completion_tokens if answer else 0,
        "model": exam.model,
    }
