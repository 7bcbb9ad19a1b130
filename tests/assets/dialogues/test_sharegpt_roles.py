import pytest
from assets.dialogues.sharegpt_roles import conversation, speakers

from assets.framework.partitions import Scenario


@pytest.mark.parametrize(
    ("scenario", "rounds", "values"),
    [
        (Scenario.ERROR_CORRECTION, 1, ["0", "1", "2", "3"]),
        (Scenario.ANALOGY, 1, ["0", "1", "2", "3"]),
        (Scenario.DEBATE, 1, ["Teacher: 0", "Student A: 1", "Student B: 2", "Student C: 3"]),
        (
            Scenario.DEBATE,
            2,
            ["Teacher: 0", "Student A: 1", "Student B: 2", "Student A: 3", "Student B: 4", "Student C: 5"],
        ),
    ],
)
def test_turns_alternate_between_human_and_gpt_and_only_gpt_trains(
    scenario: Scenario, rounds: int, values: list[str]
) -> None:
    turns = [
        {"speaker": speaker, "text": str(number), "trains": True}
        for number, speaker in enumerate(speakers(scenario, rounds))
    ]
    messages = conversation(scenario, turns)
    assert [message["value"] for message in messages] == values
    assert [(message["from"], message["trains"]) for message in messages] == [("human", False), ("gpt", True)] * (
        len(values) // 2
    )


def test_a_turn_can_be_left_out_of_the_loss() -> None:
    turns = [
        {"speaker": speaker, "text": "words", "trains": number == 3}
        for number, speaker in enumerate(speakers(Scenario.ANALOGY))
    ]
    assert [message["trains"] for message in conversation(Scenario.ANALOGY, turns)] == [False, False, False, True]


@pytest.mark.parametrize("said", [(), ("teacher",), ("student", "teacher"), ("teacher", "teacher")])
def test_turns_that_do_not_alternate_are_an_error(said: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="do not alternate"):
        conversation(Scenario.ANALOGY, [{"speaker": speaker, "text": "Q", "trains": True} for speaker in said])
