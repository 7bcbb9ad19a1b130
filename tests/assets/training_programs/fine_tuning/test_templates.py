"""Exactly the assistant's tokens, with the end of each turn, carry loss."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.training_programs.fine_tuning.base_models import Weights, load_tokenizer
from assets.training_programs.fine_tuning.data import NO_LOSS, tokenize
from assets.training_programs.fine_tuning.errors import TrainingProgramError
from assets.training_programs.fine_tuning.templates import FAMILIES, set_chat_template
from assets.training_programs.recipe import template_names
from resources.model_servers.embedded.weights import packaged_chat_model_file
from tests.trainer_work import conversation

WORDS = st.text(alphabet="abc .,\n\t\u00e9\u4f60\U0001f600'\"<|>[]/", min_size=1, max_size=40).filter(str.strip)


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Each template that comes along."""
    return str(request.param)


@pytest.fixture
def tokenizer(family: str, make_tokenizer: Callable[..., Any]) -> Any:
    """A tokenizer with the family's tokens and its template."""
    made = make_tokenizer(*FAMILIES[family].tokens)
    set_chat_template(made, family)
    return made


def trained_texts(tokenizer: Any, labels: list[int]) -> list[str]:
    """The runs of tokens that carry loss, as text."""
    runs: list[list[int]] = [[]]
    for label in labels:
        if label != NO_LOSS:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [tokenizer.decode(run) for run in runs if run]


def test_every_template_has_its_family() -> None:
    assert set(template_names()) == set(FAMILIES)


def test_answers_and_ends_of_turns_carry_loss(family: str, tokenizer: Any) -> None:
    row = conversation("What is 2+2?", "It is 4.", "And one more?", "Five,\nI think.", system="Be brief.")

    (found,) = tokenize([row], tokenizer, 1000).rows

    end = FAMILIES[family].end
    assert [text.strip() for text in trained_texts(tokenizer, found["labels"])] == [
        f"It is 4.{end}",
        f"Five,\nI think.{end}",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts=st.lists(WORDS, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0))
def test_whatever_is_said_the_answers_alone_carry_loss(family: str, tokenizer: Any, texts: list[str]) -> None:
    rows = tokenize([conversation(*texts)], tokenizer, 10_000)

    end = FAMILIES[family].end
    for row in rows.rows:
        assert [text.strip() for text in trained_texts(tokenizer, row["labels"])] == [
            text.strip() + end for text in texts[1::2]
        ]


def test_a_prompt_begins_as_the_conversation_does(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]

    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)

    assert whole.startswith(prompt)


def test_fewer_turns_are_the_beginning_of_more(tokenizer: Any) -> None:
    texts = ("Hi", "Hello", "How are you?", "Well.")

    short, long = (tokenize([conversation(*texts[:count])], tokenizer, 1000).rows[0]["input_ids"] for count in (2, 4))

    assert long[: len(short)] == short


def test_the_tokenizer_stops_at_the_end_of_a_turn(family: str, tokenizer: Any) -> None:
    assert tokenizer.eos_token == FAMILIES[family].end


def test_a_tokenizer_without_the_template_s_tokens_is_refused(make_tokenizer: Callable[..., Any]) -> None:
    with pytest.raises(TrainingProgramError, match=r"lacks <\|im_start\|>"):
        set_chat_template(make_tokenizer("<s>", "</s>"), "chatml")


@pytest.mark.embedded
def test_the_embedded_model_s_own_tokenizer_marks_the_answers() -> None:
    file = packaged_chat_model_file()
    tokenizer = load_tokenizer(Weights(str(file.parent), file.name, ""))
    set_chat_template(tokenizer, "chatml")

    (found,) = tokenize([conversation("What is 2+2?", "It is 4.", "Sure?", "Yes: 2+2=4.")], tokenizer, 1000).rows

    assert trained_texts(tokenizer, found["labels"]) == ["It is 4.<|im_end|>", "Yes: 2+2=4.<|im_end|>"]
