"""Code and its tests in two processes: what tests can do with code, and what code cannot do to its tests."""

import pytest

from resources.sandbox.sandbox import SandboxLimits, SandboxResult, run_code

pytestmark = pytest.mark.usefixtures("sandbox")

WRONG = "def double(n):\n    return 0\n"
TESTS = "expected = 8\nassert double(4) == expected\nassert double(0) == 0\n"
NODE = "class Node:\n    def __init__(self, value):\n        self.value, self.next = value, None\n"


def run(code: str, tests: str) -> SandboxResult:
    return run_code(code, tests, SandboxLimits(seconds=5), ["numpy"], entry_point="double" if "double" in code else "")


# -- what tests can do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def double(n): return 2 * n", TESTS),
        ("def f(items): items.append(3); return items", "x = [1]\ny = f(x)\nassert x == [1, 3]\nassert y is x"),
        ("def f(d): d['b'][0] = 2", "d = {'b': [1]}\ninner = d['b']\nf(d)\nassert inner == [2] and d['b'] is inner"),
        ("def f(a, *, key=None): return sorted(a, key=key)", "assert f([1, 3, 2], key=lambda n: -n) == [3, 2, 1]"),
        ("def f(kind): return kind('3')", "assert f(int) == 3"),
        ("def f(n): yield from range(n)", "assert list(f(3)) == [0, 1, 2]\nassert next(f(1)) == 0"),
        ("def f(n): return lambda m: n + m", "assert f(2)(3) == 5"),
        ("def f(x): raise KeyError(x)", "try:\n    f(3)\nexcept KeyError as error:\n    assert error.args == (3,)"),
        ("class Mine(ValueError): pass\ndef f(): raise Mine", "try:\n    f()\nexcept ValueError:\n    pass"),
        (f"{NODE}def f(n): return n.value + n.next.value", "n = Node(1)\nn.next = Node(2)\nassert f(n) == 3"),
        ("class Solution:\n    def f(self, n): return -n", "assert Solution().f(3) == -3"),
        ("def f(): return float('nan')", "import math\nassert math.isnan(f())"),
        ("import numpy as np\ndef f(): return np.float64(0.5)", "assert f() == 0.5 and type(f()) is float"),
        ("import numpy as np\ndef f(): return np.arange(3)", "import numpy as np\nassert np.allclose(f(), [0, 1, 2])"),
        ("from collections import Counter\ndef f(s): return Counter(s)", "assert f('aab') == {'a': 2, 'b': 1}"),
        ("def f(x): return 2.0 if x else None", "assert f(1) == 2\nassert f(0) is None"),
        ("import math\ndef f(): return math.pi", "assert math.isclose(f(), math.pi)"),
        ("async def f(n): return n", "import asyncio\nassert asyncio.run(f(3)) == 3"),
        ("def f(n): return n\nif __name__ == '__main__': print(f(int(input())))", "assert f(3) == 3"),
        ("import sys\nsys.stdout = None\ndef f(n): return n", "assert f(3) == 3"),
        (
            "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int",
            "assert P(3).x == 3",
        ),
        ("def f(n): return n", "def check(candidate):\n    assert candidate(3) == 3\ncheck(f)"),
    ],
)
def test_tests_use_code_as_if_it_were_in_their_process(code: str, tests: str) -> None:
    assert run(code, tests).detail == ""
    assert run(code, f"{tests}\nassert False, 'last'").detail.startswith("AssertionError: last")


def test_the_entry_point_is_the_codes_where_a_built_in_name_is_the_same() -> None:
    code = "def sum(a, b): return a + b"
    assert run_code(code, "assert sum(1, 2) == 3", entry_point="sum").finished
    assert run_code(code, "assert sum([1, 2]) == 3").finished


@pytest.mark.parametrize(
    ("code", "tests", "detail"),
    [
        (WRONG, TESTS, "AssertionError:  (line 2 of the tests)"),
        ("\ndef double(n): return n / 0", TESTS, "ZeroDivisionError: division by zero (line 2 of the code)"),
        (
            "def twice(n): pass",
            "assert double(4) == 8",
            "NameError: name 'double' is not defined (line 1 of the tests)",
        ),
        ("def double(:", TESTS, "SyntaxError"),
        (WRONG, "assert :", "SyntaxError: invalid syntax (tests.py, line 1)"),
        (
            "def f(x): return x.y",
            "class X: y = 1\nf(X())",
            "TypeError: the code can only call an object that the tests",
        ),
    ],
)
def test_the_detail_names_the_line(code: str, tests: str, detail: str) -> None:
    assert run(code, tests).detail.startswith(detail)


# -- what code cannot do -----------------------------------------------------------------------------------------------

FRAMES = """
import sys, os, json
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()):
        if isinstance(value, dict) and "status" in value:
            os.write(value["status"], b'["finished", ""]\\n')
    frame = frame.f_back
"""
EVERY_DESCRIPTOR = """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b'["finished", ""]\\n')
    except OSError:
        pass
os._exit(0)
"""
# Asks the tests' process to make a class whose comparison is the code's.
MAKES_A_CLASS = """
import sys
frame = sys._getframe()
while "connection" not in frame.f_locals:
    frame = frame.f_back
connection = frame.f_locals["connection"]
def double(n):
    nodes = [["list", [[1], "Equal", [2], [4], {}]], ["builtin", "type"], ["tuple", [[3]]], ["builtin", "int"],
             ["dict", ["__eq__", [5]]], ["remote", 99], ["dict", []]]
    nodes[0][1][4] = [6]
    connection.send("call", [[0], nodes])
    return connection.result("call", [])
"""
READS_EXPECTED = """
import gc, sys
def double(n):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            if "expected" in names:
                return names["expected"]
        frame = frame.f_back
    return next((o["expected"] for o in gc.get_objects() if isinstance(o, dict) and "expected" in o), 0)
"""


