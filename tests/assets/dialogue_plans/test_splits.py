"""The split of a seed does not depend on other seeds or their order."""

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assets.dialogue_plans.configuration import PlanRules, SplitShares
from assets.dialogue_plans.planning import order_seeds

RULES = PlanRules(splits=SplitShares(train=0.5, validation=0.25, test=0.25))
PINNED = {"representative": pl.String, "split": pl.String}
# Seeds as pairs: a name, and the group of duplicates it belongs to.
SEEDS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 12)), min_size=1, max_size=40, unique_by=lambda s: s[0]
)


def frame(seeds: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "seed_id": [f"seed {name}" for name, _ in seeds],
            "representative": [f"group {group}" for _, group in seeds],
            "shard": ["sums-0000"] * len(seeds),
            "reading": [1] * len(seeds),
        }
    )


def splits(seeds: list[tuple[int, int]], pinned: dict[str, str] | None = None) -> dict[str, str]:
    decided = pl.DataFrame(list((pinned or {}).items()), schema=PINNED, orient="row")
    return dict(order_seeds(frame(seeds), decided, RULES).select("seed_id", "split").iter_rows())


@given(SEEDS)
def test_duplicates_are_in_one_split(seeds: list[tuple[int, int]]) -> None:
    found = splits(seeds)
    of_group = {(group, found[f"seed {name}"]) for name, group in seeds}
    assert len(of_group) == len({group for _, group in seeds})


@given(SEEDS, st.randoms())
def test_neither_order_nor_further_seeds_change_a_split(seeds: list[tuple[int, int]], draw: Random) -> None:
    shuffled = list(seeds)
    draw.shuffle(shuffled)
    part = splits(shuffled[: len(shuffled) // 2 + 1])
    whole = splits(seeds)
    assert {name: whole[name] for name in part} == part


@given(SEEDS, st.sampled_from(["train", "validation", "test"]))
def test_a_decided_split_does_not_change(seeds: list[tuple[int, int]], split: str) -> None:
    group = seeds[0][1]
    found = splits(seeds, {f"group {group}": split})
    assert {found[f"seed {name}"] for name, of in seeds if of == group} == {split}
