"""What is sent, and what is kept of the answer."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.calls import Call, Completion, Message
from resources.chat.profile import Profile
from resources.chat.serialisation import (
    decode_completion,
    encode_completion,
    fold_system,
    journal_key,
    request_body,
    without_response_format,
)
from resources.outside_text import clean_text

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup

SCHEMA = {"type": "object", "properties": {"correct": {"type": "boolean"}}}
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(clean_text)
FINISH_REASONS = st.sampled_from(("stop", "length", "content_filter", "tool_calls", "refusal"))
UNFINISHED = b'{"text": "Half", "finish_reason": "error", "prompt_tokens": 1, "completion_tokens": 1}'
TOKENS = st.integers(min_value=0, max_value=1_000_000)


def body_of(call: Call, profile: Profile) -> dict[str, Any]:
    model = profile.roles[call.role]
    body: dict[str, Any] = json.loads(request_body(call, model, profile.endpoints[model.endpoint]))
    return body


# ---- the request


def test_a_regeneration_gets_a_seed_of_its_own(chat: "ChatSetup") -> None:
    assert body_of(chat.call(regeneration=2), chat.profile(role={"seed": 3}))["seed"] == 5


def test_extra_fields_are_added_and_null_removes_a_field(chat: "ChatSetup") -> None:
    profile = chat.profile(
        extra_body={"top_k": 20, "user": "team"},
        role={"extra_body": {"top_k": 40, "max_tokens": None, "max_completion_tokens": 64}},
    )
    body = body_of(chat.call(), profile)
    assert (body["top_k"], body["user"], body["max_completion_tokens"]) == (40, "team", 64)
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("structured_output", "expected"),
    [
        (
            "json_schema",
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
        ),
        ("json_object", {"type": "json_object"}),
        ("none", None),
    ],
)
def test_structured_output_is_requested_as_the_role_says(
    chat: "ChatSetup", structured_output: str, expected: dict[str, Any] | None
) -> None:
    profile = chat.profile(role={"structured_output": structured_output})
    assert body_of(chat.call(json_schema=SCHEMA), profile).get("response_format") == expected


def test_a_model_without_a_system_role_gets_the_text_before_the_first_question(chat: "ChatSetup") -> None:
    body = body_of(chat.call("Why?", system="You teach."), chat.profile(system_role=False))
    assert body["messages"] == [{"role": "user", "content": "You teach.\n\nWhy?"}]


def test_folding_leaves_the_other_messages_in_place() -> None:
    talk = (Message("system", "s"), Message("assistant", "a"), Message("user", "u"), Message("user", "v"))
    assert fold_system(talk) == (Message("assistant", "a"), Message("user", "s\n\nu"), Message("user", "v"))
    assert fold_system((Message("system", "s"),)) == (Message("user", "s"),)


# ---- the record


def test_the_key_stays_as_it_is_from_version_to_version(chat: "ChatSetup") -> None:
    assert journal_key("fake", b"{}", chat.call(sample="d1")).hex() == (
        "bc8538d573bdcffe14fa47d651b50ab60ee2106729d5fd3e778849177007c554"
    )


@given(st.builds(Completion, TEXTS, st.none() | TEXTS, FINISH_REASONS, TOKENS, TOKENS, st.just(True), TOKENS, TOKENS))
def test_a_completion_that_is_kept_comes_back(completion: Completion) -> None:
    assert decode_completion(encode_completion(completion)) == completion


@pytest.mark.parametrize("kept", [b"", b"[]", b"null", b'{"text": "42"}', b"\xff", b"[" * 100_000, UNFINISHED])
def test_an_unreadable_record_is_none(kept: bytes) -> None:
    assert decode_completion(kept) is None


def test_a_record_without_parts_of_the_tokens_is_as_an_earlier_version_wrote_it() -> None:
    record = b'{"text":"42","reasoning":null,"finish_reason":"stop","prompt_tokens":7,"completion_tokens":2}'
    read = decode_completion(record)
    assert read == Completion("42", None, "stop", 7, 2, replayed=True)
    assert encode_completion(read) == record


def test_what_an_earlier_version_did_not_clean_is_cleaned() -> None:
    record = rb'{"text": "a\ud800b\u001b[0m", "reasoning": null, "finish_reason": "stop", "prompt_tokens": %d, '
    read = decode_completion(record % 10**30 + b'"completion_tokens": 3}')
    assert read == Completion("a\ufffdb", None, "stop", 0, 3, replayed=True)


def test_a_request_is_the_same_without_response_format(chat: "ChatSetup") -> None:
    profile = chat.profile()
    bodies = [
        request_body(chat.call(json_schema=schema), profile.roles["judge"], profile.endpoints["fake"])
        for schema in ({"type": "object"}, None)
    ]
    assert [without_response_format(body) for body in bodies] == [bodies[1]] * 2
