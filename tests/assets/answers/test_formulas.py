"""Comparing formulas in worker processes."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from assets.answers import formula_pool
from assets.answers.formula_pool import MOST_WORKERS, FormulaPool, FormulaWorker, compare_formulas
from assets.answers.formula_worker import limit_processor_time
from assets.answers.formulas import compare_as_formulas, formula, quantity_as_formula
from assets.answers.quantities import read_quantity


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    compare_formulas.cache_clear()
    yield
    compare_formulas.cache_clear()


@pytest.mark.parametrize(
    ("given", "reference", "comparison"),
    [
        ("3x + x", "4x", "equal"),
        ("3x", "4x", "different"),
        (r"\{3, 2\}", "2, 3", "equal"),
        ("(2, 3)", "(3, 2)", "different"),
        (r"x \ge 3", r"[3, \infty)", "equal"),
        ("[0, 1)", "[0, 1]", "different"),
        (r"e^{i\pi}", "-1", "equal"),
        ("2.64", r"\sqrt{7}", "close"),
        ("2^{40} - 1", "2^{40}", "different"),
        ("2^{2024} - 1", "2^{2024}", "different"),
        (r"50\%", "50", "equal"),
        (r"50\%", r"\frac{1}{2}", "equal"),
        ("2^{40} - 1 + x", "2^{40} + x", "different"),
        (r"\sqrt{x^2 + 2x + 1}", "|x + 1|", "close"),
        (r"-2 \le x \le 7", "[-2, 7]", "equal"),
        (r"-2 \\le x \\le 7", "[-2, 7]", "close"),
        (r"\frac{", r"x^{3} + 1", None),
        ("}{", r"x^{3} + 1", None),
        ("quit()", r"x^{3} + 1", None),
    ],
)
def test_formulas_are_equal_different_close_or_unreadable(given: str, reference: str, comparison: str | None) -> None:
    assert compare_formulas(given, reference) == comparison


def test_decimals_are_compared_to_the_places_written() -> None:
    assert compare_formulas("6.28", r"2\pi", 2) == "equal"
    assert compare_formulas("6.28", r"2\pi", 6) == "close"


@pytest.mark.parametrize(
    "answer",
    [
        "9^{9^{9^9}}",
        "9**9**9**9",
        "(10^{9})!",
        "99999!",
        "2^{1000000}",
        r"\sum_{i=1}^{1000000} i",
        "1" * 150 + "+ x",
        "x + " * 100,
        "the number of apples",
        "naïve + 1",
    ],
)
def test_words_and_costly_formulas_are_not_given_to_a_worker(answer: str) -> None:
    assert formula(answer) is None


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ("x ≤ 2", r"x \le  2"),
        ("sqrt(8)", r"\sqrt{8}"),
        ("2 and 3", "2,3"),
        (r"2 \text{ or } 3", "2,3"),
        ("We find that $x < 3$.", "x < 3"),
        (r"\tan 45^\circ", r"\tan \frac{45\pi}{180}"),
        ("x = 1/3 ≈ 0.333", "x = 1/3"),
    ],
)
def test_answers_are_written_as_latex(answer: str, written: str) -> None:
    found = formula(answer)
    assert found is not None
    assert found.split() == written.split()


@pytest.mark.parametrize(
    ("given", "reference", "verdict"),
    [
        (r"2\sqrt{3}\text{ cm}", r"2\sqrt{3}", "right"),
        (r"2\sqrt{3}\text{ cm}", r"\frac{6}{\sqrt{3}}\text{ cm}", "right"),
        (r"\frac{\sqrt{2}}{2}\text{ m}", r"50\sqrt{2}\text{ cm}", "right"),
        (r"2\sqrt{3}\text{ cm}", r"2\sqrt{3}\text{ kg}", "wrong"),
        (r"2\sqrt{3}\text{ cm}^2", r"2\sqrt{3}\text{ cm}", "wrong"),
    ],
)
def test_units_behind_formulas_count(given: str, reference: str, verdict: str) -> None:
    assert compare_as_formulas(given, reference, "math") == verdict


def test_outside_of_mathematics_different_letters_are_not_wrong() -> None:
    assert compare_as_formulas("H_2 + O", "H^2 + O", "general") == "unknown"
    assert compare_as_formulas("2^{10}", "1025", "general") == "wrong"


def test_a_worker_that_hangs_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_pool, "SECONDS_PER_PAIR", 1)
    worker = FormulaWorker()
    assert worker.compare(["9^{9^{9^{9}}}", "x", None]) is None
    assert not worker.running
    pool = FormulaPool()
    pool.idle.append(worker)
    monkeypatch.undo()
    assert pool.compare("x + 3", "3 + x", None) == "equal"
    pool.stop()


def test_the_system_ends_a_process_above_its_processor_time() -> None:
    child = os.fork()
    if child == 0:
        limit_processor_time(1)
        while True:
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXCPU


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ("-0.050 m", "-0.050"),
        ("12.5", "12.5"),
        ("3/4", r"\frac{3}{4}"),
        ("1 million", "1000000"),
        ("50%", r"50\%"),
        ("60°", r"60\cdot\frac{\pi}{180}"),
        ("9" * 150, "9" * 150),
    ],
)
def test_a_quantity_is_written_as_latex(answer: str, written: str) -> None:
    quantity = read_quantity(answer)
    assert quantity is not None
    assert quantity_as_formula(quantity, r"\frac{\pi}{3}") == written


def test_a_pool_starts_no_more_workers_than_its_limit() -> None:
    pool = FormulaPool()
    comparisons: list[str | None] = []
    threads = [
        threading.Thread(target=lambda number=number: comparisons.append(pool.compare(f"x + {number}", "x", None)))
        for number in range(1, MOST_WORKERS + 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert comparisons == ["different"] * len(threads)
    assert 1 <= len(pool.idle) <= MOST_WORKERS
    pool.stop()
    assert not pool.idle


def test_a_worker_is_read_beside_a_thousand_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        number = 0
        while number < 1024:
            number = os.dup(1)
            opened.callback(os.close, number)
        worker = FormulaWorker()
        assert worker.compare(["x + x", "2x", None]) == "equal"
        worker.stop()


def test_a_forked_process_has_workers_of_its_own() -> None:
    compare_formulas("x", "x + 0")
    assert formula_pool._pool.idle
    child = os.fork()
    if child == 0:
        os._exit(len(formula_pool._pool.idle))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
