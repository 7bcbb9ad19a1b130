"""What a release takes, leaves out and refuses, and how it is identified, on the tiny lake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.boost_qa.assembly import release_rows, remove_unfit
from assets.boost_qa.card import write_card
from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen
from assets.boost_qa.release import RELEASES, Release, ReleaseRefused
from assets.boost_qa.selection import open_partitions, select_partitions
from assets.framework.publication import GatesFailed, NotPublished
from resources.configuration import ConfigurationError
from resources.lake.published_folders import Overtaken
from resources.lake.tables import Lake
from tests.tiny_lake import PROFILE, TinyDialogue, TinyLake

SHARD = "sums-0000"


def rows(tiny_lake: TinyLake, release: Release) -> pl.DataFrame:
    store = tiny_lake.lake.store
    return pl.concat([pl.read_parquet(store.uri(path)) for path in release.files("data/")])


def removed(tiny_lake: TinyLake, release: Release) -> dict[str, tuple[str, str]]:
    """Name of the seed -> (decision, reason)."""
    frame = pl.read_parquet(tiny_lake.lake.store.uri(f"{release.folder}/removed.parquet"))
    names = {one.dialogue_id: name for name, one in tiny_lake.dialogues.items()}
    return {names[row["dialogue_id"]]: (row["decision"], row["reason"]) for row in frame.to_dicts()}


def copied(tiny_lake: TinyLake, root: Path) -> TinyLake:
    """The same seeds and dialogues in another lake."""
    copy = TinyLake(Lake.at(str(root)), dict(tiny_lake.dialogues))
    copy.write()
    return copy


# -- what is taken and left out ---------------------------------------------------------------------------------------


def test_accepted_dialogues_are_released_in_their_planned_splits_ordered_by_id(tiny_lake: TinyLake) -> None:
    found = rows(tiny_lake, tiny_lake.release())
    planned = {one.seed_id: one.split for name, one in tiny_lake.dialogues.items() if name != "moon"}
    assert dict(found.select("seed_id", "split").iter_rows()) == planned
    for split in ("train", "validation", "test"):
        ids = found.filter(pl.col("split") == split)["id"].to_list()
        assert ids == sorted(ids)


NEAR_DUPLICATE = ("near_duplicate", "near_duplicate")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"eggs": {"status": "set_aside"}}, {"eggs": ("set_aside", "endless")}),
        ({"moon": {"reasons": ("too_short", "judged_wrong")}}, {"moon": ("rejected", "too_short, judged_wrong")}),
        ({"loop": {"partner": "verbs"}}, {"verbs": NEAR_DUPLICATE}),  # a partner in an earlier split
    ],
)
def test_what_is_left_out_is_listed_with_its_reason(
    tiny_lake: TinyLake, changes: dict[str, dict[str, Any]], found: dict[str, tuple[str, str]]
) -> None:
    for name, values in changes.items():
        tiny_lake.change(name, **values)
    assert removed(tiny_lake, tiny_lake.release()) == {"moon": ("rejected", "judged_wrong")} | found


def test_dialogues_of_a_retracted_seed_or_partner_are_left_out(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release([tiny_lake.dialogues["apples"].seed_id])
    left = removed(tiny_lake, release)
    assert left["apples"] == left["loop"] == ("retracted", "retracted")
    assert rows(tiny_lake, release).height == 5


def test_a_near_duplicate_of_a_training_question_leaves_the_test_split(tiny_lake: TinyLake) -> None:
    question = tiny_lake.dialogues["apples"].question
    tiny_lake.add(TinyDialogue("copy", question, "seven", "debate", "test", source="other"))
    left = removed(tiny_lake, tiny_lake.release())
    assert left["copy"] == NEAR_DUPLICATE
    assert "apples" not in left


def test_by_the_rules_wrong_answers_carry_no_loss_and_a_dialogue_without_any_is_left_out(tiny_lake: TinyLake) -> None:
    tiny_lake.change("verbs", finals=(None, "wrong", None, "wrong"))
    tiny_lake.change("apples", finals=(None, "wrong", None, "right"))
    every = tiny_lake.release()
    release = tiny_lake.release(loss="unless_wrong")
    assert removed(tiny_lake, release)["verbs"] == ("untrained", "loss_unless_wrong")
    trains = {row["id"]: row["trains"] for row in rows(tiny_lake, release).to_dicts()}
    assert trains[tiny_lake.dialogues["apples"].dialogue_id] == [False, False, False, True]
    assert "loss" not in every.manifest["configuration"]["rules"]  # as in releases of earlier versions
    assert release.id != every.id


@pytest.mark.parametrize("where", ["question", "answer", "words"])
def test_a_benchmark_question_in_question_answer_or_dialogue_keeps_the_row_out(
    tiny_lake: TinyLake, tmp_path: Path, where: str
) -> None:
    text = "Every thirteenth of the month the old baker of our town gives away thirteen loaves for free"
    (tmp_path / "town.jsonl").write_text(json.dumps({"q": text}), encoding="utf-8")
    tiny_lake.change("verbs", **{where: ("Q", text, "C", "D") if where == "words" else text})
    benchmark = Benchmark(name="town", path=str(tmp_path / "town.jsonl"), question=("q",))
    assert removed(tiny_lake, tiny_lake.release(benchmarks=(benchmark,)))["verbs"] == ("contaminated", "town")


def test_rows_that_are_sorted_in_many_slices_are_in_the_same_order(tiny_lake: TinyLake, tmp_path: Path) -> None:
    def ids(slice_rows: int, name: str) -> list[str]:
        with open_partitions(tiny_lake.lake, selection, [], tmp_path / name) as connection:
            remove_unfit(connection, 0.8)
            return [row["id"] for row in release_rows(connection, BenchmarkScreen([], 13), "all", [], slice_rows)]

    selection = select_partitions(tiny_lake.lake, ReleaseRules(), PROFILE, tiny_lake.expected, [])
    assert ids(2, "sliced") == ids(1000, "whole")


# -- what is refused --------------------------------------------------------------------------------------------------


def failed_partition(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition("debate", SHARD, gate="failed")


@pytest.mark.parametrize(
    ("change", "rules", "error", "message"),
    [
        (
            failed_partition,
            {},
            ReleaseRefused,
            r"62.5% of 8 planned[\s\S]*require 90%[\s\S]*debate\|sums-0000: failed its gate",
        ),
        (
            lambda lake: lake.change_every(accepted=False),
            {},
            ReleaseRefused,
            r"none of 8 dialogues[\s\S]*8 rejected: judged_wrong",
        ),
        (
            lambda lake: lake.change("eggs", accepted=False),
            {"minimum_rows": 7},
            GatesFailed,
            "6 rows, the release rules require at least 7",
        ),
        (
            lambda lake: lake.change("verbs", representative="apples"),
            {},
            GatesFailed,
            "split_leakage: 1 rows break the rule",
        ),
        (
            lambda lake: None,
            {"benchmarks": (Benchmark(name="town", path="/nowhere/q.jsonl", question=("q",)),)},
            ConfigurationError,
            "town",
        ),
    ],
    ids=["coverage", "nothing accepted", "too few rows", "duplicates in two splits", "unreadable benchmark"],
)
def test_a_release_that_is_refused_says_why_and_the_latest_stays(
    tiny_lake: TinyLake, change: Callable[[TinyLake], None], rules: dict[str, Any], error: type[Exception], message: str
) -> None:
    first = tiny_lake.release()
    change(tiny_lake)
    with pytest.raises(error, match=message):
        tiny_lake.release(**rules)
    assert RELEASES.latest(tiny_lake.lake) == first


def test_one_failed_partition_does_not_stop_a_release_that_needs_less(tiny_lake: TinyLake) -> None:
    failed_partition(tiny_lake)
    release = tiny_lake.release(minimum_coverage=0.5)
    assert release.manifest["left_out"] == [{"partition": f"debate|{SHARD}", "why": "failed its gate"}]
    assert set(rows(tiny_lake, release)["scenario"]) == {"error_correction", "analogy"}


def test_without_plans_the_error_says_what_to_materialise(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match="no dialogue plans yet"):
        TinyLake(Lake.at(str(tmp_path / "empty"))).release()


# -- identity ---------------------------------------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_release_and_write_nothing(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    before = tiny_lake.lake.store.list("boost_qa")
    assert tiny_lake.release() == first
    assert tiny_lake.lake.store.list("boost_qa") == before


@pytest.mark.parametrize(
    ("values", "rules", "same"),
    [
        ({}, {}, True),
        ({"words": ("Q", "b", "c", "d")}, {}, False),
        ({"accepted": False}, {}, False),
        ({"score": 0.8}, {}, False),
        ({}, {"near_duplicate_similarity": 0.9}, False),
    ],
)
def test_in_another_lake_the_same_rows_and_rules_have_the_same_id_and_others_do_not(
    tiny_lake: TinyLake, tmp_path: Path, values: dict[str, Any], rules: dict[str, Any], same: bool
) -> None:
    other = copied(tiny_lake, tmp_path / "other")
    other.change("trains", **values)
    assert (other.release(**rules).id == tiny_lake.release().id) == same


def test_the_latest_release_is_the_one_made_last_also_when_it_was_made_before(tiny_lake: TinyLake) -> None:
    with pytest.raises(NotPublished, match="materialise boost_qa first"):
        RELEASES.latest(tiny_lake.lake)
    ids = []
    for accepted in (False, True, False):
        tiny_lake.change("moon", accepted=accepted)
        ids.append(tiny_lake.release().id)
        assert RELEASES.latest(tiny_lake.lake).id == ids[-1]
    assert ids[0] == ids[2] != ids[1]


def test_a_slower_run_does_not_move_the_pointer_back(tiny_lake: TinyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_lake.release()
    tiny_lake.change("moon", accepted=True)
    faster: list[Release] = []

    def while_another_run_publishes(*given: Any) -> None:
        monkeypatch.undo()
        write_card(*given)
        faster.append(tiny_lake.release(near_duplicate_similarity=0.9))

    monkeypatch.setattr("assets.boost_qa.release.write_card", while_another_run_publishes)
    with pytest.raises(Overtaken, match=r"another run published \w+ meanwhile[\s\S]*materialise boost_qa again"):
        tiny_lake.release()
    assert [RELEASES.latest(tiny_lake.lake)] == faster


def test_a_release_says_what_changed_since_the_last(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    tiny_lake.dialogues["moon"] = TinyDialogue("moon", "How many moons has Mars?", "2", "analogy")
    tiny_lake.change("eggs", accepted=False)
    tiny_lake.change("trains", words=("Q", "b", "c", "d"))
    tiny_lake.add(TinyDialogue("rivers", "Which river is the longest of Africa?", "the Nile", "debate"))
    tiny_lake.remove("paint")
    second = tiny_lake.release()
    assert second.manifest["previous"] == first.id
    assert {change["change"]: change["dialogues"] for change in second.manifest["changes"]} == {
        "added": 1,
        "gone": 1,
        "generated again": 1,
        "accepted now, was rejected": 1,
        "not released any more: rejected": 1,
    }


def test_a_manifest_of_an_older_version_names_its_partitions_as_new_ones_do(tiny_lake: TinyLake) -> None:
    failed_partition(tiny_lake)
    release, store = tiny_lake.release(minimum_coverage=0.5), tiny_lake.lake.store
    older = dict(json.loads(store.get(f"{release.folder}/manifest.json")))
    for name in ("lineage", "left_out"):
        older[name] = [{"lesson": entry.pop("partition"), **entry} for entry in older[name]]
    store.put(f"{release.folder}/manifest.json", json.dumps(older).encode())
    assert RELEASES.latest(tiny_lake.lake) == release
    assert tiny_lake.release(minimum_coverage=0.5) == release


def test_no_secret_and_no_address_is_in_any_file(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    store = tiny_lake.lake.store
    text = b"".join(store.get(file.path) for file in store.list("boost_qa") if not file.path.endswith(".png"))
    assert not [secret for secret in (b"api_key", b"http://", store.root.encode()) if secret in text]
    assert release.manifest["configuration"]["roles"]["judge"]["model"].encode() in text


def test_a_release_on_s3_is_the_same_release(tiny_lake: TinyLake, tiny_s3_lake: TinyLake) -> None:
    first = tiny_s3_lake.release()
    assert first.id == tiny_lake.release().id
    second = tiny_s3_lake.release(near_duplicate_similarity=0.9)
    assert (second.manifest["previous"], second.manifest["changes"]) == (first.id, [])
    assert RELEASES.latest(tiny_s3_lake.lake) == second
