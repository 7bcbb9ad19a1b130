"""The connection between the process of the tests and that of the code: each can call what the other offers.

One line of JSON is one message: `[operation, value]` asks the other side to apply an operation to
`[object, *arguments, keyword arguments]`; `["returned", value]` or `["raised", value]` answers. While a side waits for
an answer it answers the other's requests, so that code can call a function that the tests passed to it. A mutable
argument has the same contents on both sides after a call.
"""

import builtins
import contextlib
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, NoReturn

from resources.sandbox.inside.values import MUTABLE, Node, decode, encode

Operations = Mapping[str, Callable[..., Any]]


class Remote:
    """An object of the other process that has no plain value, such as a function.

    It is equal to itself only and always true: no comparison runs code of the other process.
    """

    def __init__(self, connection: "Connection", position: int) -> None:
        self.__dict__["_remote"] = connection, position

    def _ask(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        return self.__dict__["_remote"][0].request(operation, self, *arguments, **keywords)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._ask("call", *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("setattr", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._ask("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("setitem", key, value)

    def __len__(self) -> int:
        return int(self._ask("len"))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return self._ask("iter")  # type: ignore[no-any-return]

    def __next__(self) -> Any:
        return self._ask("next")


async def _awaited(remote: Remote) -> Any:
    """A coroutine of the other process, as one of this process."""
    return remote._ask("await")


class Connection:
    """One end of the connection.

    Args:
        descriptor: of a socket; the other end belongs to the other process.
        operations: what the other process can ask for; each gets the object and the arguments.
        on_fault: called with `gone`, `unreadable` or `left` and a text, where the other process ended the connection,
            sent what is not a message, or raised what is no Exception. It ends this process.
        describe: an error as text.
    """

    def __init__(
        self,
        descriptor: int,
        operations: Operations,
        on_fault: Callable[[str, str], NoReturn],
        describe: Callable[[BaseException], str],
    ) -> None:
        self.descriptor, self.operations, self.on_fault, self.describe = descriptor, operations, on_fault, describe
        self.reader = open(descriptor, "rb", closefd=False)  # noqa: SIM115 - open as long as the process is
        self.exported: list[Any] = []
        self.positions: dict[int, int] = {}  # id of an exported object
        self.imported: dict[int, Remote] = {}

    # -- asking --------------------------------------------------------------------------------------------------------

    def request(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """What the operation returns in the other process. Raises what it raises there, as a built-in exception."""
        form, objects = encode([*arguments, keywords], self._export)
        self.send(operation, form)
        return self.result(operation, _containers(form, objects))

    def result(self, operation: str, containers: list[Any]) -> Any:
        """The answer to a request. The containers that were its arguments get the contents that it left in them."""
        while True:
            kind, form = self.receive()
            if kind in ("returned", "raised"):
                break
            self.answer(kind, form)
        try:
            positions = [child[0] for child in form[1][0][1][1:]]
            value = decode(form, self._import, dict(zip(positions, containers, strict=True)))[-1][0]
            if kind == "raised":
                value = _exception(*value)
        except Exception as error:
            self.on_fault("unreadable", f"{type(error).__name__} while its answer was read")
        if kind == "returned":
            return value
        if not isinstance(value, Exception):
            self.on_fault("left", str(value))
        if isinstance(value, StopIteration | StopAsyncIteration) and operation != "next":
            raise RuntimeError(f"the code raised {type(value).__name__}")  # it would end a loop of the tests
        raise value

    # -- answering -----------------------------------------------------------------------------------------------------

    def answer(self, operation: str, form: list[Any]) -> None:
        """Do what the other process asks for and send the result."""
        try:
            objects = decode(form, self._import)
            *arguments, keywords = objects.pop()
            work: Callable[..., Any] = self.operations.get(operation, _refuse)
            names = dict(keywords)
        except Exception as error:
            self.on_fault("unreadable", f"{type(error).__name__} while its request was read")
        self.attempt(lambda: work(*arguments, **names), _containers(form, objects))

    def attempt(self, work: Callable[[], Any], containers: list[Any]) -> None:
        """Send what the work returns or raises, and the containers' contents after it."""
        try:
            message = _message("returned", encode([work(), *containers], self._export)[0])
        except BaseException as error:
            names = [base.__name__ for base in type(error).__mro__ if getattr(builtins, base.__name__, None) is base]
            raised = (self.describe(error), names, error.args)
            message = _message("raised", encode([raised, *containers], self._export)[0])
        self._write(message)

    # -- messages ------------------------------------------------------------------------------------------------------

    def send(self, kind: str, form: list[Any]) -> None:
        """Write one message."""
        self._write(_message(kind, form))

    def _write(self, message: bytes) -> None:
        rest = memoryview(message)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # reading finds it out
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

    def receive(self) -> tuple[str, list[Any]]:
        """Read one message."""
        try:
            line = self.reader.readline()
        except ConnectionResetError:
            line = b""
        if not line:
            self.on_fault("gone", "")
        try:
            kind, form = json.loads(line)
        except (ValueError, TypeError, RecursionError) as error:
            self.on_fault("unreadable", f"{type(error).__name__} while its message was read")
        return kind, form

    def _export(self, value: object) -> Node:
        if isinstance(value, Remote):
            return ["yours", value.__dict__["_remote"][1]]
        if id(value) not in self.positions:
            self.positions[id(value)] = len(self.exported)
            self.exported.append(value)
        return ["coroutine" if isinstance(value, Coroutine) else "remote", self.positions[id(value)]]

    def _import(self, node: Node) -> Any:
        kind, position = node
        if kind == "yours":
            return self.exported[position]
        if kind not in ("remote", "coroutine"):
            raise ValueError("a node of an unknown kind")
        remote = self.imported.setdefault(position, Remote(self, position))
        return remote if kind == "remote" else _awaited(remote)


def _message(kind: str, form: list[Any]) -> bytes:
    return json.dumps([kind, form]).encode() + b"\n"


def _refuse(*_: Any) -> NoReturn:
    raise TypeError("the code can only call an object that the tests passed to it")


def _containers(form: list[Any], objects: list[Any]) -> list[Any]:
    """The mutable containers among the objects of a request, without the list of its arguments."""
    return [one for one, node in zip(objects[1:], form[1][1:], strict=True) if node[0] in MUTABLE]


def _exception(text: str, names: list[str], arguments: tuple[Any, ...]) -> BaseException | str:
    """The nearest built-in exception of what was raised; its text where that is no Exception."""
    for name in names:
        kind = getattr(builtins, name)
        if not issubclass(kind, Exception):
            return text
        with contextlib.suppress(TypeError, ValueError):
            error: Exception = kind(*arguments)
            error.description = text  # type: ignore[attr-defined]
            return error
    return text
