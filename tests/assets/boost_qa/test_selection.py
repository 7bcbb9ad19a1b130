"""Which partitions a release takes."""

from typing import Any

import polars as pl
import pytest

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.selection import Selection, select_partitions
from assets.dialogues.schema import DIALOGUES
from tests.tiny_lake import PROFILE, TinyLake

SHARD = "sums-0000"
STALE = {"fingerprints": ("0" * 32, "0" * 32)}


def select(tiny_lake: TinyLake, *, take_stale: bool = False, retracted: tuple[str, ...] = ()) -> Selection:
    rules = ReleaseRules(take_stale=take_stale)
    return select_partitions(tiny_lake.lake, rules, PROFILE, tiny_lake.expected, retracted)


def whys(selection: Selection) -> dict[str, str | None]:
    return {partition.key.split("|")[0]: partition.why for partition in selection.partitions}


@pytest.mark.parametrize(
    ("written", "take_stale", "why"),
    [
        ({}, False, None),
        (STALE, False, "stale"),
        (STALE, True, None),
        ({**STALE, "profile": "paper"}, True, "of another profile"),
        ({"gate": "failed"}, True, "failed its gate"),
    ],
)
def test_current_partitions_are_taken_and_stale_ones_if_the_rules_say_so(
    tiny_lake: TinyLake, written: dict[str, Any], take_stale: bool, why: str | None
) -> None:
    tiny_lake.write_partition("debate", SHARD, **written)
    selection = select(tiny_lake, take_stale=take_stale)
    assert whys(selection) == {"analogy": None, "debate": why, "error_correction": None}
    assert (selection.planned, selection.coverage) == (8, 5 / 8 if why else 1.0)


def test_a_planned_partition_that_was_never_made_is_missing(tiny_lake: TinyLake) -> None:
    store = tiny_lake.lake.store
    for file in store.list(f"_index/scored_dialogues/scenario=debate/shard={SHARD}"):
        store.delete(file.path)
    assert whys(select(tiny_lake))["debate"] == "missing"


def test_plans_of_a_retracted_seed_and_of_those_it_is_the_partner_of_do_not_count(tiny_lake: TinyLake) -> None:
    assert select(tiny_lake, retracted=(tiny_lake.dialogues["apples"].seed_id,)).planned == 6  # the partner of `loop`


def test_scores_of_other_dialogues_are_left_out_even_where_stale_partitions_are_taken(
    tiny_lake: TinyLake,
) -> None:
    keys = {"scenario": "debate", "shard": SHARD}
    rows = tiny_lake.lake.read(DIALOGUES, [keys]).with_columns(pl.col("completion_tokens") + 1)
    fingerprint = tiny_lake.expected.fingerprints(tiny_lake.plans_fingerprint(SHARD), "", "debate")[0]
    tiny_lake.lake.write(DIALOGUES, keys, rows, fingerprint=fingerprint, facts={"profile": PROFILE})
    assert whys(select(tiny_lake, take_stale=True))["debate"] == "stale"
