import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.boost_qa import assembly
from assets.boost_qa.card import write_card
from assets.boost_qa.configuration import Benchmark
from assets.boost_qa.release import RELEASES, Release, ReleaseRefused
from assets.framework.partitions import Scenario
from assets.framework.publication import GatesFailed, NotPublished
from resources.configuration import ConfigurationError
from resources.lake.published_folders import Overtaken
from tests.tiny_lake import TinyDialogue, TinyLake


def rows(tiny_lake: TinyLake, release: Release) -> pl.DataFrame:
    store = tiny_lake.lake.store
    return pl.concat([pl.read_parquet(store.uri(path)) for path in release.files("data/")])


def removed(tiny_lake: TinyLake, release: Release) -> dict[str, tuple[str, str]]:
    """Name of the seed -> (decision, reason)."""
    frame = pl.read_parquet(tiny_lake.lake.store.uri(f"{release.folder}/removed.parquet"))
    names = {one.dialogue_id: name for name, one in tiny_lake.taught.items()}
    return {names[row["dialogue_id"]]: (row["decision"], row["reason"]) for row in frame.to_dicts()}


def names(tiny_lake: TinyLake, release: Release) -> set[str]:
    known = {one.seed_id: name for name, one in tiny_lake.taught.items()}
    return {known[seed_id] for seed_id in rows(tiny_lake, release)["seed_id"]}


