"""Code and its tests in two processes: what tests can do with code, and what code cannot do to its tests."""

import pytest

from resources.sandbox.sandbox import SandboxLimits, SandboxResult, run_code
from tests.attacks.forgeries import FORGED, HUGE, TESTS, WRITTEN, WRONG, run_forgery, with_body, writes_everywhere

pytestmark = pytest.mark.usefixtures("sandbox")

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


@pytest.mark.parametrize("code", FORGED)
def test_forged_code_does_not_pass(code: str) -> None:
    assert run_forgery(code).ending in ("error", "killed")


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


@pytest.mark.parametrize("written", WRITTEN)
def test_what_code_writes_to_its_descriptors_is_one_wrong_answer(written: str) -> None:
    assert run_forgery(writes_everywhere(written)).ending == "error"


@pytest.mark.parametrize(("body", "ending"), HUGE.items())
def test_a_huge_answer_is_one_wrong_answer(body: str, ending: str) -> None:
    assert run_forgery(with_body(body)).ending in (ending, "no_time")  # a busy machine may need all the time


@pytest.mark.parametrize("text", [r"\ud800", r"\x1b[2J\x00", "x" * 10**6], ids=["surrogate", "escapes", "long"])
def test_the_text_of_an_error_can_be_written(text: str) -> None:
    detail = run(f"def double(n): raise ValueError('{text}')", TESTS).detail
    assert detail.startswith("ValueError")
    assert "\x1b" not in detail
    assert len(detail.encode()) <= 3000
