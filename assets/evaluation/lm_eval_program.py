"""The program that runs lm-eval: it writes the prompts of a task, and grades answers to them. It calls no model.

`lm_eval_tasks.py` starts it as a process of its own: it reads one order as JSON from standard input, and writes
replies to standard output, one JSON object per line. It uses public classes and functions of lm-eval only, and imports
nothing of this project.
"""

import contextlib
import json
import os
import re
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

FEWSHOT_SEED = 1234  # the default of lm-eval's own command
ANSWER_TOKENS = 256  # the default of lm-eval's chat endpoints, where a task has no limit
CPU_SECONDS_PER_ANSWER = 60
MEMORY_FOR_ANSWERS = 2 * 1024**3  # bytes of address space, beyond what the loaded tasks take
INVALID = "[invalid]"  # what a regex filter gives where it finds nothing, unless the task says otherwise
SHOWN_NAMES = 5
REPLACED_SPLIT = "rows"

Order = Mapping[str, Any]
Reply = dict[str, Any]


class Refused(Exception):
    """The task cannot be asked as configured. The message says why and what to do."""


@dataclass(frozen=True)
class Request:
    """One question of a task."""

    name: str  # of the task
    task: Any  # lm_eval.api.task.Task
    instance: Any  # lm_eval.api.instance.Instance: its document, its messages, how it is generated


def main() -> None:
    """Carry out one order: describe a task, or where it holds `answers` (pairs of question id and text) grade them."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # tasks print
    order = json.load(sys.stdin)

    def reply(values: Reply) -> None:
        replies.write(json.dumps(values) + "\n")
        replies.flush()

    try:
        requests = load(order)
        if "answers" not in order:
            reply(describe(requests, order))
            return
        reply({"loaded": True})
        _limit(resource.RLIMIT_AS, _address_space() + MEMORY_FOR_ANSWERS)
        for question, text in order["answers"]:
            # A long regex match handles no signal of ours, but the kernel ends it.
            _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + CPU_SECONDS_PER_ANSWER)
            reply(grade(requests[question], order, text))
    except Refused as error:
        reply({"refused": str(error)})


# -- loading -----------------------------------------------------------------------------------------------------------


def load(order: Order) -> dict[str, Request]:
    """The questions of a task, or of the tasks of a group or tag, by their ids.

    Raises:
        Refused: there is no such task, its rows cannot be read or asked, or a chat endpoint cannot answer it.
    """
    try:
        tasks = _load_tasks(order)
        for name, task in tasks.items():
            _check_suitable(name, task)
        return _build_requests(tasks, order)
    except Refused:
        raise
    except Exception as error:  # whatever lm-eval, `datasets` and the task's own code raise
        given = f"the given rows have the fields {', '.join(order['rows'][0])}" if order["rows"] else ""
        hint = given or "`rows` reads the rows of a task from another location"
        raise Refused(f"lm-eval cannot load the task {order['task']!r}: {_described(error)}; {hint}") from error


def _load_tasks(order: Order) -> Mapping[str, Any]:
    """The task by its name: from `include_path`, else from those that come with lm-eval."""
    from lm_eval.tasks import TaskManager

    name, folder = order["task"], order["include_path"]
    if folder is not None and not Path(folder).is_dir():
        raise Refused(f"include_path {folder} is not a folder")
    own = TaskManager(include_path=folder, include_defaults=False)  # reading the shipped tasks takes seconds
    if name in own.all_subtasks:
        return _with_rows(own, order)
    manager = TaskManager(include_path=folder)  # a group of one's own may name shipped tasks
    if name in manager.all_tasks:
        return _with_rows(manager, order)
    near = get_close_matches(name, manager.all_tasks, SHOWN_NAMES)
    hint = f"names near it: {', '.join(near)}" if near else "`lm-eval ls tasks` lists all"
    raise Refused(f"lm-eval {version('lm_eval')} has no task {name!r}; {hint}")


def _with_rows(manager: Any, order: Order) -> Mapping[str, Any]:
    name = order["task"]
    loaded = name
    if order["rows"] is not None:
        if name not in manager.all_subtasks:
            raise Refused(f"{name!r} is a group or tag of lm-eval: `rows` can be given for a single task only")
        data = _Splits(order)
        changes = {"test_split": REPLACED_SPLIT, "custom_dataset": lambda **_: data, "dataset_kwargs": None}
        loaded = {"group": "replaced", "task": [{"task": name, **changes}]}
    tasks: Mapping[str, Any] = manager.load(loaded)["tasks"]
    return tasks


class _Splits(dict[str, Any]):
    """The rows that replace a task's own. Any other split that the task names holds the rows for examples."""

    def __init__(self, order: Order) -> None:
        from datasets import Dataset

        rows = Dataset.from_list(order["rows"])
        self.examples = Dataset.from_list(order["shot_rows"]) if order["shot_rows"] else rows.select([])
        super().__init__({REPLACED_SPLIT: rows})

    def __missing__(self, split: str) -> Any:
        return self.examples


