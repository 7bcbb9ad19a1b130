from hypothesis import given
from hypothesis import strategies as st

from assets.seeds.extraction import Pair
from assets.seeds.sampling import Candidate, Sample, seed_id

NUMBERS = st.lists(st.integers(0, 60), max_size=80)


def candidate(number: int, system: str | None = None) -> Candidate:
    pair = Pair(system, f"What is {number} + 1?", str(number + 1))
    return Candidate(seed_id("sums", pair.question, pair.answer), pair, "sums.jsonl", number)


def sampled(numbers: list[int], size: int | None, random_seed: int = 0) -> Sample:
    sample = Sample(size, random_seed)
    for number in numbers:
        sample.offer(candidate(number))
    return sample


def test_without_a_size_all_are_kept_and_otherwise_the_size() -> None:
    assert len(sampled([*range(30)], None).kept) == 30
    assert len(sampled([*range(30)], 7).kept) == 7


def test_another_random_seed_draws_another_sample() -> None:
    assert sampled([*range(100)], 10, 0).kept.keys() != sampled([*range(100)], 10, 1).kept.keys()


@given(NUMBERS, st.randoms(use_true_random=False), st.integers(1, 20))
def test_the_sample_does_not_depend_on_the_order(numbers: list[int], random: object, size: int) -> None:
    shuffled = numbers.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sampled(shuffled, size).kept.keys() == sampled(numbers, size).kept.keys()


@given(NUMBERS, st.integers(1, 20), st.integers(0, 20))
def test_a_bigger_sample_holds_the_smaller_one(numbers: list[int], size: int, more: int) -> None:
    assert sampled(numbers, size).kept.keys() <= sampled(numbers, size + more).kept.keys()


@given(NUMBERS, st.integers(1, 20))
def test_every_row_is_kept_or_repeated_or_beyond(numbers: list[int], size: int) -> None:
    sample = sampled(numbers, size)
    assert len(sample.kept) + sample.repeated + sample.beyond == len(numbers)


def test_the_system_prompt_of_a_repeated_question_does_not_depend_on_the_order() -> None:
    twice = [candidate(1, "Be brief."), candidate(1, "Be kind.")]
    kept = []
    for order in (twice, twice[::-1]):
        sample = Sample(None, 0)
        for each in order:
            sample.offer(each)
        kept.append([each.pair.system for each in sample.kept.values()])
    assert kept == [["Be brief."], ["Be brief."]]
