"""A model's reasoning is kept apart from its answer."""

import pytest

from resources.chat.reasoning import split_reasoning

THOUGHT, ANSWER = "six times seven", "42"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<think>six times seven</think>\n\n42", ("six times seven", "42")),
        ("\n<think>\n</think>42", (None, "42")),
        ("six times seven</think>42", ("six times seven", "42")),
        ("<think>six times", ("six times", "")),
        ("42 <think>no</think>", (None, "42 <think>no</think>")),
        ("  42\n", (None, "  42\n")),
    ],
)
def test_reasoning_is_kept_apart(content: str, expected: tuple[str | None, str]) -> None:
    assert split_reasoning(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        "<thinking>{}</thinking>{}",
        "<thought>\n{}\n</thought>\n{}",
        "<seed:think>{}</seed:think>{}",
        "[THINK]{}[/THINK]{}",
        "◁think▷{}◁/think▷{}",
        "{}◁/think▷{}",
        "<|begin_of_thought|>{}<|end_of_thought|>\n<|begin_of_solution|>{}<|end_of_solution|>",
        "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
        "<think>{}</think><answer>{}</answer>",
        "<think>{}</think><think></think>{}",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
        "<|start|>assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}",
        "<|channel|>commentary to=f <|constrain|>json<|message|>{}<|call|><|channel|>final<|message|>{}",
        "analysis{}assistantfinal{}",
    ],
)
def test_the_marks_of_all_families_are_known(content: str) -> None:
    assert split_reasoning(content.format(THOUGHT, ANSWER)) == (THOUGHT, ANSWER)


@pytest.mark.parametrize("content", ["<|channel|>analysis<|message|>{}", "[THINK]{}", "◁think▷ {}"])
def test_reasoning_that_was_cut_off_has_no_answer(content: str) -> None:
    assert split_reasoning(content.format(THOUGHT)) == (THOUGHT, "")


@pytest.mark.parametrize("text", ["An analysis of [think] marks.", "analysis of it", "<answer>42</answer>", "a < b"])
def test_an_answer_without_reasoning_stays_as_it_is(text: str) -> None:
    assert split_reasoning(text) == (None, text)