UNSUITABLE = {  # settings of a task that a chat endpoint cannot follow, or that lm-eval's code must not
    "unsafe_code": "runs the code that a model wrote outside a sandbox. Take a benchmark of kind code",
    "gen_prefix": "begins the answer itself (gen_prefix), which a chat endpoint does not continue",
    "doc_to_image": "shows pictures",
    "doc_to_audio": "plays sound",
}


def _check_suitable(name: str, task: Any) -> None:
    faults = [fault for field, fault in UNSUITABLE.items() if getattr(task.config, field, None)]
    if task.OUTPUT_TYPE != "generate_until":
        faults.append(
            f"is of output type {task.OUTPUT_TYPE!r}: it compares probabilities of tokens, which a chat endpoint does "
            "not return. Take a task of output type generate_until, or a benchmark of kind multiple_choice"
        )
    if (getattr(task.config, "repeats", None) or 1) > 1:
        faults.append("asks each question several times and grades the answers together (repeats)")
    if faults:
        raise Refused(f"lm-eval's task {name!r} {faults[0]}")


def _build_requests(tasks: Mapping[str, Any], order: Order) -> dict[str, Request]:
    """Every question, as the messages that lm-eval's own command sends to a chat endpoint."""
    requests: dict[str, Request] = {}
    for name, task in tasks.items():
        if order["shots"] is not None:
            task.set_config("num_fewshot", order["shots"])
        shots = task.config.num_fewshot or 0
        if shots and len(list(task.fewshot_docs() or ())) < shots:
            raise Refused(f"lm-eval's task {name!r} finds fewer than {shots} examples: give shot_rows, or shots: 0")
        task.set_fewshot_seed(FEWSHOT_SEED)
        task.build_all_requests(
            apply_chat_template=True, fewshot_as_multiturn=True, chat_template=lambda messages, **_: messages
        )
        for instance in task.instances:
            item = str(instance.doc_id)
            requests[item if len(tasks) == 1 else f"{name}:{item}"] = Request(name, task, instance)
    return requests


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


# -- describing --------------------------------------------------------------------------------------------------------


def describe(requests: Mapping[str, Request], order: Order) -> Reply:
    """What is asked, the task's own settings, and what distinguishes one version of it from another.

    Raises:
        Refused: its metric does not say right or wrong.
    """
    first = {request.name: request for request in requests.values()}
    tasks = {name: request.task for name, request in first.items()}
    measures = {_metric_and_filter(request, order) for request in first.values()}
    if len(measures) > 1:
        pairs = ", ".join(f"{metric} of {filtered}" for metric, filtered in sorted(measures))
        raise Refused(f"the tasks of {order['task']!r} are graded differently ({pairs}): give metric and filter")
    ((metric, filtered),) = measures
    generation = [task.config.generation_kwargs or {} for task in tasks.values()]
    settings = json.dumps({name: task.dump_config() for name, task in tasks.items()}, default=str)
    return {
        "questions": [
            {
                "id": item,
                "cluster": request.name if len(tasks) > 1 else item,
                "messages": [(message["role"], message["content"]) for message in request.instance.args[0]],
                "reference": _reference(request),
            }
            for item, request in requests.items()
        ],
        "shots": max(task.config.num_fewshot or 0 for task in tasks.values()),
        "temperature": max(float(one.get("temperature") or 0) for one in generation),
        "max_tokens": max(int(one.get("max_gen_toks") or ANSWER_TOKENS) for one in generation),
        "lm_eval": version("lm_eval"),
        "versions": {name: str(task.VERSION) for name, task in tasks.items()},
        "configurations": json.loads(re.sub(r" at 0x[0-9a-f]+", "", settings)),  # without addresses of functions
        "metric": metric,
        "filter": filtered,
    }


