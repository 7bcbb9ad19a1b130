"""The set `cot`, answered by models on loopback."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.seeds.schema import SEEDS
from assets.training_sets.reasoning import ROLE
from assets.training_sets.variants import TrainingSetError
from resources.chat.profile import Profile
from resources.identity import stable_hash

SOUND = "First I say what is asked, and then I work it out with care, one step after the other. The answer is {}."


def answer(studio: Any, finals: dict[str, str]) -> None:
    """Let the models answer by the first word of the question that is known."""

    def rule(request: Any) -> Any:
        for words, said in finals.items():
            if words in request.last:
                return said
        return SOUND.format("what I worked out")

    studio.endpoint.answer_with(rule)


def give_final(studio: Any, name: str, final: str) -> None:
    """Let raw_seeds know the final answer of one."""
    lake = studio.tiny.lake
    keys = {"source": "sums", "shard": "sums-0000"}
    chosen = pl.col("seed_id") == studio.seed_id(name)
    frame = lake.read(SEEDS, [keys]).with_columns(
        reference_final=pl.when(chosen).then(pl.lit(final)).otherwise(pl.col("reference_final"))
    )
    lake.write(SEEDS, keys, frame, fingerprint=stable_hash(final))


def row(studio: Any, name: str) -> dict[str, Any]:
    return dict(studio.rows("cot").row(by_predicate=pl.col("seed_id") == studio.seed_id(name), named=True))


def test_every_seed_is_answered_with_a_chain_of_thought(studio: Any) -> None:
    answer(studio, {})
    rows = studio.rows("cot")
    assert rows["scenario"].unique().to_list() == ["cot"]
    assert {turns[1]["value"] for turns in rows["conversations"]} == {SOUND.format("what I worked out")}


def test_the_model_sees_the_question_and_never_the_answer(studio: Any) -> None:
    answer(studio, {})
    studio.tiny.change("capital", answer="Lutetia Parisiorum")
    studio.make("cot")
    assert len(studio.endpoint.chats) == 7
    assert not any("Lutetia" in request.text for request in studio.endpoint.chats)


def test_a_wrong_final_answer_is_asked_for_again(studio: Any) -> None:
    given = iter([SOUND.format("8"), SOUND.format("7")])
    studio.endpoint.answer_with(lambda request: next(given) if "apples" in request.last else SOUND.format("done"))
    studio.release = studio.tiny.release()
    give_final(studio, "apples", "7")
    assert row(studio, "apples")["conversations"][1]["value"] == SOUND.format("7")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SOUND.format("8"), "wrong_final_answer"),
        ("", "empty"),
        (
            "Zuerst sage ich, was gefragt ist, und rechne dann immer der reihe nach weiter, bis alles passt.",
            "not_english",
        ),
        ("As an AI language model, I cannot answer that.", "refusal"),
    ],
)
def test_a_seed_without_a_usable_answer_keeps_its_own_and_is_counted(studio: Any, said: str, why: str) -> None:
    answer(studio, {"apples": said})
    studio.release = studio.tiny.release()
    give_final(studio, "apples", "7")
    kept = row(studio, "apples")
    assert (kept["scenario"], kept["conversations"][1]["value"]) == ("original", "7")
    assert studio.make("cot").manifest["counts"] == {"reasoned": 6, why: 1}


def test_an_answer_that_was_cut_off_is_none(studio: Any) -> None:
    whole = SOUND.format("done")
    cut = studio.endpoint.says(whole, finish_reason="length")
    studio.endpoint.answer_with(lambda request: cut if "apples" in request.last else whole)
    assert row(studio, "apples")["scenario"] == "original"


def test_it_is_asked_no_more_often_than_the_rules_say(studio: Any) -> None:
    answer(studio, {"apples": "As an AI language model, I cannot answer that."})
    studio.make("cot")
    assert len(studio.endpoint.chats) == 6 + 1 + studio.rules.cot.regenerations


def test_the_same_release_and_model_ask_nobody_again(studio: Any) -> None:
    answer(studio, {})
    first = studio.make("cot")
    asked = len(studio.endpoint.chats)
    assert studio.make("cot") == first
    assert len(studio.endpoint.chats) == asked


@pytest.mark.parametrize(
    ("of_the_role", "of_the_endpoint"),
    [
        ({"top_p": 0.5}, {}),
        ({"seed": 4711}, {}),
        ({"extra_body": {"top_k": 5}}, {}),
        ({}, {"extra_body": {"top_k": 5}}),
    ],
)
def test_another_sampling_makes_another_set(
    studio: Any, of_the_role: dict[str, Any], of_the_endpoint: dict[str, Any]
) -> None:
    def changed(profile: Profile) -> Profile:
        endpoint = profile.endpoints["embedded"].model_copy(update=of_the_endpoint)
        role = profile.roles[ROLE].model_copy(update=of_the_role)
        return profile.model_copy(update={"endpoints": {"embedded": endpoint}, "roles": {**profile.roles, ROLE: role}})

    answer(studio, {})
    studio.make("cot")
    studio.profile = changed
    studio.endpoint.answer_with(lambda request: SOUND.format("another one"))
    assert studio.rows("cot")["conversations"].list.get(1).struct.field("value").unique().to_list() == [
        SOUND.format("another one")
    ]


def test_of_two_runs_at_once_one_asks_and_the_other_finds_it_made(
    studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    studio.endpoint.answer_with(lambda request: studio.endpoint.says(SOUND.format("done"), delay=0.1))
    studio.release = studio.tiny.release()
    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(studio.make, ["cot", "cot"])
    assert first == second
    assert len(studio.endpoint.chats) == 7


def test_who_watches_sees_how_fast_it_goes(studio: Any) -> None:
    seen: list[tuple[int, int, str]] = []
    studio.update = lambda done, total, detail, parts=tuple: seen.append((done, total, detail()))
    answer(studio, {})
    studio.make("cot")
    assert [(done, total) for done, total, _ in seen] == [(number, 7) for number in range(1, 8)]
    assert all("calls/s" in words and "tokens/s" in words for _, _, words in seen)


def test_what_was_answered_before_a_bad_hour_is_not_paid_again(studio: Any) -> None:
    whole = SOUND.format("done")
    away = studio.endpoint.fails(500)
    studio.endpoint.answer_with(lambda request: away if "apples" in request.last else whole)
    with pytest.raises(TrainingSetError, match=r"1 of 7 seeds got no answer this time \(1 server_error\)"):
        studio.make("cot")
    before = len(studio.endpoint.chats)
    answer(studio, {})
    studio.make("cot")
    assert len(studio.endpoint.chats) == before + 1


def test_a_model_that_never_reasons_makes_no_set(studio: Any) -> None:
    studio.endpoint.answer_with(lambda request: "As an AI language model, I cannot answer that.")
    with pytest.raises(TrainingSetError, match=r"none of 7 seeds .*'cot' would be 'ori'"):
        studio.make("cot")


def test_the_manifest_names_model_and_prompt(studio: Any) -> None:
    answer(studio, {})
    told = studio.make("cot").manifest["made_with"]
    assert (told["model"], told["temperature"]) == ("SmolLM2-135M-Instruct", 0.2)
    assert len(told["prompt"]) == 16
