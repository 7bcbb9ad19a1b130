"""The reward functions of the set `rlvr`."""

import subprocess
import sys

import pytest

from master_dagster.rewards import answer_reward, compute_score

TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
ADD = "```python\ndef add(a, b):\n    return a + b\n```"


@pytest.mark.parametrize(
    ("completion", "reference", "checker", "expected"),
    [
        ("3 + 4 = 7. The answer is 7.", "7", "math", 1.0),
        ("The answer is 8.", "7", "math", 0.0),
        (r"So it is \boxed{\frac{1}{2}}.", "0.5", "math", 1.0),
        ("<think>It may be 7.</think>The answer is 8.", "7", "math", 0.0),
        ("<think>7, 7, the answer is 7", "7", "math", 0.0),  # cut off: there is no answer
        ("<think>8?</think>The answer is 7.", "7", "math", 1.0),
        ("", "7", "math", 0.0),
        ("The answer is 6. Or 7. I am not sure.", "7", "math", 0.0),
        ("The answer is (B).", "B", "label", 1.0),
        ("The answer is C.", "B", "label", 0.0),
        (f"Here it is:\n{ADD}", TESTS, "code", 1.0),
        ("```python\ndef add(a, b):\n    return a - b\n```", TESTS, "code", 0.0),
        ("```python\nimport os\nos._exit(0)\n```", TESTS, "code", 0.0),
        ("I cannot.", TESTS, "code", 0.0),
        (ADD, "def check(candidate):\n    assert candidate(1, 2) == 3\n\ncheck(add)\n", "code", 1.0),
    ],
)
def test_an_answer_gets_one_where_a_rule_finds_it_right_else_zero(
    completion: str, reference: str, checker: str, expected: float
) -> None:
    for given in (completion, [{"role": "assistant", "content": completion}]):
        assert answer_reward([given], reference_final=[reference], checker=[checker], prompts=["?"]) == [expected]
    assert compute_score("sums", completion, reference, {"checker": checker}) == expected


def test_rewards_come_in_the_order_of_the_completions() -> None:
    answers = [f"The answer is {number}." for number in range(20)]
    assert answer_reward(answers, ["7"] * 20, ["math"] * 20) == [float(number == 7) for number in range(20)]


def test_an_unknown_checker_is_an_error() -> None:
    with pytest.raises(ValueError, match="checker 'exact' is none of math, label, code"):
        answer_reward(["7"], ["7"], ["exact"])
    with pytest.raises(ValueError, match="checker '' is none of"):
        compute_score("sums", "7", "7")


def test_importing_the_rewards_loads_neither_dagster_nor_torch() -> None:
    program = "import sys, master_dagster.rewards; print({'dagster', 'torch', 'polars', 'duckdb'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
