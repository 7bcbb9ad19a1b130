"""The published forms of code benchmarks: right code passes the tests of each, wrong and forged code does not."""

from typing import Any

import pytest

from assets.evaluation.configuration import CodeBenchmark
from assets.evaluation.grading import Grade, extract_code, grade_code, run_tests
from assets.evaluation.row_forms.code import read_code

pytestmark = pytest.mark.usefixtures("sandbox")

HELPER = '''import math


def poly(xs: list, x: float):
    return sum([coefficient * math.pow(x, i) for i, coefficient in enumerate(xs)])


def find_zero(xs: list):
    """ A zero of the polynomial. """
'''
HUMAN_EVAL = {
    "task_id": "HumanEval/32",
    "prompt": HELPER,
    "entry_point": "find_zero",
    "test": "def check(candidate):\n    assert math.fabs(poly([1, -2], candidate([1, -2]))) < 1e-4\n",
}
MBPP = {
    "task_id": 927,
    "text": "Write a function to calculate the height of the given binary tree.",
    "code": "class Node:\n    pass\ndef max_height(node):\n    return 0",
    "test_list": ["assert (max_height(root)) == 2"],
    "test_setup_code": "root = Node(1)\nroot.left = Node(2)\n",
}
EVALPLUS = """import numpy as np
from math import inf

def is_floats(x) -> bool:
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match

inputs = [[[1, 2, 4]], [[0.5, 0.25]]]
results = [7 / 3, 0.375]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(mean(*inp), exp, 0)
"""
MBPP_PLUS = {
    "task_id": 1,
    "prompt": "Write a function mean.",
    "code": "def mean(numbers):\n    return sum(numbers) / len(numbers)",
    "test_list": ["assert mean([1, 3]) == 2"],
    "test": EVALPLUS,
}
NODE = """class Node:
    def __init__(self, data):
        self.data, self.left, self.right = data, None, None
"""
HEIGHT = "def max_height(node):\n    return 1 + max(map(max_height, (node.left, node.right))) if node else 0\n"
CHANGING = """class Changing:
    asked = 0
    def __len__(self):
        self.asked += 1
        if self.asked > 1:
            return 0
        raise TypeError
    def __getitem__(self, index):
        raise IndexError
def mean(numbers):
    return Changing()
"""
READS_EXPECTED = """import sys
def mean(numbers):
    frame = sys._getframe(1)
    return {**frame.f_globals, **frame.f_locals}["exp"]
"""


def grade(form: str, row: dict[str, Any], code: str) -> Grade:
    rows = {"file": "rows.jsonl"}
    benchmark = CodeBenchmark.model_validate({"name": "programs", "kind": "code", "form": form, "rows": rows})
    question = read_code(row, benchmark)
    extracted = extract_code(f"```python\n{code}\n```", question)
    assert extracted is not None
    return grade_code(extracted, run_tests(extracted, question))


@pytest.mark.parametrize(
    ("form", "row", "code", "verdict"),
    [
        ("human_eval", HUMAN_EVAL, "def find_zero(xs):\n    return -xs[0] / xs[1]", "right"),
        ("human_eval", HUMAN_EVAL, "def find_zero(xs):\n    return xs[0] / xs[1]", "wrong"),
        ("human_eval", HUMAN_EVAL, "def poly(xs, x):\n    return 0\ndef find_zero(xs):\n    return 9", "wrong"),
        ("mbpp", MBPP, NODE + HEIGHT, "right"),
        ("mbpp", MBPP, NODE + HEIGHT.replace("else 0", "else 1"), "wrong"),
        ("mbpp", MBPP, HEIGHT, "wrong"),
        ("mbpp_plus", MBPP_PLUS, MBPP_PLUS["code"], "right"),
        ("mbpp_plus", MBPP_PLUS, "import numpy\ndef mean(numbers):\n    return numpy.mean(numbers)", "right"),
        ("mbpp_plus", MBPP_PLUS, "def mean(numbers):\n    return 2", "wrong"),
        ("mbpp", MBPP_PLUS, "def mean(numbers):\n    return 2", "right"),
        ("mbpp_plus", MBPP_PLUS, "def mean(numbers):\n    return []", "wrong"),
        ("mbpp_plus", MBPP_PLUS, CHANGING, "wrong"),
        ("mbpp_plus", MBPP_PLUS, READS_EXPECTED, "wrong"),
    ],
)
def test_the_verdict_on_code(form: str, row: dict[str, Any], code: str, verdict: str) -> None:
    assert grade(form, row, code).verdict == verdict
