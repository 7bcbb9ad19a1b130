"""Benchmarks that are tasks of lm-eval: its prompts, filters and metrics, and this project's engine for the calls.

lm-eval is an extra (`make lm-eval`). It runs as `lm_eval_program.py` in a process of its own, once to write the prompts
and once to grade the answers, and never calls the model. So calls are journalled, limited and counted as those of any
other benchmark, lm-eval sees no key, and an answer in which a metric hangs costs that answer alone.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import LmEvalBenchmark, Rows
from assets.evaluation.grading import Grade
from assets.evaluation.questions import LoadedTask, QuestionSet, UnparsedRow, sampled, wanted_rows
from resources.chat.calls import Message
from resources.chat.service import run_async
from resources.configuration import ConfigurationError
from resources.identity import stable_hash
from resources.lake.store import DEFAULT_S3, S3Options

PROGRAM = Path(__file__).with_name("lm_eval_program.py")
SECONDS_TO_LOAD = 3600.0  # lm-eval may download rows
SECONDS_TO_GRADE = 240.0  # one answer; on a busy machine the CPU time that the program allows can take as long
LONGEST_REPLY = 2**30  # bytes
SHOWN_ERROR = 600  # characters from the end of what the program wrote to standard error
NOT_HASHED = ("metadata", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")  # where a task's rows are

Reply = Mapping[str, Any]


class LmEvalStopped(RuntimeError):
    """The process of lm-eval ended, or was ended because it took too long."""


def read_task(benchmark: LmEvalBenchmark, s3: S3Options = DEFAULT_S3) -> QuestionSet:
    """The questions of an lm-eval task in its words, with its own shots, sampling and limit where none are given.

    Raises:
        ConfigurationError: lm-eval is not installed, has no such task, or cannot ask it through a chat endpoint; its
            rows cannot be read.
    """
    where = f"benchmark {benchmark.name!r}"
    if find_spec("lm_eval") is None:
        raise ConfigurationError(
            f"{where} is of kind lm_eval, and the package lm-eval is not installed: `make lm-eval`, or "
            "`pip install lm-eval`"
        )
    rows, unparsed = _rows(benchmark, benchmark.rows, s3)
    shot_rows, _ = _rows(benchmark, benchmark.shot_rows, s3)
    order = {
        **benchmark.lm_eval.model_dump(),
        "rows": rows,
        "shot_rows": shot_rows,
        "shots": benchmark.shots if "shots" in benchmark.model_fields_set else None,
    }
    try:
        reply = run_async(_describe(order))
    except (LmEvalStopped, ConfigurationError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    task_settings = {
        name: reply[name] for name in ("shots", "temperature", "max_tokens") if name not in benchmark.model_fields_set
    }
    asked = benchmark.model_copy(update=task_settings)
    measured = {name: reply[name] for name in ("metric", "filter")}
    facts = {
        "task": benchmark.lm_eval.task,
        **{name: reply[name] for name in ("lm_eval", "versions")},
        "hash": _task_hash(reply["configurations"], benchmark.lm_eval.include_path),
        **measured,
    }
    questions = [_question(one) for one in reply["questions"]]
    return QuestionSet(asked, sampled(asked, questions), (), tuple(unparsed), LoadedTask({**order, **measured}, facts))


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


def _question(described: Mapping[str, Any]) -> BenchmarkQuestion:
    messages = tuple(Message(role, content) for role, content in described["messages"])
    return BenchmarkQuestion(
        messages[-1].content, described["reference"], described["id"], described["cluster"], messages=messages
    )


def _task_hash(configurations: Mapping[str, Mapping[str, Any]], include_path: str | None) -> str:
    """Hash of all that a task is, wherever its files and rows are: its settings, and the Python files of its folder."""
    settings = [
        [name, {key: value for key, value in one.items() if key not in NOT_HASHED}]
        for name, one in sorted(configurations.items())
    ]
    code = sorted(Path(include_path).rglob("*.py")) if include_path else []
    return stable_hash(settings, [file.read_text(encoding="utf-8") for file in code])[:16]


async def grade_answers(
    task: LoadedTask, answers: Sequence[tuple[str, str]], seconds: float = SECONDS_TO_GRADE
) -> list[Grade]:
    """The grades that a task's filter and metric give.

    An answer in which the process hangs or dies is `failed`, and a new process grades those that follow.

    Args:
        task: as `read_task` gives it.
        answers: question id and text of each.
        seconds: longest time for one of them.

    Raises:
        ConfigurationError: the metric does not say right or wrong, or the task cannot be loaded again.
        LmEvalStopped: the process ended before it graded anything.
    """
    grades: list[Grade] = []
    while len(grades) < len(answers):
        replies = _replies({**task.order, "answers": answers[len(grades) :]}, seconds)
        loaded = False
        try:
            async with contextlib.aclosing(replies):
                async for reply in replies:
                    if loaded:
                        grades.append(_grade(reply))
                    loaded = True
        except LmEvalStopped as error:
            if not loaded:
                raise
            grades.append(Grade("failed", "not_scored", detail=str(error)))
    return grades


def _grade(reply: Reply) -> Grade:
    if "error" in reply:
        return Grade("failed", "not_scored", detail=reply["error"])
    if reply["right"]:
        return Grade("right", None, reply["extracted"], "metric")
    if not reply["readable"]:
        return Grade("unreadable", "no_match", None, "metric")
    return Grade("wrong", "metric_wrong", reply["extracted"], "metric")


# -- the process -------------------------------------------------------------------------------------------------------


async def _describe(order: Mapping[str, Any]) -> Reply:
    replies = _replies(order, SECONDS_TO_LOAD)
    async with contextlib.aclosing(replies):
        return await anext(replies)


async def _replies(order: Mapping[str, Any], seconds: float) -> AsyncGenerator[Reply]:
    """The program's replies to an order. Its process group is killed when the iteration ends, however it ends.

    Args:
        order: what the program reads.
        seconds: longest time between two replies; the first one may take `SECONDS_TO_LOAD`.

    Raises:
        ConfigurationError: the program refused the order.
        LmEvalStopped: it ended before it carried out the order.
    """
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(PROGRAM)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            limit=LONGEST_REPLY,
        )
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes
        longest = SECONDS_TO_LOAD
        try:
            with contextlib.suppress(ConnectionError):  # it ended already, and its exit code says so
                process.stdin.write(json.dumps(order, default=str).encode())
                process.stdin.write_eof()
                await process.stdin.drain()
            while line := await asyncio.wait_for(process.stdout.readline(), longest):
                reply: dict[str, Any] = json.loads(line)
                if "refused" in reply:
                    raise ConfigurationError(reply["refused"])
                yield reply
                longest = seconds
            if code := await process.wait():
                raise LmEvalStopped(f"lm-eval's process ended with exit code {code}{_end_of(errors)}")
        except TimeoutError:
            raise LmEvalStopped(f"lm-eval took longer than {longest:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _end_of(errors: IO[bytes]) -> str:
    errors.seek(0)
    said = " ".join(errors.read().decode(errors="replace").split())
    return f" ({said[-SHOWN_ERROR:]})" if said else ""
