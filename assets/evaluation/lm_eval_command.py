"""lm-eval's own command as a process: its task files, the endpoint that it asks, and the samples that it logs."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from resources.chat.calls import Message
from resources.configuration import ConfigurationError
from resources.scratch import scratch_folder

LONGEST_SECONDS = 24 * 3600.0  # of one run of the command; it may download rows and wait for a slow model
AT_ONCE = 256  # requests that lm-eval has open; the engine's own limits hold
PROGRAM = Path(__file__).with_name("lm_eval_program.py")
COMPLETIONS, LOG_PROBABILITIES = "/v1/chat/completions", "/log_probabilities"  # paths of the relay
REPLACED = "_with_rows"  # ends the name of a task whose rows are replaced
LAST_ERROR = re.compile(r"^(?:\w+\.)*(?P<error>\w*(?:Error|Exception|Undefined\w*)): (?P<message>.+)", re.MULTILINE)
SHOWN_ERROR = 500  # characters

# Of messages and lm-eval's request. A request with a `continuation` asks for its `LogProbability` as text.
Answer = Callable[[tuple[Message, ...], Mapping[str, Any]], Awaitable[str]]


class LmEvalStopped(RuntimeError):
    """lm-eval's command failed or took too long. The message says what it reported."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What lm-eval logged of one question: its document, what was asked, and how the answer was graded."""

    task: str
    document: int
    reference: str
    messages: tuple[Message, ...]  # of the first request
    filtered: Mapping[str, str | None]  # by filter: what it read in the answer
    metrics: Mapping[tuple[str, str], Any]  # by metric and filter
    pairs: tuple[tuple[str, str], ...] = ()  # contexts and continuations, where log-probabilities are compared


@dataclass(frozen=True, slots=True)
class LmEvalReport:
    """What one run of the command wrote."""

    samples: Sequence[Sample]
    results: Mapping[str, Any]  # lm-eval's results file: configs, versions, n-shot, higher_is_better


async def run_command(order: Mapping[str, Any], answer: Answer, seconds: float = LONGEST_SECONDS) -> LmEvalReport:
    """Run `lm-eval run` once, with `answer` behind its endpoint. Its process group is ended, however this ends.

    Args:
        order: the task, its folder, the rows that replace its own, the number of shots, and whether it compares
            log-probabilities.
        answer: answers a request.
        seconds: longest time.

    Raises:
        ConfigurationError: the task cannot be asked; the message is lm-eval's.
        LmEvalStopped: the command took longer, or was ended.
        Exception: the first one that `answer` raises; it ends the command.
    """
    with scratch_folder("lm-eval") as folder:
        task = _task_files(order, folder)
        async with _relay(answer) as (address, stopped):
            program = [str(PROGRAM)] if order["log_probabilities"] else ["-m", "lm_eval"]
            arguments = [*program, "run", *_arguments(order, task, folder, address)]
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
    arguments = ["--tasks", task, "--batch_size", "1", "--log_samples", "--output_path", str(folder / "out")]
    if order["log_probabilities"]:
        url = f"{address}{LOG_PROBABILITIES}"
        arguments += ["--model", "relay", "--model_args", f"base_url={url},num_concurrent={AT_ONCE}"]
    else:
        url = f"{address}{COMPLETIONS}"
        arguments += [
            *("--model", "local-chat-completions"),
            *("--model_args", f"base_url={url},model=tested,num_concurrent={AT_ONCE},max_retries=1,timeout=86400"),
            *("--apply_chat_template", "--fewshot_as_multiturn", "true"),
        ]
    if include is not None:
        arguments += ["--include_path", str(include)]
    if order["shots"] is not None:
        arguments += ["--num_fewshot", str(order["shots"])]
    return arguments


async def _run(arguments: Sequence[str], errors: Path, seconds: float) -> None:
    with errors.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *arguments),
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
    """A server on loopback for chat completions and log-probabilities: its address, and the error that ends it."""
    stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def answered(messages: tuple[Message, ...], body: Mapping[str, Any]) -> str:
        try:
            return await answer(messages, body)
        except Exception as error:  # whatever ends an evaluation: a spent budget, an unusable endpoint
            if not stopped.done():
                stopped.set_result(error)
            raise web.HTTPServiceUnavailable from error

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        text = await answered(tuple(Message(one["role"], one["content"]) for one in body["messages"]), body)
        for stop in body.get("stop") or ():  # as a server would
            text = text.split(stop, 1)[0] if stop else text
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    async def score(request: web.Request) -> web.Response:
        body = await request.json()
        return web.Response(
            text=await answered((Message("user", body["context"]),), body), content_type="application/json"
        )

    application = web.Application(client_max_size=2**26)
    application.router.add_post(COMPLETIONS, complete)
    application.router.add_post(LOG_PROBABILITIES, score)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}", stopped
    finally:
        await runner.cleanup()


# -- task files --------------------------------------------------------------------------------------------------------


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


# -- what it logs ------------------------------------------------------------------------------------------------------


def _read_report(folder: Path) -> LmEvalReport:
    results = json.loads(max(folder.rglob("results_*.json")).read_text(encoding="utf-8"))
    logged: dict[tuple[str, int], list[dict[str, Any]]] = {}  # one line per question and filter
    for file in sorted(folder.rglob("samples_*.jsonl")):
        task = re.sub(r"^samples_(.+)_\d{4}-\d\d-\d\dT.*$", r"\1", file.name)
        with file.open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                logged.setdefault((task, int(line["doc_id"])), []).append(line)
    return LmEvalReport([_sample(task, document, lines) for (task, document), lines in logged.items()], results)


def _sample(task: str, document: int, lines: Sequence[Mapping[str, Any]]) -> Sample:
    requests = list(lines[0]["arguments"].values())  # a generated answer has one, compared continuations have several
    asked, further = requests[0]["arg_0"], requests[0].get("arg_1")
    pairs: tuple[tuple[str, str], ...] = ()
    if isinstance(further, str):  # else it is how to generate
        pairs = tuple((one["arg_0"], one["arg_1"]) for one in requests)
        messages = [{"role": "user", "content": asked}]
    else:
        messages = json.loads(asked[0] if isinstance(asked, list) else asked)
    return Sample(
        task,
        document,
        _text(lines[0]["target"]) or "",
        tuple(Message(one["role"], one["content"]) for one in messages),
        {line["filter"]: _text(_first(line["filtered_resps"])) for line in lines},
        {(metric, line["filter"]): line[metric] for line in lines for metric in line["metrics"]},
        pairs,
    )


def _first(read: Any) -> Any:
    """What a filter read: the only one of a list, or what is not a list."""
    return next(iter(read), None) if isinstance(read, list) else read or None


def _text(value: Any) -> str | None:
    """A text as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)
