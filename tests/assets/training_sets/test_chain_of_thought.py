"""Chain-of-thought answers by models on loopback, and the set `cot`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.seeds.schema import SEEDS
from assets.training_sets.makers import make_variant
from assets.training_sets.variants import TrainingSetError
from resources.chat.profile import Profile
from resources.configuration import ConfigurationError
from resources.identity import stable_hash

SOUND = "First I say what is asked, and then I work it out with care, one step after the other. The answer is {}."
RIGHT, DONE = SOUND.format("7"), SOUND.format("done")
REFUSAL = "As an AI language model, I cannot answer that."
GERMAN = "Zuerst sage ich, was gefragt ist, und rechne dann immer der reihe nach weiter, bis alles passt."


def answer(maker: Any, apples: Any = RIGHT, others: Any = DONE) -> None:
    """What the models answer to the question on apples, and to all others."""
    maker.endpoint.answer_with(lambda request: apples if "apples" in request.last else others)


def give_final_answer(maker: Any, name: str, final: str) -> None:
    """Write the final answer of one seed into raw_seeds."""
    lake, keys = maker.tiny.lake, {"source": "sums", "shard": "sums-0000"}
    chosen = pl.col("seed_id") == maker.tiny.dialogues[name].seed_id
    frame = lake.read(SEEDS, [keys]).with_columns(
        reference_final=pl.when(chosen).then(pl.lit(final)).otherwise(pl.col("reference_final"))
    )
    lake.write(SEEDS, keys, frame, fingerprint=stable_hash(final))


def test_every_seed_is_answered_and_the_model_never_sees_the_reference_answer(maker: Any) -> None:
    answer(maker, apples=DONE)
    maker.tiny.change("capital", answer="Lutetia Parisiorum", system="Be brief.")
    rows = maker.rows("cot")
    assert rows["scenario"].unique().to_list() == ["cot"]
    assert {turns[1]["value"] for turns in rows["conversations"]} == {DONE}
    assert len(maker.endpoint.chats) == 7
    assert not any("Lutetia" in request.text for request in maker.endpoint.chats)
    assert sum(request.last.startswith("Be brief.\n\n") for request in maker.endpoint.chats) == 1
    assert maker.row("cot", "capital")["system"] == "Be brief."


def test_a_wrong_final_answer_is_asked_for_again(maker: Any) -> None:
    wrong_then_right = iter([SOUND.format("8"), RIGHT])
    maker.endpoint.answer_with(lambda request: next(wrong_then_right) if "apples" in request.last else DONE)
    assert maker.release
    give_final_answer(maker, "apples", "7")
    assert maker.row("cot", "apples")["conversations"][1]["value"] == RIGHT


@pytest.mark.parametrize(
    ("text", "reason"),
    [(SOUND.format("8"), "wrong_final_answer"), ("", "empty"), (GERMAN, "not_english"), (REFUSAL, "refusal")],
)
def test_a_seed_without_a_usable_answer_keeps_its_own_and_is_counted(maker: Any, text: str, reason: str) -> None:
    answer(maker, apples=text)
    assert maker.release
    give_final_answer(maker, "apples", "7")
    row = maker.row("cot", "apples")
    assert (row["scenario"], row["conversations"][1]["value"]) == ("original", "7")
    assert maker.make("cot").manifest["counts"] == {"reasoned": 6, reason: 1}
    assert len(maker.endpoint.chats) == 6 + 1 + maker.rules.cot.regenerations


def test_an_answer_that_was_cut_off_is_not_used(maker: Any) -> None:
    answer(maker, apples=maker.endpoint.says(RIGHT, finish_reason="length"))
    assert maker.row("cot", "apples")["scenario"] == "original"


def test_answers_that_are_current_are_not_asked_for_again(maker: Any) -> None:
    answer(maker)
    first, calls = maker.make("cot"), len(maker.endpoint.chats)
    assert maker.make("cot") == first
    assert len(maker.endpoint.chats) == calls


@pytest.mark.parametrize(
    ("role", "endpoint"),
    [
        ({"top_p": 0.5}, {}),
        ({"seed": 4711}, {}),
        ({"extra_body": {"top_k": 5}}, {}),
        ({}, {"extra_body": {"top_k": 5}}),
    ],
)
def test_other_sampling_makes_other_answers(maker: Any, role: dict[str, Any], endpoint: dict[str, Any]) -> None:
    def change(profile: Profile) -> Profile:
        endpoints = {"embedded": profile.endpoints["embedded"].model_copy(update=endpoint)}
        answering = profile.roles["strong_student"].model_copy(update=role)
        roles = {**profile.roles, "strong_student": answering}
        return profile.model_copy(update={"endpoints": endpoints, "roles": roles})

    answer(maker)
    maker.make("cot")
    maker.change_profile = change
    with pytest.raises(TrainingSetError, match=r"no chain-of-thought answers .*materialise chain_of_thought_answers"):
        make_variant(maker.context, "cot")
    answer(maker, *[SOUND.format("another one")] * 2)
    answers = maker.rows("cot")["conversations"].list.get(1).struct.field("value")
    assert answers.unique().to_list() == [SOUND.format("another one")]


def test_without_answers_the_set_is_refused_and_no_model_is_asked(maker: Any) -> None:
    with pytest.raises(TrainingSetError, match=f"of release {maker.release.id} by SmolLM2.*chain_of_thought_answers"):
        make_variant(maker.context, "cot")
    assert maker.endpoint.chats == []


def test_of_two_runs_at_once_one_asks_and_the_other_finds_the_answers(
    maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    answer(maker, *[maker.endpoint.says(DONE, delay=0.1)] * 2)
    assert maker.release
    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(maker.make, ["cot", "cot"])
    assert first == second
    assert len(maker.endpoint.chats) == 7


def test_progress_says_how_many_seeds_are_done_and_how_fast(maker: Any) -> None:
    seen: list[tuple[int, int, str]] = []
    maker.update = lambda done, total, detail, parts=tuple: seen.append((done, total, detail()))
    answer(maker)
    maker.make("cot")
    assert [(done, total) for done, total, _ in seen] == [(number, 7) for number in range(1, 8)]
    assert all("calls/s" in detail and "tokens/s" in detail for _, _, detail in seen)


def test_what_was_answered_before_an_outage_is_not_paid_for_again(maker: Any) -> None:
    answer(maker, apples=maker.endpoint.fails(500))
    with pytest.raises(TrainingSetError, match=r"1 of 7 seeds got no answer this time \(1 server_error\)"):
        maker.make("cot")
    calls = len(maker.endpoint.chats)
    answer(maker)
    maker.make("cot")
    assert len(maker.endpoint.chats) == calls + 1


def test_a_model_that_never_reasons_makes_no_answers(maker: Any) -> None:
    answer(maker, REFUSAL, REFUSAL)
    with pytest.raises(TrainingSetError, match=r"none of 7 seeds .*'cot' would equal 'ori'"):
        maker.make("cot")


def test_the_rules_name_the_role_that_answers(maker: Any) -> None:
    maker.change_rules("cot", role="judge")
    maker.change_profile = lambda profile: profile.model_copy(
        update={"roles": {"judge": profile.roles["judge"].model_copy(update={"model": "another model"})}}
    )
    answer(maker)
    assert maker.make("cot").manifest["made_with"]["model"] == "another model"
    assert {request.model for request in maker.endpoint.chats} == {"another model"}


def test_a_role_that_the_profile_lacks_is_an_error_before_a_model_is_asked(maker: Any) -> None:
    maker.change_rules("cot", role="mentor")
    with pytest.raises(ConfigurationError, match="role 'mentor' is missing; the training set cot"):
        maker.make("cot")
    assert maker.endpoint.chats == []


def test_the_manifest_names_model_and_prompt(maker: Any) -> None:
    answer(maker)
    made_with = maker.make("cot").manifest["made_with"]
    assert (made_with["model"], made_with["temperature"]) == ("SmolLM2-135M-Instruct", 0.2)
    assert len(made_with["prompt"]) == 16
