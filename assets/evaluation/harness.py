"""Benchmarks that are tasks of lm-eval: its prompts, filters and metrics, and this project's engine for the calls.

lm-eval is an extra (`make lm-eval`) and runs in a process of its own, `harness_process.py`, that is started with the
first task, serves all that follow, and ends with this one.
"""

import atexit
import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from assets.evaluation.configuration import Benchmark, Rows
from assets.evaluation.questions import HarnessTask, Question, QuestionSet, Unparsed, drawn, wanted_rows
from assets.evaluation.verdicts import Verdict
from resources.chat.calls import Message
from resources.configuration import ConfigurationError
from resources.lake.store import S3_AS_USUAL, S3Options

SECONDS_TO_LOAD = 3600  # rows may have to be downloaded
SECONDS_TO_SCORE = 120  # an answer; on a busy machine its CPU time, which is limited too, can take as long

_numbers = count()


class HarnessStopped(RuntimeError):
    """lm-eval's process ended, or was ended for taking too long."""


@dataclass
class _Process:
    """The process while it runs, and the tasks that it holds."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    held: set[int]


_lock = threading.Lock()
_running: _Process | None = None


def read_task(benchmark: Benchmark, s3: S3Options = S3_AS_USUAL) -> QuestionSet:
    """The questions of an lm-eval task, in its words; the task's own shots, sampling and limit where none are given.

    Raises:
        ConfigurationError: lm-eval is not installed, has no such task, or cannot ask it through a chat endpoint; its
            rows cannot be had.
    """
    where = f"benchmark {benchmark.name!r}"
    given = benchmark.lm_eval
    assert given is not None  # noqa: S101 - the configuration was checked
    if find_spec("lm_eval") is None:
        raise ConfigurationError(
            f"{where} is of kind lm_eval, and the package lm-eval is not installed: `make lm-eval`, or "
            "`pip install lm-eval`"
        )
    rows, unparsed = _rows(benchmark, benchmark.rows, s3)
    shot_rows, _ = _rows(benchmark, benchmark.shot_rows, s3)
    number = next(_numbers)
    order = {
        "do": "load",
        "number": number,
        **given.model_dump(),
        "rows": rows,
        "shot_rows": shot_rows,
        "shots": benchmark.shots if "shots" in benchmark.model_fields_set else None,
    }
    try:
        with _lock:
            reply = _load(order)
    except HarnessStopped as error:
        raise ConfigurationError(f"{where}: {error} while it loaded {given.task!r}") from error
    if fault := reply.get("refused") or reply.get("error"):
        raise ConfigurationError(f"{where}: {fault}")
    own = {name: reply[name] for name in ("shots", "temperature", "max_tokens")}
    asked = benchmark.model_copy(update={k: v for k, v in own.items() if k not in benchmark.model_fields_set})
    questions = [_question(one) for one in reply["questions"]]
    task = HarnessTask(number, order, reply["facts"])
    return QuestionSet(asked, drawn(asked, questions), (), tuple(unparsed), task)


def _rows(
    benchmark: Benchmark, rows: Rows | None, s3: S3Options
) -> tuple[list[Mapping[str, Any]] | None, list[Unparsed]]:
    """The rows that replace a task's own, if any. Such as lack a field of the first are no question."""
    if rows is None:
        return None, []
    found, unparsed = wanted_rows(benchmark, rows, s3)
    if not found:
        reasons = "; ".join(f"row {one.row}: {one.reason}" for one in unparsed[:3]) or "there is none"
        raise ConfigurationError(f"benchmark {benchmark.name!r}: no row can be asked ({reasons})")
    fields = set(found[0].values)
    whole: list[Mapping[str, Any]] = [row.values for row in found if fields <= row.values.keys()]
    for row in found:
        if lacking := fields - row.values.keys():
            reason = f"it has no field {min(lacking)!r}"
            unparsed.append(Unparsed(benchmark.name, row.origin_file, row.origin_row, reason))
    return whole, unparsed


def _question(told: Mapping[str, Any]) -> Question:
    messages = tuple(Message(role, content) for role, content in told["messages"])
    return Question(messages[-1].content, told["reference"], told["id"], told["cluster"], messages=messages)


def decide_by_metric(task: HarnessTask, question: Question, output: str) -> Verdict:
    """What the task's filter reads in an answer, and whether its metric finds that right. Blocks.

    Raises:
        ConfigurationError: the metric does not tell right from wrong, or the task cannot be loaded again.
    """
    order = {"do": "score", "number": task.number, "id": question.item_id, "text": output}
    try:
        with _lock:
            if _running is None or task.number not in _running.held:
                _refuse(_load(task.order))
            reply = _ask(order, SECONDS_TO_SCORE)
    except HarnessStopped as error:
        return Verdict("failed", "not_scored", detail=f"{error} while it scored the answer")
    _refuse(reply)
    if "error" in reply:
        return Verdict("failed", "not_scored", detail=reply["error"])
    if reply["right"]:
        return Verdict("right", None, reply["extracted"], "metric")
    if not reply["readable"]:
        return Verdict("unreadable", "no_match", None, "metric")
    return Verdict("wrong", "metric_wrong", reply["extracted"], "metric")


def _refuse(reply: Mapping[str, Any]) -> None:
    if "refused" in reply:
        raise ConfigurationError(reply["refused"])


# -- the process -------------------------------------------------------------------------------------------------------


def _load(order: Mapping[str, Any]) -> dict[str, Any]:
    reply = _ask(order, SECONDS_TO_LOAD)
    if _running is not None and "questions" in reply:
        _running.held.add(order["number"])
    return reply


def _ask(order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The process's reply to an order.

    Raises:
        HarnessStopped: there is none; the next order starts a new process.
    """
    running = _start()
    try:
        running.connection.send(order)
        if running.connection.poll(seconds):
            reply: dict[str, Any] = running.connection.recv()
            return reply
        fault = f"lm-eval took longer than {seconds:.0f} s"
    except (EOFError, OSError):
        fault = "lm-eval's process ended (too much time or memory?)"
    except BaseException:  # its reply would be taken for that to the next order
        _stop()
        raise
    _stop()
    raise HarnessStopped(fault)


def _start() -> _Process:
    global _running
    if _running is not None and _running.process.poll() is None:
        return _running
    _stop()
    ours, its = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("harness_process.py")), str(its.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what tasks print
        stderr=subprocess.DEVNULL,
        pass_fds=[its.fileno()],
        start_new_session=True,  # Ctrl-C is the parent's to handle; this one ends when its pipe does
    )
    its.close()
    _running = _Process(process, ours, set())
    atexit.register(_stop)
    return _running


def _stop() -> None:
    global _running
    running, _running = _running, None
    if running is not None:
        running.process.kill()
        with contextlib.suppress(OSError):
            running.connection.close()
        running.process.wait()
