"""Programs that are known to be right, and the same with a fault, as answers to the bundled questions."""

from dataclasses import replace

from assets.evaluation.configuration import load_benchmarks
from assets.evaluation.questions import Question, read_questions
from assets.evaluation.verdicts import decide_code, extract_code, program
from resources.sandbox import run_code

QUESTIONS = read_questions(load_benchmarks("demo").benchmark("small_code")).questions


def share_right(questions: list[Question]) -> float:
    """pass@1 of answers that hold the questions' solutions."""
    right = 0
    for question in questions:
        code = extract_code(f"Here it is.\n```python\n{question.solution}\n```\n", question)
        assert code is not None
        right += decide_code(code, run_code(program(code, question))).verdict == "right"
    return right / len(questions)


def test_canonical_solutions_all_pass(sandbox: None) -> None:
    assert share_right(list(QUESTIONS)) == 1.0


def test_broken_solutions_all_fail(sandbox: None) -> None:
    broken = [replace(one, solution=f"{one.solution}\ndef {one.entry_point}(*_):\n    pass\n") for one in QUESTIONS]
    assert share_right(broken) == 0.0
