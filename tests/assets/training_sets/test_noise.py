"""Character noise: what it changes, and what it never changes."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.training_sets.configuration import NoiseRules
from assets.training_sets.noise import keeps_spared, random_noise, spelling_noise

RULES = NoiseRules()
NOISES = (random_noise, spelling_noise)
PROSE = "There were several believable arguments about receiving another possible answer from somebody."
PARTS = (
    "```python\nfor apple in basket:\n    print(apple)\n```",
    "`basket.append(apple)`",
    "12,500.75",
    r"\frac{apples}{basket}",
    "$apples + baskets = fruit$",
    r"\[ \text{apples} = 4 \]",
    r"\boxed{forty}",
    "[Basket]",
    "[B]",
    "    indented = code",
    "import everything",
    "numpy.array(range(3))",
    "snake_case_name",
    "camelCaseName",
    "https://example.org/apples",
    "<strong>",
    "SELECT",
    "#### 42",
)
EXACT = re.compile(r"```.*?```|`[^`]+`|\$[^$]+\$|\\boxed\{[^}]*\}|\[[^\[\]]+\]|\d[\d,.]*", re.DOTALL)


@pytest.mark.parametrize("noise", NOISES)
def test_prose_is_changed_by_the_same_noise_for_the_same_seed(noise: Callable[..., str]) -> None:
    noisy = noise(PROSE, RULES, "seed")
    assert noise(PROSE, RULES, "seed") == noisy
    assert len({PROSE, noisy, noise(PROSE, RULES, "another")}) == 3


@pytest.mark.parametrize("part", PARTS)
def test_what_is_not_prose_does_not_change(part: str) -> None:
    for noise in NOISES:
        assert part in noise(f"{PROSE}\n\n{part}\n\n{PROSE}", RULES, "seed")


@given(
    st.lists(st.sampled_from([PROSE, *PARTS]), min_size=1, max_size=8),
    st.sampled_from(["\n", "\n\n"]),
    st.integers(0, 99),
)
def test_code_formulas_numbers_and_labels_do_not_change_in_any_text(parts: list[str], joint: str, seed: int) -> None:
    text = joint.join(parts)
    rules = RULES.model_copy(update={"word_share": 1.0, "most_words": 1000})
    for noise in NOISES:
        noisy = noise(text, rules, str(seed))
        assert EXACT.findall(noisy) == EXACT.findall(text)
        assert keeps_spared(text, noisy)


@given(st.text(max_size=300), st.integers(0, 99))
def test_any_text_keeps_its_spared_parts_and_its_lines(text: str, seed: int) -> None:
    for noise in NOISES:
        noisy = noise(text, RULES, str(seed))
        assert keeps_spared(text, noisy)
        assert noisy.count("\n") == text.count("\n")
        assert bool(noisy.strip()) == bool(text.strip())


@pytest.mark.parametrize("noise", NOISES)
def test_no_more_words_are_changed_than_the_rules_say_and_no_short_ones(noise: Callable[..., str]) -> None:
    noisy = noise(" ".join([PROSE] * 20), RULES.model_copy(update={"most_words": 3}), "seed")
    changed = [one for one, other in zip(noisy.split(), (PROSE + " ").split() * 20, strict=True) if one != other]
    assert 1 <= len(changed) <= 3
    assert noise("He is at it, so am I", RULES, "seed") == "He is at it, so am I"


def test_a_misspelling_is_a_common_one() -> None:
    assert spelling_noise("receive", NoiseRules(word_share=1.0, shortest_word=3), "seed") == "recieve"


def test_spared_parts_must_be_in_order() -> None:
    assert not keeps_spared("first [A] then [B]", "first [B] then [A]")
