"""The programs in the two sandboxes: `main` with the arguments `tests` or `code`, and facts as JSON.

The code's process runs the code and answers the requests of the tests. The tests' process never loads the code: it
calls the code's functions over the connection, gets plain values back, and alone reports how it ended. Both use only
Python's standard library, because the sandbox has no other packages. See `resources.sandbox.sandbox`.
"""

import builtins
import contextlib
import json
import math
import operator
import os
import resource
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NoReturn

from resources.sandbox.inside.connection import Connection

PACKAGES = "/packages"
STARTED, GONE = "started", "gone"
RLIMIT_SIGPENDING = 11  # Python's `resource` does not name it
ALIASES = {"np": "numpy"}
CODE_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "call": lambda function, *arguments, **keywords: function(*arguments, **keywords),
    **{function.__name__: function for function in (getattr, setattr, len, iter, next)},
    "await": lambda coroutine: __import__("asyncio").run(coroutine),
    **{function.__name__: function for function in (operator.getitem, operator.setitem)},
}


def main() -> None:
    side, facts = sys.argv[1], json.loads(sys.argv[2])
    source = sys.stdin.buffer.read()
    with open("/dev/null", "rb") as nothing:  # noqa: PTH123 - importing pathlib takes a tenth of the start
        os.dup2(nothing.fileno(), 0)
    sys.argv = ["program.py"]
    sys.path[-1] = PACKAGES  # in place of this program's folder
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads would count as processes
    if side == "code":
        serve_code(source, facts)
    else:
        run_tests(source, facts)
    os._exit(0)  # without waiting for threads and exit handlers


def limit(facts: dict[str, Any]) -> None:
    """Set the limits, and another user id where root started it: the limit on processes does not apply to root."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(RLIMIT_SIGPENDING, (64, 64))  # timers, too
    seconds = math.ceil(facts["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for kind, megabytes in ((resource.RLIMIT_AS, facts["memory_mb"]), (resource.RLIMIT_FSIZE, facts["file_mb"])):
        resource.setrlimit(kind, (megabytes * 2**20, megabytes * 2**20))
    if facts["user"]:
        os.setgroups([])
        os.setgid(facts["user"])
        os.setuid(facts["user"])
    # bubblewrap's process in the namespace and this one count too
    resource.setrlimit(resource.RLIMIT_NPROC, (facts["processes"] + 2, facts["processes"] + 2))


def describe(error: BaseException, file: str) -> str:
    """The error and its last line in the file. An error whose own text raises is described too."""
    line, frame = None, error.__traceback__
    while frame:
        line = frame.tb_lineno if frame.tb_frame.f_code.co_filename == file else line
        frame = frame.tb_next
    text = "(no text)"
    with contextlib.suppress(BaseException):
        text = str(error)
    if isinstance(error, SystemExit):
        return f"it left by SystemExit({text[:100]}) before its last line"
    where = f" (line {line} of the {file.partition('.')[0]})" if line else ""
    return f"{type(error).__name__}: {text[:1000]}{where}"


# -- the code ----------------------------------------------------------------------------------------------------------


def serve_code(source: bytes, facts: dict[str, Any]) -> NoReturn:
    """Run the code, then do what the tests ask for until they close the connection."""
    sys.modules["program"] = module = ModuleType("program")  # not __main__: demonstrations and input loops do not run
    names = vars(module)

    def find(name: str) -> object:
        if name not in names:
            raise NameError(f"the code does not define {name}")
        return names[name]

    connection = Connection(
        facts["connection"],
        {"name": find, **CODE_OPERATIONS},
        on_fault=lambda kind, text: os._exit(0),
        describe=lambda error: describe(error, "code.py"),
    )
    connection.send(STARTED, [])
    limit(facts)
    connection.attempt(lambda: exec(compile(source, "code.py", "exec"), names), [])  # noqa: S102 - what the sandbox is for
    while True:
        connection.answer(*connection.receive())


# -- the tests ---------------------------------------------------------------------------------------------------------


class Names(dict[str, Any]):
    """The built-in names of the tests. A name that the tests do not define is a module or else the code's."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__(vars(builtins))
        self.find = find

    def __missing__(self, name: str) -> Any:
        module = ALIASES.get(name, name)
        if module in sys.stdlib_module_names or os.path.isdir(f"{PACKAGES}/{module}"):  # noqa: PTH112 - see above
            return __import__(module)
        try:
            return self.find(name)
        except NameError:
            raise KeyError(name) from None


def run_tests(source: bytes, facts: dict[str, Any]) -> None:
    """Run the tests, whose calls of the code go over the connection, and report how they ended."""

    def end(ending: str, detail: str) -> NoReturn:
        report(facts, ending, detail)
        os._exit(0)

    def on_fault(kind: str, text: str) -> NoReturn:
        match kind:
            case "gone":
                end(GONE, "")
            case "left":
                end("killed", text)
            case _:
                end("error", f"the code disturbed its connection to the tests: {text}")

    def call(function: Any, *arguments: Any, **keywords: Any) -> Any:
        if not any(function is one for one in connection.exported):
            on_fault("unreadable", "it called what the tests did not pass to it")
        return function(*arguments, **keywords)

    connection = Connection(facts["connection"], {"call": call}, on_fault, lambda error: describe(error, "tests.py"))
    limit(facts)
    connection.receive()  # the other process has started
    report(facts, STARTED, "")
    try:
        if b"allclose" in source:
            compare_empty_arrays()
        connection.result("code", [])
        names = {"__name__": "__main__", "__builtins__": Names(lambda name: connection.request("name", name))}
        if facts["entry_point"]:
            names[facts["entry_point"]] = connection.request("name", facts["entry_point"])
        exec(compile(source, "tests.py", "exec"), names)  # noqa: S102 - what the sandbox is for
    except MemoryError:
        end("no_memory", "MemoryError")
    except SystemExit as leaving:
        end("killed", describe(leaving, "tests.py"))
    except BaseException as error:
        end("error", getattr(error, "description", None) or describe(error, "tests.py"))
    end("finished", "")


def compare_empty_arrays() -> None:
    """Make `numpy.allclose` false where only one value is empty: broadcast, an empty list is close to any number."""
    numpy: Any = __import__("numpy")
    allclose = numpy.allclose

    def close_and_not_empty(a: object, b: object, *arguments: Any, **named: Any) -> bool:
        one, other = numpy.asarray(a), numpy.asarray(b)  # once: an object of the code may change
        return (one.size == 0) == (other.size == 0) and bool(allclose(one, other, *arguments, **named))

    numpy.allclose = close_and_not_empty


def report(facts: dict[str, Any], ending: str, detail: str) -> None:
    """Write one line to the pipe."""
    with contextlib.suppress(OSError):
        os.write(facts["status"], json.dumps([ending, detail[:2000]]).encode() + b"\n")
