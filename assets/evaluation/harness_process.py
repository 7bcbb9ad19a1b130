"""The process in which lm-eval runs: it builds a task's prompts, and reads and scores answers; it calls no model.

`harness.py` starts it as a program of its own and talks to it over a pipe: an order in, a reply out, both plain
dictionaries. So a metric that is lost in what a model wrote holds up no run, metrics have the main thread that those
with alarms need, and the run's process carries none of lm-eval's imports. It imports nothing of this project.
"""

import contextlib
import hashlib
import json
import re
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FEWSHOT_SEED = 1234  # what lm-eval's own command takes
ANSWER_TOKENS = 256  # what lm-eval takes where a task has no limit
SECONDS_AN_ANSWER = 30  # of CPU time, to score it
MEMORY_AN_ANSWER = 2 * 1024**3  # of address space, on top of what the tasks take
INVALID = "[invalid]"  # what its filters give where they find nothing, if a task says nothing else
SHOWN_NAMES = 5

Order = Mapping[str, Any]
Reply = dict[str, Any]


class Refused(Exception):
    """The task cannot be asked so; the message says why and what to do."""


@dataclass(frozen=True)
class Held:
    """A task as it was loaded, or the tasks of a group."""

    instances: Mapping[str, tuple[Any, Any]]  # question id -> its task and its request
    metric: str
    filter: str


def load(order: Order) -> tuple[Held, Reply]:
    """Load a task, or the tasks of a group or tag, and build what is asked.

    Args:
        order: `task`, `include_path`, `metric`, `filter`, `shots`, and `rows` and `shot_rows` where they replace the
            task's own; each but the task may be None.

    Returns:
        The task, and the reply: `questions` (id, cluster, messages as role and content, reference), what the task
        itself says of `shots`, `temperature` and `max_tokens`, and `facts`, which tell one version from another.

    Raises:
        Refused: there is no such task, a chat endpoint cannot answer it, or its rows cannot be had.
    """
    manager = _manager_with(order)
    tasks = _tasks(manager, order)
    instances: dict[str, tuple[Any, Any]] = {}
    for name, task in tasks.items():
        for instance in _requests(name, task, order):
            place = str(instance.doc_id)
            instances[place if len(tasks) == 1 else f"{name}:{place}"] = (task, instance)
    metric, chosen = _measure(tasks, instances, order)
    questions = [
        {
            "id": place,
            "cluster": task.config.task if len(tasks) > 1 else place,
            "messages": [(message["role"], message["content"]) for message in instance.args[0]],
            "reference": _reference(task, instance.doc),
        }
        for place, (task, instance) in instances.items()
    ]
    generation = [task.config.generation_kwargs or {} for task in tasks.values()]
    reply = {
        "questions": questions,
        "shots": max(task.config.num_fewshot or 0 for task in tasks.values()),
        "temperature": max(float(one.get("temperature") or 0) for one in generation),
        "max_tokens": max(int(one.get("max_gen_toks") or ANSWER_TOKENS) for one in generation),
        "facts": {
            "task": order["task"],
            "lm_eval": version("lm_eval"),
            "versions": {name: str(task.VERSION) for name, task in tasks.items()},
            "hash": _hash(manager, tasks),
            "metric": metric,
            "filter": chosen,
        },
    }
    return Held(instances, metric, chosen), reply


def score(held: Held, place: str, text: str) -> Reply:
    """What a task makes of an answer: `right`, and `extracted`, what its filter read; `readable`: whether it read any.

    Raises:
        Refused: the metric does not tell right from wrong.
        Exception: whatever the task's own code raises.
    """
    task, instance = held.instances[place]
    value, extracted = _scored(task, instance, held.filter, text)
    return {
        "right": _right(value[held.metric], held.metric),
        "extracted": extracted if isinstance(extracted, str) else json.dumps(extracted, default=str),
        "readable": extracted not in (None, "", []) and extracted not in _fallbacks(task, held.filter),
    }


