"""Comparing formulas in a process of its own."""

import threading
from collections.abc import Iterator

import pytest

from assets.answers import formulas
from assets.answers.formulas import equal_formulas


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    equal_formulas.cache_clear()
    yield
    equal_formulas.cache_clear()


def test_formulas_of_one_value_are_equal() -> None:
    assert equal_formulas("3x + x", "4x") is True


def test_formulas_of_different_values_are_not() -> None:
    assert equal_formulas("3x", "4x") is False


@pytest.mark.parametrize("formula", [r"\frac{", "", "}{", "\n", "quit()"])
def test_what_is_no_formula_cannot_be_said(formula: str) -> None:
    assert equal_formulas(formula, r"x^{3} + 1") is not True


def test_a_process_that_was_killed_is_replaced() -> None:
    equal_formulas("x", "x")
    assert formulas._worker is not None
    formulas._worker.kill()
    formulas._worker.wait()
    assert equal_formulas("x + 3", "3 + x") is True


def test_threads_share_one_process() -> None:
    verdicts: dict[int, bool | None] = {}
    threads = [
        threading.Thread(target=lambda n=n: verdicts.update({n: equal_formulas(f"x + {n}", f"{n} + x")}))
        for n in range(1, 6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == dict.fromkeys(range(1, 6), True)


def test_a_formula_that_takes_for_ever_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    equal_formulas("x", "x")
    monkeypatch.setattr(formulas, "SECONDS_A_PAIR", 0.2)
    assert equal_formulas("9^{9^{9^{9}}}", "x + 1") is None
