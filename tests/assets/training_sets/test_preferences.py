"""The set `dpo`, on the tiny lake."""

from typing import Any

import pytest
import yaml

from assets.framework.scenarios.declaration import ScenarioDeclaration
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.training_sets.preferences import answer_pairs
from assets.training_sets.turns import turns_of
from assets.training_sets.variants import NothingToMake
from tests.shipped_scenarios import SCENARIOS

WRONG_FIRST = (None, "wrong", None, "right")  # of an error correction: question, attempt, advice, correction
DEBATE = (None, "wrong", "right", "right")  # question, student A, student B, student C


def pairs_of(maker: Any) -> list[tuple[str, str, str, str]]:
    """Roles and texts, chosen before rejected."""
    return [
        (row["chosen_role"], row["rejected_role"], row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in maker.rows("dpo").to_dicts()
    ]


def test_a_correction_is_chosen_over_the_attempt_that_a_rule_found_wrong(maker: Any) -> None:
    maker.tiny.change("paint", finals=WRONG_FIRST, system="Be brief.")
    (row,) = maker.rows("dpo").to_dicts()
    paint = maker.tiny.dialogues["paint"]
    assert row["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": paint.question},
    ]
    assert row["chosen"] == [{"role": "assistant", "content": "So 4."}]
    assert row["rejected"] == [{"role": "assistant", "content": "I think paint makes one."}]
    assert (row["chosen_role"], row["rejected_role"]) == ("strong_student", "weak_student")
    assert (row["dialogue_id"], row["seed_id"], row["split"]) == (paint.dialogue_id, paint.seed_id, "validation")
    manifest = maker.make("dpo").manifest
    assert (manifest["form"], manifest["rows"], manifest["same_size"]) == ("preference", {"validation": 1}, False)
    assert manifest["counts"] == {"strong_student over weak_student": 1}


@pytest.mark.parametrize(
    ("finals", "expected"),
    [
        (DEBATE, {("debate_closer", "debater_a"), ("debater_b", "debater_a")}),
        ((None, "right", "wrong", "right"), {("debate_closer", "debater_b"), ("debater_a", "debater_b")}),
        ((None, "wrong", "wrong", "right"), {("debate_closer", "debater_a"), ("debate_closer", "debater_b")}),
        ((None, "wrong", "unknown", "right"), {("debate_closer", "debater_a")}),
        ((None, "wrong", "right", "unknown"), {("debater_b", "debater_a")}),  # the judge found nothing of the result
    ],
)
def test_a_debate_gives_pairs_with_its_closer_and_among_its_debaters(
    maker: Any, finals: tuple[str, ...], expected: set[tuple[str, str]]
) -> None:
    maker.tiny.change("trains", finals=finals)
    found = pairs_of(maker)
    assert {(chosen, rejected) for chosen, rejected, _, _ in found} == expected
    assert not any(text.startswith("Student") for _, _, *texts in found for text in texts)


@pytest.mark.parametrize(
    ("final", "value", "good", "pairs"),
    [
        ("unknown", "same", True, 1),
        ("unknown", "fulfils", True, 1),
        ("unknown", "different", False, 0),
        ("right", "different", False, 0),
        ("right", "same", True, 1),
    ],
)
def test_a_result_that_no_rule_can_compare_is_right_where_the_judge_found_so(
    maker: Any, final: str, value: str, good: bool, pairs: int
) -> None:
    found = {"finding": "result", "value": value, "good": good, "reason": "", "code": "judged_wrong", "agreed": True}
    maker.tiny.change("paint", finals=(None, "wrong", None, final), findings=(found,))
    maker.tiny.change("apples", finals=WRONG_FIRST)
    assert len(pairs_of(maker)) == 1 + pairs


def test_answers_to_the_same_question_alone_are_a_pair(maker: Any) -> None:
    maker.tiny.change("loop", finals=(None, "wrong", None, "right"))  # an analogy: two questions, one answer to each
    with pytest.raises(NothingToMake, match="has no rows for 'dpo'"):
        maker.make("dpo")


