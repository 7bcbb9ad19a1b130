"""Which conversations are trained on, and which of their tokens."""

from collections.abc import Callable
from typing import Any

import pytest

from assets.training_programs.fine_tuning.data import NO_LOSS, tokenize
from assets.training_programs.fine_tuning.templates import set_chat_template
from tests.trainer_work import conversation, labelled, pair

FOUR = ("What is two?", "Two is 2.", "And three?", "Three is 3.")


@pytest.fixture
def tokenizer(make_tokenizer: Callable[..., Any]) -> Any:
    made = make_tokenizer("<|im_start|>", "<|im_end|>")
    set_chat_template(made, "chatml")
    return made


def trained(tokenizer: Any, labels: list[int]) -> str:
    return str(tokenizer.decode([label for label in labels if label != NO_LOSS]))


def length(tokenizer: Any, *texts: str) -> int:
    """Of a conversation, in tokens."""
    return len(tokenize([conversation(*texts)], tokenizer, 10_000).rows[0]["input_ids"])


def test_a_turn_whose_flag_is_off_carries_no_loss(tokenizer: Any) -> None:
    row = conversation(*FOUR, trains=[False, False, False, True])

    (found,) = tokenize([row], tokenizer, 1000).rows

    assert trained(tokenizer, found["labels"]) == "Three is 3.<|im_end|>"


def test_a_flag_on_a_human_turn_counts_for_nothing(tokenizer: Any) -> None:
    row = conversation(*FOUR, trains=[True, True, True, False])

    (found,) = tokenize([row], tokenizer, 1000).rows

    assert trained(tokenizer, found["labels"]) == "Two is 2.<|im_end|>"


def test_labels_are_the_tokens_themselves(tokenizer: Any) -> None:
    (row,) = tokenize([conversation(*FOUR)], tokenizer, 1000).rows

    kept = [(label, token) for label, token in zip(row["labels"], row["input_ids"], strict=True) if label != NO_LOSS]
    assert all(label == token for label, token in kept)


def test_a_conversation_that_trains_nothing_is_left_out(tokenizer: Any) -> None:
    rows = tokenize([conversation(*FOUR, trains=[False] * 4)], tokenizer, 1000)

    assert (rows.rows, dict(rows.left_out)) == ([], {"nothing to train on": 1})


@pytest.mark.parametrize(
    ("spare", "kept", "left_out"), [(0, 1, {}), (-1, 0, {"too long": 1})], ids=["fits", "too long"]
)
def test_a_conversation_that_does_not_fit_is_left_out_and_never_cut_to_a_wrong_answer(
    tokenizer: Any, spare: int, kept: int, left_out: dict[str, int]
) -> None:
    rows = tokenize([conversation(*FOUR)], tokenizer, length(tokenizer, *FOUR) + spare)

    assert (len(rows.rows), dict(rows.left_out)) == (kept, left_out)


def test_text_that_holds_a_control_token_is_left_out(tokenizer: Any) -> None:
    rows = tokenize([conversation("Hi", "Done.<|im_end|> And more.")], tokenizer, 1000)

    assert dict(rows.left_out) == {"control tokens in the text": 1}


def test_the_system_prompt_carries_no_loss(tokenizer: Any) -> None:
    (found,) = tokenize([conversation(*FOUR[:2], system="Be brief.")], tokenizer, 1000).rows

    assert trained(tokenizer, found["labels"]) == "Two is 2.<|im_end|>"


def test_a_pair_has_the_ids_of_both_answers_and_loss_on_the_chosen_one(tokenizer: Any) -> None:
    (found,) = tokenize([pair("2?", "Two is 2.", "Two is 3.")], tokenizer, 1000, "preference").rows

    assert trained(tokenizer, found["labels"]) == "Two is 2.<|im_end|>"
    assert tokenizer.decode(found["rejected_ids"]).endswith("Two is 3.<|im_end|>\n")
    assert (found["chosen"], found["rejected"]) == tuple(pair("2?", "Two is 2.", "Two is 3.")[k] for k in PAIR_KEYS)


def test_a_labelled_answer_keeps_its_label(tokenizer: Any) -> None:
    (found,) = tokenize([labelled("2?", "Two is 3.", good=False)], tokenizer, 1000, "labelled").rows

    assert (trained(tokenizer, found["labels"]), found["label"]) == ("Two is 3.<|im_end|>", False)


PAIR_KEYS = ("chosen", "rejected")


@pytest.mark.parametrize(
    ("row", "form", "max_tokens", "reason"),
    [
        (pair("2?", "It is 2.", "It is 2."), "preference", 1000, "chosen equal to rejected"),
        (pair("2?", "It is 2.", " "), "preference", 1000, "an empty answer"),
        (pair("2?", "It is 2.", "It is <|im_end|> 3."), "preference", 1000, "control tokens in the text"),
        (pair("2?", "2.", "It is three, and nothing else." * 9), "preference", 60, "too long"),
        (labelled("2?", "", good=True), "labelled", 1000, "an empty answer"),
    ],
)
def test_pairs_and_answers_that_train_nothing_are_left_out_and_counted(
    tokenizer: Any, row: Any, form: str, max_tokens: int, reason: str
) -> None:
    found = tokenize([row], tokenizer, max_tokens, form)

    assert (found.rows, dict(found.left_out)) == ([], {reason: 1})
