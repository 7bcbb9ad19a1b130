from typing import Any

import pytest

from assets.dialogues.sharegpt_roles import conversation, speakers
from assets.framework.partitions import Scenario


def turns(*said: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"speaker": speaker, "text": text, "trains": speaker != "teacher"} for speaker, text in said]


@pytest.mark.parametrize(("scenario", "rounds"), [*((one, 1) for one in Scenario), (Scenario.DEBATE, 2)])
def test_a_complete_dialogue_alternates_from_human_to_gpt(scenario: Scenario, rounds: int) -> None:
    said = conversation(scenario, turns(*((speaker, "words") for speaker in speakers(scenario, rounds))))
    assert [message["from"] for message in said] == ["human", "gpt"] * (len(said) // 2)


def test_a_debate_keeps_its_speakers_names() -> None:
    said = conversation(
        Scenario.DEBATE, turns(("teacher", "Q"), ("student A", "7"), ("student B", "8"), ("student C", "7"))
    )
    assert [message["value"] for message in said] == ["Teacher: Q", "Student A: 7", "Student B: 8", "Student C: 7"]


def test_other_scenarios_are_without_headings() -> None:
    said = conversation(
        Scenario.ERROR_CORRECTION, turns(("teacher", "Q"), ("student", "9"), ("teacher", "Hm"), ("student", "7"))
    )
    assert [message["value"] for message in said] == ["Q", "9", "Hm", "7"]


def test_only_gpt_turns_carry_loss() -> None:
    said = conversation(
        Scenario.DEBATE, turns(("teacher", "Q"), ("student A", "7"), ("student B", "8"), ("student C", "7"))
    )
    assert [message["trains"] for message in said] == [False, True, False, True]


def test_a_turn_can_be_left_out_of_the_loss() -> None:
    given = turns(("teacher", "Q"), ("student", "9"), ("teacher", "Hm"), ("student", "7"))
    given[1]["trains"] = False
    assert [message["trains"] for message in conversation(Scenario.ANALOGY, given)] == [False, False, False, True]


@pytest.mark.parametrize(
    "said", [(), (("teacher", "Q"),), (("student", "9"), ("teacher", "Q")), (("teacher", "Q"), ("teacher", "Q"))]
)
def test_what_does_not_alternate_is_an_error(said: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValueError, match="do not alternate"):
        conversation(Scenario.ANALOGY, turns(*said))
