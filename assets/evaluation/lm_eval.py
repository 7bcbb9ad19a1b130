"""Benchmarks of kind `lm_eval`: lm-eval's own command writes the prompts, reads the answers and grades them.

The command runs in a process of its own and asks a relay on loopback (`--model local-chat-completions`). The relay
passes each request to this project's chat engine, so calls are journalled, limited, counted and redacted as those of
any other benchmark, and lm-eval sees neither key nor address. The samples that it logs become rows of
`benchmark_answers`. A first run, in which the relay answers nothing, reads the questions before anything is spent.

lm-eval is an extra (`make lm-eval`).
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import LmEvalBenchmark, Rows
from assets.evaluation.grading import Grade
from assets.evaluation.questions import LoadedTask, QuestionSet, UnparsedRow, sampled, wanted_rows
from resources.chat.calls import Message
from resources.chat.service import run_async
from resources.configuration import ConfigurationError
from resources.identity import stable_hash
from resources.lake.store import DEFAULT_S3, S3Options

LONGEST_SECONDS = 24 * 3600.0  # of one run of the command; it may download rows and wait for a slow model
AT_ONCE = 256  # requests that lm-eval has open; the engine's own limits hold
INVALID = "[invalid]"  # what a regex filter returns where it finds nothing, unless the task says otherwise
NOT_HASHED = ("metadata", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")  # where a task's rows are
REPLACED = "_with_rows"  # ends the name of a task whose rows are replaced
LAST_ERROR = re.compile(r"^(?:\w+\.)*(?P<error>\w*(?:Error|Exception|Undefined\w*)): (?P<message>.+)", re.MULTILINE)
SHOWN_ERROR = 500  # characters

Answer = Callable[[tuple[Message, ...], Mapping[str, Any]], Awaitable[str]]  # of messages and lm-eval's request


class LmEvalStopped(RuntimeError):
    """lm-eval's command failed or took too long. The message says what it reported."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What lm-eval logged of one question: its document, what was asked, and how the answer was graded."""

    task: str
    document: int
    reference: str
    messages: tuple[Message, ...]
    filtered: Mapping[str, str | None]  # by filter: what it read in the answer
    metrics: Mapping[tuple[str, str], Any]  # by metric and filter


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of the command wrote."""

    samples: Sequence[Sample]
    results: Mapping[str, Any]  # lm-eval's results file: configs, versions, n-shot, higher_is_better


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
    }
    requests: list[Mapping[str, Any]] = []

    async def answer_nothing(_: tuple[Message, ...], request: Mapping[str, Any]) -> str:
        requests.append(request)
        return ""

    try:
        report = run_async(run_command(order, answer_nothing))
        metric, filtered = metric_and_filter(benchmark, report)
    except (LmEvalStopped, ConfigurationError) as error:
        raise ConfigurationError(f"{where}: {error}") from None
    own = {
        "shots": max(report.results["n-shot"].values()),
        "temperature": max(float(request.get("temperature") or 0) for request in requests),
        "max_tokens": max(int(request["max_tokens"]) for request in requests),
    }
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
    questions = sampled(asked, [_question(sample, len(report.results["configs"]) > 1) for sample in report.samples])
    return QuestionSet(asked, questions, (), tuple(unparsed), LoadedTask(order, facts))


async def grade_task(questions: QuestionSet, answer: Answer) -> dict[str, Grade]:
    """Have lm-eval ask the drawn questions and grade the answers.

    Args:
        questions: as `read_task` returns them.
        answer: called for each question; what it returns is the model's answer.

    Returns:
        The grade of each question, by item_id.

    Raises:
        ConfigurationError, LmEvalStopped: the command failed. The journal holds the answers that were paid for.
    """
    assert questions.task is not None  # noqa: S101 - of kind lm_eval
    drawn = {question.messages for question in questions.questions}

    async def answer_drawn(messages: tuple[Message, ...], request: Mapping[str, Any]) -> str:
        return await answer(messages, request) if messages in drawn else ""

    # All questions, for lm-eval draws the examples of one after those of the one before.
    report = await run_command(questions.task.order, answer_drawn)
    metric, filtered = questions.task.facts["metric"], questions.task.facts["filter"]
    several = len(report.results["configs"]) > 1
    fallbacks = _fallbacks(report.results["configs"])
    return {_item_id(sample, several): _grade(sample, metric, filtered, fallbacks) for sample in report.samples}


# -- the command -------------------------------------------------------------------------------------------------------


async def run_command(order: Mapping[str, Any], answer: Answer, seconds: float = LONGEST_SECONDS) -> Report:
    """Run `lm-eval run` once, with `answer` behind its endpoint. Its process group is ended, however this ends.

    Args:
        order: the task, its folder, the rows that replace its own, and the number of shots.
        answer: answers a request.
        seconds: longest time.

    Raises:
        ConfigurationError: the task cannot be asked; the message is lm-eval's.
        LmEvalStopped: the command took longer, or was ended.
        Exception: the first one that `answer` raises; it ends the command.
    """
    with tempfile.TemporaryDirectory(prefix="lm-eval-") as name:
        folder = Path(name)
        task = _task_files(order, folder)
        async with _relay(answer) as (address, stopped):
            arguments = _arguments(order, task, folder, address)
            command: asyncio.Future[Any] = asyncio.ensure_future(_run(arguments, folder / "errors.txt", seconds))
            try:
                await asyncio.wait((command, stopped), return_when=asyncio.FIRST_COMPLETED)
            finally:
                command.cancel()
                ended = await asyncio.gather(command, return_exceptions=True)
            if stopped.done():
                raise stopped.result()
            if isinstance(ended[0], BaseException):
                raise ended[0]
        return _read_report(folder / "out")


def _arguments(order: Mapping[str, Any], task: str, folder: Path, address: str) -> list[str]:
    include = folder / "tasks" if order["rows"] is not None else order["include_path"]
    arguments = [
        *("--model", "local-chat-completions", "--tasks", task, "--batch_size", "1"),
        *("--model_args", f"base_url={address},model=tested,num_concurrent={AT_ONCE},max_retries=1,timeout=86400"),
        *("--apply_chat_template", "--fewshot_as_multiturn", "true"),
        *("--log_samples", "--output_path", str(folder / "out")),
    ]
    if include is not None:
        arguments += ["--include_path", str(include)]
    if order["shots"] is not None:
        arguments += ["--num_fewshot", str(order["shots"])]
    return arguments


async def _run(arguments: Sequence[str], errors: Path, seconds: float) -> None:
    with errors.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "lm_eval", "run", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )
        try:
            code = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            raise LmEvalStopped(f"lm-eval took longer than {seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code:
        raise _failure(code, errors)


def _failure(code: int, errors: Path) -> ConfigurationError | LmEvalStopped:
    """What to raise for an exit code: the last exception that the command printed is a fault of the task."""
    text = errors.read_text(encoding="utf-8", errors="replace")
    found = list(LAST_ERROR.finditer(text))
    if code < 0 or not found:
        end = " ".join(text.split())[-SHOWN_ERROR:]
        return LmEvalStopped(f"lm-eval's command ended with exit code {code} ({end})")
    reported = f"{found[-1]['error']}: {found[-1]['message']}"[:SHOWN_ERROR]
    return ConfigurationError(f"lm-eval cannot ask or grade the task: {reported}")


@asynccontextmanager
async def _relay(answer: Answer) -> AsyncIterator[tuple[str, "asyncio.Future[Any]"]]:
    """An OpenAI-compatible endpoint on loopback: the address of its chat completions, and the error that ends it."""
    stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            text = await answer(tuple(Message(one["role"], one["content"]) for one in body["messages"]), body)
        except Exception as error:  # whatever ends an evaluation: a spent budget, an unusable endpoint
            if not stopped.done():
                stopped.set_result(error)
            raise web.HTTPServiceUnavailable from error
        for stop in body.get("stop") or ():  # as a server would
            text = text.split(stop, 1)[0] if stop else text
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/v1/chat/completions", stopped
    finally:
        await runner.cleanup()


# -- task files --------------------------------------------------------------------------------------------------------


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


def _task_files(order: Mapping[str, Any], folder: Path) -> str:
    """Write what lm-eval reads where the rows are replaced; the name of the task to run.

    Raises:
        ConfigurationError: the folder or the task is not there.
    """
    own = order["include_path"]
    if own is not None and not Path(own).is_dir():
        raise ConfigurationError(f"include_path {own} is not a folder")
    if order["rows"] is None:
        return str(order["task"])
    tasks = folder / "tasks"
    tasks.mkdir()
    files = {"rows": order["rows"], "examples": order["shot_rows"] or order["rows"]}
    for name, rows in files.items():
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, default=str) + "\n" for row in rows)
    named = f"{order['task']}{REPLACED}"
    replaced = {
        "include": str(_task_file(order)),
        "task": named,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {name: str(folder / f"{name}.jsonl") for name in files},
            "cache_dir": str(folder / "cache"),
        },
        "training_split": None,
        "validation_split": None,
        "test_split": "rows",
        "fewshot_split": "examples" if order["shot_rows"] else None,
    }
    (tasks / f"{named}.yaml").write_text(yaml.safe_dump(replaced), encoding="utf-8")
    return named


def _task_file(order: Mapping[str, Any]) -> Path:
    """The YAML file of a task: from `include_path`, else of those that come with lm-eval."""
    found = find_spec("lm_eval")
    shipped = [Path(one) / "tasks" for one in (found.submodule_search_locations or ())] if found else []
    line = re.compile(rf"^task:\s*[\"']?{re.escape(order['task'])}[\"']?\s*$", re.MULTILINE)
    for folder in [*([Path(order["include_path"])] if order["include_path"] else []), *shipped]:
        for file in sorted(folder.rglob("*.yaml")):
            if line.search(file.read_text(encoding="utf-8", errors="replace")):
                return file
    raise ConfigurationError(
        f"lm-eval has no single task {order['task']!r} whose rows can be replaced; `lm-eval ls tasks` lists all tasks, "
        "and groups and tags take no `rows`"
    )


# -- reports -----------------------------------------------------------------------------------------------------------


def _read_report(folder: Path) -> Report:
    results = json.loads(max(folder.rglob("results_*.json")).read_text(encoding="utf-8"))
    samples: dict[tuple[str, int], Sample] = {}
    for file in sorted(folder.rglob("samples_*.jsonl")):
        task = re.sub(r"^samples_(.+)_\d{4}-\d\d-\d\dT.*$", r"\1", file.name)
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                logged = json.loads(line)
                key = (task, int(logged["doc_id"]))
                samples[key] = _with_filter(samples.get(key) or _sample(task, logged), logged)
    return Report(list(samples.values()), results)


def _sample(task: str, logged: Mapping[str, Any]) -> Sample:
    asked = logged["arguments"]["gen_args_0"]["arg_0"]
    messages = json.loads(asked[0] if isinstance(asked, list) else asked)
    target = logged["target"]
    reference = target if isinstance(target, str) else json.dumps(target, default=str)
    return Sample(
        task, int(logged["doc_id"]), reference, tuple(Message(one["role"], one["content"]) for one in messages), {}, {}
    )


def _with_filter(sample: Sample, logged: Mapping[str, Any]) -> Sample:
    """The sample with what one more filter read: lm-eval writes one line per question and filter."""
    name, found = logged["filter"], logged["filtered_resps"]
    read = found[0] if isinstance(found, list) and found else found or None
    text = read if read is None or isinstance(read, str) else json.dumps(read, default=str)
    metrics = {(metric, name): logged[metric] for metric in logged["metrics"]}
    return Sample(
        sample.task,
        sample.document,
        sample.reference,
        sample.messages,
        {**sample.filtered, name: text},
        {**sample.metrics, **metrics},
    )


def _own_name(task: str) -> str:
    return task.removesuffix(REPLACED)


def _item_id(sample: Sample, several: bool) -> str:
    return f"{sample.task}:{sample.document}" if several else str(sample.document)


def _question(sample: Sample, several: bool) -> BenchmarkQuestion:
    item = _item_id(sample, several)
    cluster = sample.task if several else item
    return BenchmarkQuestion(sample.messages[-1].content, sample.reference, item, cluster, messages=sample.messages)


def metric_and_filter(benchmark: LmEvalBenchmark, report: Report) -> tuple[str, str]:
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
    extracted = sample.filtered[filtered]
    if _is_right(sample.metrics[metric, filtered], metric):
        return Grade("right", None, extracted, "metric")
    if not extracted or extracted in fallbacks.get(sample.task, {INVALID}):
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