# -- finding and loading -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _manager(include_path: str | None, shipped: bool) -> Any:
    """Knows every task by name. Reading those that come with lm-eval takes some seven seconds."""
    from lm_eval.tasks import TaskManager
    from lm_eval.utils import env

    env.from_string = lru_cache(maxsize=1024)(env.from_string)  # it compiles a task's templates anew for each row
    return TaskManager(include_path=include_path, include_defaults=shipped)


def _manager_with(order: Order) -> Any:
    """A manager that knows the task: of the folder's own tasks, else of those that come with lm-eval."""
    name, folder = order["task"], order["include_path"]
    if folder is not None and not Path(folder).is_dir():
        raise Refused(f"include_path {folder} is no folder")
    own = _manager(folder, False) if folder is not None else None
    if own is not None and name in own.task_index:
        try:
            list(_leaves(own, name))
        except Refused:  # a group that names shipped tasks
            return _manager(folder, True)
        return own
    shipped = _manager(None, True)
    if name in shipped.task_index:
        return shipped
    near = get_close_matches(name, [*(own.all_tasks if own else ()), *shipped.all_tasks], SHOWN_NAMES)
    told = f"names near it: {', '.join(near)}" if near else "`lm-eval ls tasks` lists all"
    where = f", nor is there one in {folder}" if folder is not None else ""
    raise Refused(f"lm-eval {version('lm_eval')} has no task {name!r}{where}; {told}")


def _leaves(manager: Any, named: str | Mapping[str, Any]) -> Iterator[Any]:
    """The entries of the tasks that a name stands for, or a member of a group (a name, or a group within the group).

    Raises:
        Refused: one of them is not known.
    """
    name = named if isinstance(named, str) else named.get("group") or named.get("task")
    entry = manager.task_index.get(name)
    if entry is not None and entry.kind.name in ("TASK", "PY_TASK"):
        yield entry
        return
    if entry is None and isinstance(named, str):
        raise Refused(f"a group of lm-eval's names {named!r}, which is no task")
    inline = named if isinstance(named, Mapping) else {}
    config = inline if entry is None else entry.cfg
    members = sorted(entry.tags) if entry is not None and entry.kind.name == "TAG" else config.get("task")
    for one in members if isinstance(members, list) else ():
        yield from _leaves(manager, one)


def _tasks(manager: Any, order: Order) -> Mapping[str, Any]:
    """The loaded tasks by name: one, or those of a group or tag."""
    name = order["task"]
    entries = list(_leaves(manager, name))
    if not entries:
        raise Refused(f"lm-eval's group {name!r} names no task")
    for entry in entries:
        _check_suited(entry.name, entry.cfg or {})
    changed: dict[str, Any] = {} if order["shots"] is None else {"num_fewshot": order["shots"]}
    if order["rows"] is not None:
        changed |= _with_rows([entry.cfg for entry in entries], order)
    index = manager.task_index
    try:
        # What `manager.load` does with a name; changes given to it as a mapping lose the names of a group's tasks.
        built = manager._factory.build(index[name], overrides=changed, registry=index)
        tasks: Mapping[str, Any] = manager.load(built if isinstance(built, list) else [built])["tasks"]
    except Exception as error:
        hint = "Install it beside lm-eval" if isinstance(error, ImportError) else _about_rows(entries, order)
        raise Refused(f"lm-eval could not load {name!r}: {_told(error)}. {hint}") from error
    for one, task in tasks.items():
        _check_suited(one, vars(task.config))
    return tasks


def _check_suited(name: str, config: Mapping[str, Any]) -> None:
    """Whether a chat endpoint can answer a task, and lm-eval's code may score what it wrote."""
    output_type = config.get("output_type") or "generate_until"
    faults = {
        "is written as a Python class; only such as are written in YAML are carried": "class" in config,
        f"is of output type {output_type!r}: it compares probabilities of tokens, which a chat endpoint does not tell. "
        "Take one of output type generate_until, or a benchmark of kind multiple_choice": (
            output_type != "generate_until"
        ),
        "runs the code that a model wrote, in no sandbox. Take a benchmark of kind code": bool(
            config.get("unsafe_code")
        ),
        "begins the answer itself (gen_prefix), which a chat endpoint does not go on with": bool(
            config.get("gen_prefix")
        ),
        "shows pictures or plays sound": bool(config.get("doc_to_image") or config.get("doc_to_audio")),
        "asks each question several times and scores the answers together (repeats)": (config.get("repeats") or 1) > 1,
    }
    for fault, found in faults.items():
        if found:
            raise Refused(f"lm-eval's task {name!r} {fault}")