def _metric_and_filter(request: Request, order: Order) -> tuple[str, str]:
    """The metric and the filter that decide: as ordered, else the task's first. They are tried on an empty answer."""
    where, filters = f"lm-eval's task {request.name!r}", list(_filters(request.task))
    filtered = order["filter"] or filters[0]
    if filtered not in filters:
        raise Refused(f"{where} has no filter {filtered!r}: it has {', '.join(filters)}")
    try:
        values, _ = _evaluate(request, filtered, "")
    except Exception as error:  # whatever the task's own code raises
        raise Refused(f"{where} cannot grade: {_described(error)}") from error
    metric = order["metric"] or next(iter(values), "")
    if metric not in values:
        raise Refused(f"{where} has no metric {metric!r}: it has {', '.join(values)}")
    _is_right(values[metric], metric)
    if request.task.higher_is_better().get(metric) is False:
        raise Refused(f"metric {metric!r} of {where} is better the lower it is: choose another")
    return metric, filtered


def _reference(request: Request) -> str:
    task, doc = request.task, request.instance.doc
    target = task.doc_to_target(doc)
    if getattr(task.config, "doc_to_choice", None) is not None and isinstance(target, int):
        target = task.doc_to_choice(doc)[target]
    return target if isinstance(target, str) else json.dumps(target, default=str)


# -- grading -----------------------------------------------------------------------------------------------------------


def grade(request: Request, order: Order, text: str) -> Reply:
    """Grade one answer: `right`; `extracted`, what the filter read; `readable`, whether it read any; or `error`.

    Raises:
        Refused: the metric does not say right or wrong.
    """
    try:
        values, extracted = _evaluate(request, order["filter"], text)
    except Exception as error:  # whatever the task's own code raises
        return {"error": _described(error)}
    steps = _filters(request.task)[order["filter"]]
    fallbacks = {INVALID, *(str(step["fallback"]) for step in steps if step.get("fallback") is not None)}
    return {
        "right": _is_right(values[order["metric"]], order["metric"]),
        "extracted": extracted if isinstance(extracted, str) else json.dumps(extracted, default=str),
        "readable": extracted not in (None, "", []) and extracted not in fallbacks,
    }


def _filters(task: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """A task's filters by name: each a chain of steps."""
    listed = getattr(task.config, "filter_list", None)
    if listed is None:
        return {"none": [{"function": "take_first"}]}
    return {one["name"]: one["filter"] for one in listed}


def _evaluate(request: Request, filtered: str, text: str) -> tuple[Mapping[str, Any], Any]:
    """The metrics of an answer, cut where the task would have stopped the model, and what the filter read in it."""
    from lm_eval.filters import build_filter_ensemble

    until = request.instance.args[1].get("until")
    for stop in [until] if isinstance(until, str) else until or ():
        text = text.split(stop, 1)[0] if stop else text
    steps = [
        (step["function"], {key: value for key, value in step.items() if key != "function"})
        for step in _filters(request.task)[filtered]
    ]
    answered = replace(request.instance, resps=[text], filtered_resps={})
    build_filter_ensemble(filtered, steps).apply([answered])
    extracted = answered.filtered_resps[filtered]
    return request.task.process_results(request.instance.doc, [extracted]), extracted


def _is_right(value: Any, metric: str) -> bool:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(value, str) and float(value) in (0.0, 1.0):
            return bool(float(value))
    raise Refused(f"metric {metric!r} does not say right or wrong: it gave {str(value)[:80]}. Choose another")


# -- limits ------------------------------------------------------------------------------------------------------------


def _limit(what: int, limit: int) -> None:
    """Let the kernel refuse this process more than that."""
    with contextlib.suppress(OSError, ValueError):  # some systems do not know a limit
        resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))


def _address_space() -> int:
    """Bytes that this process has mapped; so many that they limit nothing where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**62


if __name__ == "__main__":
    main()
