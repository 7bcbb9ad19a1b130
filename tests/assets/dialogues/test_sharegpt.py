import pytest

from assets.dialogues.sharegpt import conversation
from tests.lake_rows import turn_rows
from tests.shipped_scenarios import SCENARIOS


@pytest.mark.parametrize(
    ("scenario", "repetitions", "values"),
    [
        ("error_correction", None, ["0", "1", "2", "3"]),
        ("analogy", None, ["0", "1", "2", "3"]),
        ("debate", 1, ["Teacher: 0", "Student A: 1", "Student B: 2", "Student C: 3"]),
        (
            "debate",
            2,
            ["Teacher: 0", "Student A: 1", "Student B: 2", "Student A: 3", "Student B: 4", "Student C: 5"],
        ),
    ],
)
def test_turns_alternate_between_human_and_gpt_and_only_gpt_trains(
    scenario: str, repetitions: int | None, values: list[str]
) -> None:
    declared = SCENARIOS[scenario]
    turns = [
        {"speaker": turn.speaker, "side": declared.side(turn.speaker), "text": str(number), "trains": True}
        for number, turn in enumerate(declared.turns(repetitions))
    ]
    messages = conversation(turns)
    assert [message["value"] for message in messages] == values
    assert [(message["from"], message["trains"]) for message in messages] == [("human", False), ("gpt", True)] * (
        len(values) // 2
    )


def test_a_turn_can_be_left_out_of_the_loss() -> None:
    turns = turn_rows("analogy", ["words"] * 4)
    turns[1]["trains"] = False
    assert [message["trains"] for message in conversation(turns)] == [False, False, False, True]


@pytest.mark.parametrize("sides", [(), ("human",), ("gpt", "human"), ("human", "human"), ("human", "gpt", "human")])
def test_turns_that_do_not_alternate_are_an_error(sides: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="do not alternate"):
        conversation([{"speaker": "teacher", "side": side, "text": "Q", "trains": True} for side in sides])
