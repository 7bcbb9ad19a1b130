from collections.abc import Collection

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.selection import Selection, select_partitions
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import Scenario
from tests.tiny_lake import PROFILE, TinyLake

SHARD = "sums-0000"
STALE = ("0" * 32, "0" * 32)


def select(tiny_lake: TinyLake, retracted: Collection[str] = (), *, take_stale: bool = False) -> Selection:
    rules = ReleaseRules(take_stale=take_stale)
    return select_partitions(tiny_lake.lake, rules, PROFILE, tiny_lake.expected, retracted)


def whys(selection: Selection) -> dict[str, str | None]:
    return {partition.status.scenario.value: partition.why for partition in selection.partitions}


def test_current_partitions_that_passed_are_taken(tiny_lake: TinyLake) -> None:
    selection = select(tiny_lake)
    assert whys(selection) == dict.fromkeys(map(str, Scenario))
    assert (selection.planned, selection.coverage) == (8, 1.0)


def test_a_stale_partition_is_left_out(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, STALE)
    selection = select(tiny_lake)
    assert whys(selection)["debate"] == "stale"
    assert selection.coverage == 5 / 8


def test_a_stale_partition_is_taken_when_the_rules_say_so(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, STALE)
    assert whys(select(tiny_lake, take_stale=True))["debate"] is None


def test_a_stale_partition_of_another_profile_is_never_taken(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, STALE, profile="paper")
    assert whys(select(tiny_lake, take_stale=True))["debate"] == "of another profile"


def test_a_partition_whose_gate_failed_is_left_out(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, gate="failed")
    assert whys(select(tiny_lake, take_stale=True))["debate"] == "failed its gate"


def test_a_partition_that_was_planned_and_never_taught_is_missing(tiny_lake: TinyLake) -> None:
    store = tiny_lake.lake.store
    for file in store.list(f"_index/scored_dialogues/scenario=debate/shard={SHARD}"):
        store.delete(file.path)
    assert whys(select(tiny_lake))["debate"] == "missing"


def test_a_retracted_seed_no_longer_counts_as_planned_nor_does_one_that_it_is_the_partner_of(
    tiny_lake: TinyLake,
) -> None:
    retracted = [tiny_lake.taught["apples"].seed_id]  # also the partner of `loop`
    assert select(tiny_lake, retracted).planned == 6


def test_scores_older_than_their_dialogues_are_left_out_even_where_stale_partitions_are_taken(
    tiny_lake: TinyLake,
) -> None:
    keys = {"scenario": "debate", "shard": SHARD}
    held = tiny_lake.lake.read(DIALOGUES, [keys])
    told = tiny_lake.expected(tiny_lake.plans_fingerprint(SHARD), "", Scenario.DEBATE)[0]
    tiny_lake.lake.write(DIALOGUES, keys, held, fingerprint=told, facts={"profile": PROFILE})
    assert whys(select(tiny_lake, take_stale=True))["debate"] == "stale"