@pytest.mark.parametrize("attempt", ["So 4.", " So\n4. "])
def test_a_chosen_answer_that_equals_the_rejected_one_is_left_out_and_counted(maker: Any, attempt: str) -> None:
    maker.tiny.change("paint", finals=WRONG_FIRST, words=("How many?", attempt, "Look.", "So 4."))
    maker.tiny.change("apples", finals=WRONG_FIRST)
    assert [texts[0] for _, _, *texts in pairs_of(maker)] == ["So 7."]
    assert maker.make("dpo").manifest["counts"]["chosen equal to rejected"] == 1


def test_a_dialogue_that_changed_since_the_release_is_left_out_and_counted(maker: Any) -> None:
    for name in ("apples", "paint"):
        maker.tiny.change(name, finals=WRONG_FIRST)
    first, paint = maker.make("dpo"), maker.tiny.dialogues["paint"]
    maker.tiny.change("paint", words=(paint.question, "Five.", "Look again.", "Four."))
    second = maker.make("dpo")
    assert (first.manifest["rows"], second.manifest["rows"]) == ({"train": 1, "validation": 1}, {"train": 1})
    assert second.manifest["counts"]["changed since the release"] == 1
    assert second.id != first.id


def test_the_same_lake_gives_the_same_set_and_another_verdict_another_one(maker: Any) -> None:
    maker.tiny.change("apples", finals=WRONG_FIRST)
    first = maker.make("dpo")
    assert maker.make("dpo") == first
    maker.tiny.change("paint", finals=WRONG_FIRST)
    assert maker.make("dpo").manifest["rows"] == {"train": 1, "validation": 1}


def test_a_scenario_that_is_no_longer_declared_gives_no_pairs(maker: Any) -> None:
    maker.tiny.change("apples", finals=WRONG_FIRST)
    maker.tiny.change("trains", finals=DEBATE)
    maker.scenarios = Scenarios(one for name, one in SCENARIOS.items() if name != "debate")
    assert {chosen for chosen, *_ in pairs_of(maker)} == {"strong_student"}


def test_the_card_says_how_well_length_and_role_show_the_chosen_answer(maker: Any) -> None:
    maker.tiny.change("apples", finals=WRONG_FIRST)
    card = maker.tiny.lake.store.get(f"{maker.make('dpo').folder}/README.md").decode()
    assert "answers whose role shows whether they are chosen (50%: no difference) | 100% |" in card.replace("\\", "")
    assert "have the release's size" not in " ".join(card.split())


OWN = """
description: A beginner guesses, and a mentor answers; the names are a user's.
speakers: {asker: {side: human}, beginner: {side: gpt}, friend: {side: human}, mentor: {side: gpt}}
roles: {guesser: {weak: true}, peer: {weak: true}, expert: {}}
steps:
  - {pose: question, speaker: asker}
  - {say: guess, speaker: beginner, role: guesser, prompt: guess, sees: [question], answers: question}
  - {say: objection, speaker: friend, role: peer, prompt: guess, sees: [question], answers: question}
  - {say: solution, speaker: mentor, role: expert, prompt: guess, sees: [question], answers: question, judged: true}
"""


def test_the_steps_of_a_users_own_scenario_say_which_answers_are_a_pair() -> None:
    declaration = ScenarioDeclaration.model_validate(yaml.safe_load(OWN))
    scenario = Scenario("own", declaration, SCENARIOS["debate"].prompts)
    said = [
        ("asker", None, "2 + 2?", None),
        ("beginner", "guesser", "5", "wrong"),
        ("friend", "peer", "4", "right"),
        ("mentor", "expert", "It is 4.", "right"),
    ]
    turns = [dict(zip(("speaker", "role", "text", "final_answer"), one, strict=True)) for one in said]
    row = {"scenario": "own", "question": "2 + 2?", "turns": turns, "judge_findings": [], "judge_status": "judged"}
    dialogue = turns_of(row, Scenarios([scenario]))
    assert dialogue is not None
    assert [(chosen.text, rejected.text) for chosen, rejected in answer_pairs(dialogue)] == [
        ("It is 4.", "5"),
        ("4", "5"),
    ]
