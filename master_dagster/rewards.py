"""Rewards for reinforcement learning with verifiable rewards (RLVR), for the rows of the training set `rlvr`.

`pip install master-dagster` is all that a trainer needs to import this module; it loads neither Dagster nor torch.

TRL:   `GRPOTrainer(model, reward_funcs=answer_reward, train_dataset=load_dataset(folder, split="train"), …)`
verl:  `reward.custom_reward_function.path=pkg://master_dagster.rewards`, with `….name=compute_score`

An answer gets 1 where a rule finds it right, else 0: an answer that no rule can decide earns nothing. Code runs only in
the sandbox. Every function blocks; a comparison of formulas takes up to seconds, code up to `SandboxLimits.seconds`.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from assets.answers.check import check_answer
from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.grading import extract_code, run_tests
from resources.chat.reasoning import split_reasoning
from resources.sandbox.sandbox import require_sandbox

DOMAINS = {"math": "math", "label": "general"}  # checker -> the domain whose rules read and compare the answer
AT_ONCE = 8  # answers that are checked at one time
_DEFINED = re.compile(r"^(?:async )?def (\w+)|^class (\w+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*")
Completion = str | Sequence[Mapping[str, Any]]


def answer_reward(
    completions: Sequence[Completion], reference_final: Sequence[str], checker: Sequence[str], **_: Any
) -> list[float]:
    """The reward of each completion, as TRL's `reward_funcs` want it.

    Args:
        completions: texts, or lists of messages of which the last one's `content` is the answer.
        reference_final: of each completion's row.
        checker: of each completion's row: `math`, `label` or `code`.

    Returns:
        1.0 for an answer that is right by rule, else 0.0; one per completion.

    Raises:
        NoSandbox: there is code, and no sandbox works on this machine.
        ValueError: a checker is not known.
    """
    if "code" in checker:
        require_sandbox()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(reward, completions, reference_final, checker))


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> float:
    """The reward of one answer, as verl's `reward.custom_reward_function` wants it. Raises as `answer_reward` does.

    Args:
        data_source: not used.
        solution_str: the answer.
        ground_truth: the row's `reference_final`.
        extra_info: has the row's `checker`.
    """
    return answer_reward([solution_str], [ground_truth], [(extra_info or {}).get("checker", "")])[0]


def reward(completion: Completion, reference_final: str, checker: str) -> float:
    """The reward of one completion, see `answer_reward`; `require_sandbox` is up to the caller."""
    _, answer = split_reasoning(completion if isinstance(completion, str) else str(completion[-1]["content"]))
    if checker == "code":
        return float(_passes(answer, reference_final))
    if checker not in DOMAINS:
        raise ValueError(f"checker {checker!r} is none of {', '.join((*DOMAINS, 'code'))}")
    return float(check_answer(answer, reference_final, DOMAINS[checker]) == "right")


def _passes(answer: str, tests: str) -> bool:
    """Whether the program in an answer passes the tests."""
    defined = {name for pair in _DEFINED.findall(answer) for name in pair}
    entry_point = next((name for name in _NAME.findall(tests) if name in defined), "")
    question = BenchmarkQuestion("", tests, "", entry_point=entry_point)
    code = extract_code(answer, question)
    return code is not None and run_tests(code, question).finished