def test_accepted_dialogues_are_released_in_their_pinned_splits(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    assert names(tiny_lake, release) == set(tiny_lake.taught) - {"moon"}
    planned = {one.seed_id: one.split for one in tiny_lake.taught.values()}
    assert dict(rows(tiny_lake, release).select("seed_id", "split").iter_rows()) == {
        seed_id: split for seed_id, split in planned.items() if seed_id != tiny_lake.taught["moon"].seed_id
    }


def test_rejected_and_set_aside_dialogues_are_listed_with_their_reasons(tiny_lake: TinyLake) -> None:
    tiny_lake.change("eggs", status="set_aside")
    tiny_lake.change("moon", reasons=("too_short", "judged_wrong"))
    assert removed(tiny_lake, tiny_lake.release()) == {
        "eggs": ("set_aside", "endless"),
        "moon": ("rejected", "too_short, judged_wrong"),
    }


def test_what_was_made_of_a_retracted_seed_or_partner_is_taken_out(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release([tiny_lake.taught["apples"].seed_id])
    assert removed(tiny_lake, release)["apples"] == ("retracted", "retracted")
    assert removed(tiny_lake, release)["loop"] == ("retracted", "retracted")
    assert names(tiny_lake, release).isdisjoint({"apples", "loop"})


def test_a_near_duplicate_of_a_training_question_leaves_the_test_split(tiny_lake: TinyLake) -> None:
    question = tiny_lake.taught["apples"].question
    tiny_lake.teach(TinyDialogue("copy", question, "seven", Scenario.DEBATE, "test", source="other"))
    release = tiny_lake.release()
    assert removed(tiny_lake, release)["copy"] == ("near_duplicate", "near_duplicate")
    assert "apples" in names(tiny_lake, release)


@pytest.mark.parametrize("where", ["question", "answer", "words"])
def test_a_benchmark_question_in_question_answer_or_dialogue_keeps_the_row_out(
    tiny_lake: TinyLake, tmp_path: Path, where: str
) -> None:
    test_question = "Every thirteenth of the month the old baker of our town gives away thirteen loaves for free"
    benchmark = tmp_path / "town.jsonl"
    benchmark.write_text(json.dumps({"q": test_question}), encoding="utf-8")
    tiny_lake.change("verbs", **{where: ("Q", test_question, "C", "D") if where == "words" else test_question})
    release = tiny_lake.release(benchmarks=(Benchmark(name="town", path=str(benchmark), question=("q",)),))
    assert removed(tiny_lake, release)["verbs"] == ("contaminated", "town")
    assert "verbs" not in names(tiny_lake, release)


def test_an_unreadable_benchmark_stops_the_release(tiny_lake: TinyLake) -> None:
    with pytest.raises(ConfigurationError, match="town"):
        tiny_lake.release(benchmarks=(Benchmark(name="town", path="/nowhere/q.jsonl", question=("q",)),))


def test_the_same_inputs_give_the_same_release_and_write_nothing(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    before = tiny_lake.lake.store.list("boost_qa")
    assert tiny_lake.release() == first
    assert tiny_lake.lake.store.list("boost_qa") == before


def test_the_same_rows_made_elsewhere_have_the_same_id(tiny_lake: TinyLake, tmp_path: Path) -> None:
    first = tiny_lake.release()
    copy = TinyLake(type(tiny_lake.lake).at(str(tmp_path / "another")), dict(tiny_lake.taught))
    copy.write()
    assert copy.release().id == first.id


@pytest.mark.parametrize("change", [{"words": ("Q", "b", "c", "d")}, {"accepted": False}, {"score": 0.8}])
def test_other_rows_have_another_id(tiny_lake: TinyLake, change: dict[str, object]) -> None:
    first = tiny_lake.release()
    tiny_lake.change("trains", **change)
    assert tiny_lake.release().id != first.id


def test_a_release_that_is_sorted_in_many_slices_is_the_same_one(
    tiny_lake: TinyLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = TinyLake(type(tiny_lake.lake).at(str(tmp_path / "another")), dict(tiny_lake.taught))
    copy.write()
    monkeypatch.setattr(assembly, "SLICE_ROWS", 2)
    monkeypatch.setattr(assembly, "SPREAD_ROWS", 3)
    sliced = copy.release()
    monkeypatch.undo()
    assert sliced.manifest["rows_sha256"] == tiny_lake.release().manifest["rows_sha256"]


def test_rows_stand_by_split_and_then_by_id(tiny_lake: TinyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "SLICE_ROWS", 2)
    folder = tiny_lake.release().folder
    for split in ("train", "validation", "test"):
        ids = pl.read_parquet(f"{tiny_lake.lake.store.uri(folder)}/data/{split}-*.parquet")["id"].to_list()
        assert ids == sorted(ids)


def test_other_rules_have_another_id(tiny_lake: TinyLake) -> None:
    assert tiny_lake.release().id != tiny_lake.release(near_duplicate_similarity=0.9).id


def test_the_latest_release_is_the_one_made_last(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("moon", accepted=True)
    second = tiny_lake.release()
    assert RELEASES.latest(tiny_lake.lake) == second


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


def test_going_back_points_to_the_old_release_again(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    tiny_lake.change("moon", accepted=False)
    assert tiny_lake.release().id == first.id
    assert RELEASES.latest(tiny_lake.lake).id == first.id


def test_a_release_says_what_changed_since_the_last(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    tiny_lake.taught["moon"] = TinyDialogue("moon", "How many moons has Mars?", "2", Scenario.ANALOGY)
    tiny_lake.change("eggs", accepted=False)
    tiny_lake.change("trains", words=("Q", "b", "c", "d"))
    tiny_lake.teach(TinyDialogue("rivers", "Which river is the longest of Africa?", "the Nile", Scenario.DEBATE))
    tiny_lake.forget("paint")
    second = tiny_lake.release()
    assert second.manifest["previous"] == first.id
    assert {change["change"]: change["dialogues"] for change in second.manifest["changes"]} == {
        "added": 1,
        "gone": 1,
        "generated anew": 1,
        "accepted now, was rejected": 1,
        "not released any more: rejected": 1,
    }


def test_too_little_coverage_is_refused_with_the_partitions_that_are_due(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, "sums-0000", gate="failed")
    with pytest.raises(
        ReleaseRefused, match=r"62.5% of 8 planned[\s\S]*require 90%[\s\S]*debate\|sums-0000: failed its gate"
    ):
        tiny_lake.release()


def test_one_poison_partition_does_not_stop_a_release_that_needs_less(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, "sums-0000", gate="failed")
    release = tiny_lake.release(minimum_coverage=0.5)
    assert release.manifest["left_out"] == [{"partition": "debate|sums-0000", "why": "failed its gate"}]
    assert set(rows(tiny_lake, release)["scenario"]) == {"error_correction", "analogy"}


def test_nothing_accepted_is_refused_with_the_reasons(tiny_lake: TinyLake) -> None:
    tiny_lake.change_every(accepted=False)
    with pytest.raises(ReleaseRefused, match=r"none of 8 dialogues[\s\S]*8 rejected: judged_wrong"):
        tiny_lake.release()


def test_an_empty_lake_is_told_what_to_make_first(tiny_lake: TinyLake, tmp_path: Path) -> None:
    empty = TinyLake(type(tiny_lake.lake).at(str(tmp_path / "empty")))
    with pytest.raises(ReleaseRefused, match="no dialogue plans yet"):
        empty.release()


def test_too_few_rows_are_refused_and_the_pointer_stays(tiny_lake: TinyLake) -> None:
    first = tiny_lake.release()
    tiny_lake.change("eggs", accepted=False)
    with pytest.raises(GatesFailed, match="6 rows where the release rules want at least 7"):
        tiny_lake.release(minimum_rows=7)
    assert RELEASES.latest(tiny_lake.lake).id == first.id


def test_a_question_that_is_also_a_partner_in_an_earlier_split_leaves(tiny_lake: TinyLake) -> None:
    tiny_lake.change("loop", partner="verbs")
    assert removed(tiny_lake, tiny_lake.release())["verbs"] == ("near_duplicate", "near_duplicate")


def test_near_duplicates_of_a_group_in_two_splits_are_refused(tiny_lake: TinyLake) -> None:
    tiny_lake.change("verbs", representative="apples")
    with pytest.raises(GatesFailed, match="stand in several splits"):
        tiny_lake.release()


def test_before_the_first_release_there_is_none(tiny_lake: TinyLake) -> None:
    with pytest.raises(NotPublished, match="materialise boost_qa first"):
        RELEASES.latest(tiny_lake.lake)


def test_a_manifest_of_an_older_version_names_its_partitions_as_new_ones_do(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, "sums-0000", gate="failed")
    release, store = tiny_lake.release(minimum_coverage=0.5), tiny_lake.lake.store
    older = dict(json.loads(store.get(f"{release.folder}/manifest.json")))
    for name in ("lineage", "left_out"):
        older[name] = [{"lesson": entry.pop("partition"), **entry} for entry in older[name]]
    store.put(f"{release.folder}/manifest.json", json.dumps(older).encode())
    assert RELEASES.latest(tiny_lake.lake) == release
    assert tiny_lake.release(minimum_coverage=0.5) == release


def test_no_secret_and_no_address_reaches_any_file(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    store = tiny_lake.lake.store
    text = b"".join(store.get(file.path) for file in store.list("boost_qa") if not file.path.endswith(".png"))
    assert b"api_key" not in text
    assert b"http://" not in text
    assert store.root.encode() not in text
    assert release.manifest["configuration"]["roles"]["judge"]["model"].encode() in text


def test_a_release_on_s3_is_the_same_release(tiny_lake: TinyLake, tiny_s3_lake: TinyLake) -> None:
    first = tiny_s3_lake.release()
    assert first.id == tiny_lake.release().id
    second = tiny_s3_lake.release(near_duplicate_similarity=0.9)
    assert (second.manifest["previous"], second.manifest["changes"]) == (first.id, [])
    assert RELEASES.latest(tiny_s3_lake.lake) == second
