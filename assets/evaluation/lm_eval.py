"""Benchmarks of kind `lm_eval`: lm-eval's own command writes the prompts, reads the answers and grades them.

The command runs in a process of its own and asks a relay on loopback: for chat completions (`--model
local-chat-completions`), or for log-probabilities of continuations (`lm_eval_program`). The relay passes each request
to this project's chat engine, so calls are journalled, limited, counted and redacted as those of other benchmarks, and
lm-eval sees neither key nor address. The samples that it logs become rows of `benchmark_answers`. A first run, in which
the relay answers nothing, reads the questions before anything is spent.

lm-eval is an extra (`make lm-eval`).
"""

import contextlib
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import LmEvalBenchmark, Rows
from assets.evaluation.grading import Grade
from assets.evaluation.lm_eval_command import REPLACED, Answer, LmEvalReport, LmEvalStopped, Sample, run_command
from assets.evaluation.questions import LoadedTask, QuestionSet, UnparsedRow, sampled, wanted_rows
from resources.chat.calls import Message
from resources.chat.log_probabilities import LogProbability
from resources.chat.service import run_async
from resources.configuration import ConfigurationError
from resources.identity import stable_hash
from resources.lake.store import DEFAULT_S3, S3Options

NOTHING = LogProbability(0.0, False, 0)  # stands for what is not asked
NOT_GENERATED = "Loglikelihood is not supported for chat completions"  # in lm-eval's message
INVALID = "[invalid]"  # what a regex filter returns where it finds nothing, unless the task says otherwise
NOT_HASHED = ("metadata", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")  # where a task's rows are


def read_task(benchmark: LmEvalBenchmark, s3: S3Options = DEFAULT_S3) -> QuestionSet:
    """The questions of an lm-eval task in its words, with its own shots, temperature and limit where none are given.

    Raises:
        ConfigurationError: lm-eval is not installed, has no such task, or cannot ask it through a chat endpoint; its
            rows cannot be read.
    """
    where = f"benchmark {benchmark.name!r}"
    if find_spec("lm_eval") is None:
        raise ConfigurationError(
            f"{where} is of kind lm_eval, and the package lm-eval is not installed: `make lm-eval`, or "
            "`pip install 'lm-eval[api]'`"
        )
    rows, unparsed = _rows(benchmark, benchmark.rows, s3)
    shot_rows, _ = _rows(benchmark, benchmark.shot_rows, s3)
    order = {
        "task": benchmark.lm_eval.task,
        "include_path": benchmark.lm_eval.include_path,
        "rows": rows,
        "shot_rows": shot_rows,
        "shots": benchmark.shots if "shots" in benchmark.model_fields_set else None,
        "log_probabilities": benchmark.lm_eval.log_probabilities,
    }
    requests: list[Mapping[str, Any]] = []

    async def answer_nothing(_: tuple[Message, ...], request: Mapping[str, Any]) -> str:
        if "continuation" in request:
            return NOTHING.as_text()
        requests.append(request)
        return ""

    try:
        report = run_async(run_command(order, answer_nothing))
        if rows is not None and not shot_rows:
            refuse_asked_rows_as_shots(report)
        metric, filtered = metric_and_filter(benchmark, report)
        refuse_empty_contexts(report)
    except (LmEvalStopped, ConfigurationError) as error:
        advice = ": set lm_eval.log_probabilities: true" if NOT_GENERATED in str(error) else ""
        raise ConfigurationError(f"{where}: {error}{advice}") from None
    own: dict[str, float] = {"shots": max(report.results["n-shot"].values()), "temperature": 0.0}
    if requests:
        own["temperature"] = max(float(request.get("temperature") or 0) for request in requests)
        own["max_tokens"] = max(int(request["max_tokens"]) for request in requests)
    asked = benchmark.model_copy(
        update={name: value for name, value in own.items() if name not in benchmark.model_fields_set}
    )
    facts = {
        "task": benchmark.lm_eval.task,
        "lm_eval": report.results["lm_eval_version"],
        "versions": {_own_name(name): str(one) for name, one in report.results["versions"].items()},
        "hash": _task_hash(report.results["configs"], benchmark.lm_eval.include_path),
        "metric": metric,
        "filter": filtered,
    }
    several = len(report.results["configs"]) > 1
    questions = sampled(asked, [_question(sample, several) for sample in report.samples])
    pairs = {_item_id(sample, several): sample.pairs for sample in report.samples if sample.pairs}
    if pairs:
        facts["continuations"] = stable_hash(sorted(pairs.items()))[:16]
    return QuestionSet(asked, questions, (), tuple(unparsed), LoadedTask(order, facts, pairs))


def refuse_asked_rows_as_shots(report: LmEvalReport) -> None:
    """Refuse a task that would draw its examples from the rows that are asked.

    Raises:
        ConfigurationError: the task has shots and brings no examples.
    """
    for name, shots in report.results["n-shot"].items():
        brought = (report.results["configs"].get(name, {}).get("fewshot_config") or {}).get("samples")
        if shots and not brought:
            raise ConfigurationError(
                f"{shots} examples would come from the rows that are asked: give shot_rows, or shots: 0"
            )


def refuse_empty_contexts(report: LmEvalReport) -> None:
    """Refuse a task with a continuation of nothing: the log-probability of its first token is not reported.

    Raises:
        ConfigurationError: there is one.
    """
    for sample in report.samples:
        if any(not context.strip() for context, _ in sample.pairs):
            raise ConfigurationError(
                f"question {sample.document} of task {sample.task!r} has a continuation without a context, whose "
                "log-probability servers do not report: choose another task"
            )


async def grade_task(questions: QuestionSet, answer: Answer) -> dict[str, Grade]:
    """Have lm-eval ask the drawn questions and grade the answers.

    Args:
        questions: as `read_task` returns them.
        answer: called for each question, or for each continuation of one; returns the model's answer.

    Returns:
        The grade of each question, by item_id.

    Raises:
        ConfigurationError, LmEvalStopped: the command failed. The journal holds the answers that were paid for.
    """
    assert questions.task is not None  # noqa: S101 - of kind lm_eval
    drawn = {question.messages for question in questions.questions}
    pairs = {pair for one in questions.questions for pair in questions.task.pairs.get(one.item_id, ())}

    async def answer_drawn(messages: tuple[Message, ...], request: Mapping[str, Any]) -> str:
        if "continuation" in request:
            wanted = (messages[0].content, request["continuation"]) in pairs
            return await answer(messages, request) if wanted else NOTHING.as_text()
        return await answer(messages, request) if messages in drawn else ""

    # All questions, for lm-eval draws the examples of one after those of the one before.
    report = await run_command(questions.task.order, answer_drawn)
    metric, filtered = questions.task.facts["metric"], questions.task.facts["filter"]
    several = len(report.results["configs"]) > 1
    fallbacks = _fallbacks(report.results["configs"])
    return {_item_id(sample, several): _grade(sample, metric, filtered, fallbacks) for sample in report.samples}


def _rows(
    benchmark: LmEvalBenchmark, rows: Rows | None, s3: S3Options
) -> tuple[list[Mapping[str, Any]] | None, list[UnparsedRow]]:
    """The rows that replace a task's own, if any. Those that lack a field of the first are left out."""
    if rows is None:
        return None, []
    found, unparsed = wanted_rows(benchmark, rows, s3)
    if not found:
        reasons = "; ".join(f"row {one.row}: {one.reason}" for one in unparsed[:3]) or "there is none"
        raise ConfigurationError(f"benchmark {benchmark.name!r}: no row can be asked ({reasons})")
    fields = set(found[0].values)
    for row in found:
        if lacking := fields - row.values.keys():
            reason = f"it has no field {min(lacking)!r}"
            unparsed.append(UnparsedRow(benchmark.name, row.origin_file, row.origin_row, reason))
    return [row.values for row in found if fields <= row.values.keys()], unparsed


# -- what the command logs ---------------------------------------------------------------------------------------------


def _own_name(task: str) -> str:
    return task.removesuffix(REPLACED)


def _item_id(sample: Sample, several: bool) -> str:
    return f"{sample.task}:{sample.document}" if several else str(sample.document)


def _question(sample: Sample, several: bool) -> BenchmarkQuestion:
    item = _item_id(sample, several)
    cluster = sample.task if several else item
    return BenchmarkQuestion(sample.messages[-1].content, sample.reference, item, cluster, messages=sample.messages)


def metric_and_filter(benchmark: LmEvalBenchmark, report: LmEvalReport) -> tuple[str, str]:
    """The metric and the filter that decide: as configured, else the task's first.

    Raises:
        ConfigurationError: there is no such metric or filter, or the metric does not say right or wrong.
    """
    name, task = benchmark.lm_eval.task, benchmark.lm_eval
    if not report.samples:
        raise ConfigurationError(f"lm-eval's task {name!r} has no question")
    chosen = set()
    for sample in {one.task: one for one in report.samples}.values():
        filters, metrics = list(sample.filtered), list(dict.fromkeys(metric for metric, _ in sample.metrics))
        filtered, metric = task.filter or filters[0], task.metric or (metrics[0] if metrics else "")
        if filtered not in filters:
            raise ConfigurationError(f"lm-eval's task {name!r} has no filter {filtered!r}: it has {', '.join(filters)}")
        if metric not in metrics:
            raise ConfigurationError(f"lm-eval's task {name!r} has no metric {metric!r}: it has {', '.join(metrics)}")
        if report.results["higher_is_better"].get(sample.task, {}).get(metric) is False:
            raise ConfigurationError(f"metric {metric!r} of {name!r} is better the lower it is: choose another")
        chosen.add((metric, filtered))
    if len(chosen) > 1:
        pairs = ", ".join(f"{metric} of {filtered}" for metric, filtered in sorted(chosen))
        raise ConfigurationError(f"the tasks of {name!r} are graded differently ({pairs}): give metric and filter")
    ((metric, filtered),) = chosen
    for sample in report.samples:
        _is_right(sample.metrics[metric, filtered], metric)
    return metric, filtered


def _grade(sample: Sample, metric: str, filtered: str, fallbacks: Mapping[str, set[str]]) -> Grade:
    extracted = None if sample.pairs else sample.filtered[filtered]
    if _is_right(sample.metrics[metric, filtered], metric):
        return Grade("right", None, extracted, "metric")
    if not sample.pairs and (not extracted or extracted in fallbacks.get(sample.task, {INVALID})):
        return Grade("unreadable", "no_match", None, "metric")
    return Grade("wrong", "metric_wrong", extracted, "metric")


def _fallbacks(configurations: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """By task, what its filters return where they find nothing."""
    steps = {
        task: [step for one in configuration.get("filter_list") or () for step in one["filter"]]
        for task, configuration in configurations.items()
    }
    return {
        task: {INVALID, *(str(one["fallback"]) for one in found if one.get("fallback"))}
        for task, found in steps.items()
    }


def _is_right(value: Any, metric: str) -> bool:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(value, str) and float(value) in (0.0, 1.0):
            return bool(float(value))
    raise ConfigurationError(
        f"metric {metric!r} does not say right or wrong: it gave {str(value)[:80]}. Choose another"
    )


def _task_hash(configurations: Mapping[str, Mapping[str, Any]], include_path: str | None) -> str:
    """Hash of all that a task is, wherever its files and rows are: its settings, and the Python files of its folder."""
    settings = [
        [_own_name(name), {key: value for key, value in one.items() if key not in (*NOT_HASHED, "task")}]
        for name, one in sorted(configurations.items())
    ]
    plain = json.loads(re.sub(r" at 0x[0-9a-f]+", "", json.dumps(settings, default=str)))
    code = sorted(Path(include_path).rglob("*.py")) if include_path else []
    return stable_hash(plain, [file.read_text(encoding="utf-8") for file in code])[:16]