def equal_to_all(base: str) -> str:
    methods = ("eq", "ne", "le", "ge", "lt", "gt", "contains", "instancecheck")
    lines = [f"    def __{name}__(self, other): return {name != 'ne'}" for name in methods]
    return "\n".join([f"class Equal({base}):", *lines, "    __hash__ = None", "def double(n): return Equal()"])


@pytest.mark.parametrize(
    "code",
    [
        *(equal_to_all(base) for base in ("object", "int", "float", "str", "list", "dict", "tuple")),
        equal_to_all("int") + "\nwrap = double\ndef double(n): return [wrap(n)][0]",
        equal_to_all("int") + "\nEqual.__class__ = property(lambda self: int)",
        *(WRONG + FRAMES, WRONG + EVERY_DESCRIPTOR, MAKES_A_CLASS, READS_EXPECTED),
        WRONG + "import json\nold = json.dumps\njson.dumps = lambda one, **named: old(['finished', ''])",
        WRONG + 'import os\nold = os.write\nos.write = lambda fd, data: old(fd, b\'["finished", ""]\\n\')',
        WRONG + "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.exec = builtins.compile = print",
        "def double(n): return type('E', (), {'__eq__': lambda *_: True})",
        *(
            f"def double(n): raise {error}"
            for error in ("StopIteration", "GeneratorExit", "SystemExit(0)", "Exception")
        ),
        "import os\ndef double(n): os._exit(0)",
        "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)",
    ],
)
def test_forged_code_does_not_pass(code: str) -> None:
    assert run(code, TESTS).ending in ("error", "killed")


@pytest.mark.parametrize("error", ["StopIteration", "SystemExit(0)", "GeneratorExit", "KeyboardInterrupt"])
def test_an_error_of_the_code_does_not_end_the_tests_early(error: str) -> None:
    tests = "for given, expected in zip(map(double, [1, 2]), [2, 4]):\n    assert given == expected"
    assert not run(f"def double(n): raise {error}", tests).finished


@pytest.mark.parametrize(
    "leaves", ["import os\n    os._exit(0)", "raise SystemExit", "import ctypes\n    ctypes.string_at(0)"]
)
def test_tests_that_catch_everything_do_not_pass_code_that_ended(leaves: str) -> None:
    assert run(f"def double(n):\n    {leaves}", "try:\n    double(1)\nexcept:\n    pass").ending == "killed"


def test_an_empty_list_is_not_close_to_a_number() -> None:
    """`np.allclose([], 3.5)` is true; EvalPlus's tests compare with it."""
    tests = "import numpy as np\nassert np.allclose({}, 3.5)"
    assert run("def f(): return 3.5", tests.format("f()")).finished
    assert run("def f(): return [3.5, 3.5]", tests.format("f()")).finished
    assert not run("def f(): return []", tests.format("f()")).finished


@pytest.mark.parametrize(
    "written",
    [
        *(r"b'[' * 60_000 + b'\n'", r"b'\xff\n'", r"b'x' * 10**6 + b'\n'", r"b'x' * 10**6", r"b'1' * 9999 + b'\n'"),
        *("""b'["returned", [[0], []]]\\n'""", """b'["raised", [[0], [["list", [1]]]]]\\n'"""),
        *("""b'["returned", [[0], [["list", ["\\\\ud800"]]]]]\\n'""", """b'["call", 1]\\n'"""),
    ],
)
def test_what_code_writes_to_its_descriptors_is_one_wrong_answer(written: str) -> None:
    writes = f"    try: os.write(descriptor, {written})\n    except OSError: pass"
    assert run(f"import os\nfor descriptor in range(3, 64):\n{writes}\n{WRONG}", TESTS).ending == "error"


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("return 'x' * 3 * 10**8", "no_memory"),
        ("return 10**100_000", "error"),
        ("x = ()\n    for _ in range(50_000): x = (x,)\n    return x", "error"),
        ("x = (8,)\n    for _ in range(40): x = (x, x)\n    return x", "error"),
        ("os.closerange(3, 64)\n    time.sleep(60)", "killed"),
        ("os.write(next(fd for fd in range(3, 64) if stat.S_ISSOCK(os.fstat(fd).st_mode)), b'x' * 10**6)", "error"),
    ],
)
def test_a_huge_answer_is_one_wrong_answer(body: str, ending: str) -> None:
    assert run(f"import os, stat, time\ndef double(n):\n    {body}", TESTS).ending == ending


@pytest.mark.parametrize("text", [r"\ud800", r"\x1b[2J\x00", "x" * 10**6], ids=["surrogate", "escapes", "long"])
def test_the_text_of_an_error_can_be_written(text: str) -> None:
    detail = run(f"def double(n): raise ValueError('{text}')", TESTS).detail
    assert detail.startswith("ValueError")
    assert "\x1b" not in detail
    assert len(detail.encode()) <= 3000
