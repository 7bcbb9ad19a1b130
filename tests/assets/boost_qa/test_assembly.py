"""Dialogues as rows that LLaMA-Factory uses."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.boost_qa.assembly import AssemblyError, conversation_fault, sharegpt_row, trained_turns
from assets.boost_qa.configuration import Loss
from tests.tiny_lake import TinyLake

MESSAGE = {"from": st.sampled_from(["human", "gpt", "system"]), "value": st.sampled_from(["", " ", "x"])}


def llama_factory_keeps(messages: Sequence[dict[str, str]]) -> bool:
    """LLaMA-Factory's ShareGPT rules: from its converter (tags by place, even count) and its supervised form (an odd
    number of prompts, one response)."""
    tags = ["human" if place % 2 == 0 else "gpt" for place in range(len(messages))]
    if [message["from"] for message in messages] != tags or len(messages) % 2:
        return False
    return len(messages[:-1]) % 2 == 1 and len(messages[-1:]) == 1


@given(st.lists(st.fixed_dictionaries(MESSAGE), max_size=6))
def test_a_conversation_without_fault_is_one_that_llama_factory_keeps(messages: list[dict[str, str]]) -> None:
    keeps = llama_factory_keeps(messages) and all(message["value"].strip() for message in messages)
    assert (conversation_fault(messages) is None) == keeps


TURNS = [
    {"speaker": speaker, "side": side, "text": text, "trains": side == "gpt"}
    for speaker, side, text in [
        ("teacher", "human", "1+1?"),
        ("student", "gpt", "3"),
        ("teacher", "human", "Look again."),
        ("student", "gpt", "2"),
    ]
]
RECORD: dict[str, Any] = {
    "dialogue_id": "d1",
    "status": "complete",
    "scenario": "error_correction",
    "source": "sums",
    "domain": "math",
    "split": "train",
    "seed_id": "s1",
    "partner_seed_id": None,
    "turns": TURNS,
    "quality_score": 0.9,
    "question": "1+1?",
    "answer": "2",
    "system": None,
    "licence": "MIT",
    "partner_question": None,
    "partner_answer": None,
}


@pytest.mark.parametrize(("system", "expected"), [(None, ""), ("Be brief.", "Be brief.")])
def test_a_dialogue_becomes_a_sharegpt_row(system: str | None, expected: str) -> None:
    row = sharegpt_row({**RECORD, "system": system}, "all")
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert row["conversations"][1] == {"from": "gpt", "value": "3"}
    assert row["trains"] == [False, True, False, True]
    assert row["system"] == expected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"turns": TURNS[:3]}, "do not alternate"),
        ({"turns": TURNS[1:]}, "do not alternate"),
        ({"turns": [{**turn, "text": " "} for turn in TURNS]}, "turn 1 is empty"),
        ({"status": "set_aside"}, "no complete dialogue"),
        ({"question": None}, "its seed is not in raw_seeds"),
    ],
)
def test_what_llama_factory_would_skip_is_an_error_that_names_the_dialogue(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(AssemblyError, match=f"dialogue d1 .*{fault}"):
        sharegpt_row({**RECORD, **changes}, "all")


def test_no_release_is_published_with_a_dialogue_that_would_be_skipped(tiny_lake: TinyLake) -> None:
    tiny_lake.change("apples", words=("Q", "", "C", "D"))
    with pytest.raises(AssemblyError, match=f"dialogue {tiny_lake.dialogues['apples'].dialogue_id} .* turn 2 is empty"):
        tiny_lake.release()
    assert tiny_lake.lake.store.list("boost_qa") == []


@pytest.mark.parametrize(
    ("found", "loss", "expected"),
    [
        ("wrong right", "all", [1, 3]),
        ("wrong right", "final", [3]),
        ("wrong right", "unless_wrong", [3]),
        ("right right", "unless_wrong", [1, 3]),
        ("unknown right", "unless_wrong", [1, 3]),
        ("wrong wrong", "unless_wrong", []),
    ],
)
def test_loss_falls_on_the_turns_that_the_release_rules_choose(found: str, loss: Loss, expected: list[int]) -> None:
    answers = iter(found.split())
    turns = [turn | {"final_answer": next(answers) if turn["side"] == "gpt" else None} for turn in TURNS]
    trains = trained_turns([bool(turn["trains"]) for turn in turns], turns, loss)
    assert [place for place, flag in enumerate(trains) if flag] == expected