def _with_rows(configs: Sequence[Mapping[str, Any]], order: Order) -> Mapping[str, Any]:
    """What to change in tasks so that they take the given rows for their own."""
    from datasets import Dataset, DatasetDict

    places = {(config.get("dataset_path"), config.get("dataset_name")) for config in configs}
    if len(places) > 1:
        raise Refused(f"{order['task']!r} takes the rows of {len(places)} data sets: `rows` can be given for one task")
    asked = {config.get("test_split") or config.get("validation_split") or "test" for config in configs}
    named = {
        split
        for config in configs
        for split in (
            *(config.get(f"{part}_split") for part in ("training", "validation", "fewshot")),
            *((config.get("fewshot_config") or {}).get(key) for key in ("split",)),
        )
        if split
    }
    try:
        rows = Dataset.from_list(order["rows"])
        others = Dataset.from_list(order["shot_rows"]) if order["shot_rows"] else rows.select([])
    except Exception as error:
        raise Refused(f"its rows are no table: {_told(error)}") from error
    data = DatasetDict({**dict.fromkeys(named, others), **dict.fromkeys(asked, rows)})
    return {"custom_dataset": lambda **_: data, "dataset_kwargs": None}


def _requests(name: str, task: Any, order: Order) -> Sequence[Any]:
    """Every request of a task, as messages, in the words that lm-eval's own command sends to a chat endpoint."""
    shots = task.config.num_fewshot or 0
    if shots and len(list(task.fewshot_docs())) < shots:
        raise Refused(f"lm-eval's task {name!r} finds fewer than {shots} examples: give shot_rows, or shots: 0")
    task.set_fewshot_seed(FEWSHOT_SEED)
    try:
        task.build_all_requests(
            apply_chat_template=True, fewshot_as_multiturn=True, chat_template=lambda messages, **_: messages
        )
    except Exception as error:
        fields = ", ".join(task.features)
        raise Refused(f"lm-eval's task {name!r} cannot ask its rows: {_told(error)}. Their fields: {fields}") from error
    instances: Sequence[Any] = task.instances
    return instances


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _about_rows(entries: Sequence[Any], order: Order) -> str:
    if order["rows"] is not None:
        return f"Fields of the given rows: {', '.join(order['rows'][0])}"
    places = sorted({str(entry.cfg.get("dataset_path")) for entry in entries if entry.cfg})
    return f"It looks for its rows in {', '.join(places) or 'no place'}; `rows` takes them from another"


# -- scoring -----------------------------------------------------------------------------------------------------------


def _measure(tasks: Mapping[str, Any], instances: Mapping[str, tuple[Any, Any]], order: Order) -> tuple[str, str]:
    """The metric and the filter that decide: as ordered, else the task's first. Tried on an empty answer each."""
    chosen: set[tuple[str, str]] = set()
    for name, task in tasks.items():
        filters = list(_filters(task))
        filtered = order["filter"] or filters[0]
        if filtered not in filters:
            raise Refused(f"lm-eval's task {name!r} has no filter {filtered!r}: it has {', '.join(filters)}")
        instance = next(one for held, one in instances.values() if held is task)
        try:
            values = _scored(task, instance, filtered, "")[0]
        except Exception as error:
            raise Refused(f"lm-eval's task {name!r} cannot score: {_told(error)}") from error
        metric = order["metric"] or next(iter(values), "")
        if metric not in values:
            raise Refused(f"lm-eval's task {name!r} has no metric {metric!r}: it has {', '.join(values)}")
        _right(values[metric], metric)
        if task.higher_is_better().get(metric) is False:
            raise Refused(f"metric {metric!r} of lm-eval's task {name!r} is the lower the better: a share of what?")
        chosen.add((metric, filtered))
    if len(chosen) > 1:
        pairs = ", ".join(f"{metric} of {filtered}" for metric, filtered in sorted(chosen))
        raise Refused(f"the tasks of {order['task']!r} are not decided alike ({pairs}): give metric and filter")
    return chosen.pop()


def _filters(task: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """A task's filters by name: each a chain of steps."""
    if task.config.filter_list is None:
        return {"none": [{"function": "take_first"}]}
    return {one["name"]: one["filter"] for one in task.config.filter_list}


def _scored(task: Any, instance: Any, name: str, text: str) -> tuple[Mapping[str, Any], Any]:
    """The metrics of an answer, and what the filter read."""
    from lm_eval.filters import build_filter_ensemble

    steps = [
        (step["function"], {key: value for key, value in step.items() if key != "function"})
        for step in _filters(task)[name]
    ]
    answered = replace(instance, resps=[_cut(text, instance.args[1].get("until"))], filtered_resps={})
    build_filter_ensemble(name, steps).apply([answered])
    extracted = answered.filtered_resps[name]
    return task.process_results(instance.doc, [extracted]), extracted


def _cut(text: str, until: str | Sequence[str] | None) -> str:
    """An answer up to where the task would have stopped the model."""
    for stop in [until] if isinstance(until, str) else until or ():
        text = text.split(stop, 1)[0] if stop else text
    return text


def _right(value: Any, metric: str) -> bool:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(value, str) and float(value) in (0.0, 1.0):
            return bool(float(value))
    raise Refused(f"metric {metric!r} does not tell right from wrong: it gave {str(value)[:80]}. Choose another")


def _fallbacks(task: Any, name: str) -> set[str]:
    return {INVALID, *(str(step["fallback"]) for step in _filters(task)[name] if step.get("fallback") is not None)}


def _reference(task: Any, doc: Mapping[str, Any]) -> str:
    target = task.doc_to_target(doc)
    if task.config.doc_to_choice is not None and isinstance(target, int):
        target = task.doc_to_choice(doc)[target]
    return target if isinstance(target, str) else json.dumps(target, default=str)


_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
NO_PART_OF_A_TASK = ("metadata", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs")


def _hash(manager: Any, tasks: Mapping[str, Any]) -> str:
    """Of all that a task is, wherever its files and rows lie: its settings, and the Python beside them."""
    parts: list[Any] = []
    for name, task in sorted(tasks.items()):
        told = {key: value for key, value in task.dump_config().items() if key not in NO_PART_OF_A_TASK}
        entry = manager.task_index.get(name)
        folder = entry.yaml_path.parent if entry is not None and entry.yaml_path else None
        code = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))] if folder else []
        parts.append([name, told, code])
    text = _ADDRESS.sub("", json.dumps(parts, sort_keys=True, default=str))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- the process -------------------------------------------------------------------------------------------------------


def serve(connection: Connection) -> None:
    """Answer orders until there is nobody to give any: `load` with a number, then `score` with that number."""
    tasks: dict[int, Held] = {}
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        try:
            if order["do"] == "load":
                _limit(None)
                tasks[order["number"]], reply = load(order)
            else:
                _limit(SECONDS_AN_ANSWER)
                reply = score(tasks[order["number"]], order["id"], order["text"])
        except Refused as error:
            reply = {"refused": str(error)}
        except Exception as error:
            reply = {"error": _told(error)}
        connection.send(reply)


def _limit(seconds: int | None) -> None:
    """Let the kernel end this process where an answer takes longer or more memory: a long match hears nobody else."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    unlimited = resource.RLIM_INFINITY
    time = unlimited if seconds is None else int(used.ru_utime + used.ru_stime) + 1 + seconds
    memory = unlimited if seconds is None else _address_space() + MEMORY_AN_ANSWER
    for what, limit in ((resource.RLIMIT_CPU, time), (resource.RLIMIT_AS, memory)):
        with contextlib.suppress(OSError, ValueError):  # some systems do not know it
            resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))


def _address_space() -> int:
    """In bytes, as the kernel counts it; where it does not tell, so much that it limits nothing."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**62


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
