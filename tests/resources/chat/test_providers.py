"""Each shipped profile of a provider, and a server that has this provider's quirks."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from resources.chat.calls import Completion, EndpointUnusable
from resources.chat.profile import Profile, load_profile
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer, SeenRequest
    from tests.resources.chat.conftest import ChatSetup

KEY = "sk-opensesame"
SCHEMA = {"type": "object"}
COMMON = {"model", "messages"}
fails, sends = FakeEndpoint.fails, FakeEndpoint.sends


def refuses_unless(allowed: set[str], error: "Callable[[str], Answer]") -> "Callable[[SeenRequest], Answer | str]":
    """A server that refuses every field that it does not know."""

    def rule(request: "SeenRequest") -> "Answer | str":
        unknown = sorted(request.body.keys() - allowed - COMMON)
        return error(unknown[0]) if unknown else "42"

    return rule


def gemini_refuses(name: str) -> "Answer":
    message = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    return sends(json.dumps([{"error": error}]), status=400)


def openai_refuses(name: str) -> "Answer":
    return fails(400, f"Unsupported parameter: '{name}' is not supported.", code="unsupported_parameter")


def on(profile: Profile, endpoint: FakeEndpoint) -> Profile:
    """The profile with the address of its only endpoint replaced by the fake's."""
    ((name, one),) = profile.endpoints.items()
    return profile.model_copy(update={"endpoints": {name: one.model_copy(update={"base_url": endpoint.base_url})}})


REASONING = {"max_completion_tokens", "reasoning_effort"}
SAMPLED = {"temperature", "top_p", "max_tokens"}
# profile: host, header with the key, variable of the key, role: fields of its request beside model and messages
PROVIDERS: dict[str, tuple[str, str, str, dict[str, set[str]]]] = {
    "azure": (
        "YOUR-RESOURCE.openai.azure.com",
        "api-key",
        "AZURE_OPENAI_API_KEY",
        {"weak_student": SAMPLED, "judge": REASONING | {"response_format"}},
    ),
    "openrouter": (
        "openrouter.ai",
        "authorization",
        "OPENROUTER_API_KEY",
        {
            "weak_student": SAMPLED | {"provider"},
            "judge": {"temperature", "max_tokens", "reasoning", "provider", "response_format"},
        },
    ),
    "gemini": (
        "generativelanguage.googleapis.com",
        "authorization",
        "GEMINI_API_KEY",
        {"weak_student": SAMPLED, "judge": REASONING | {"temperature", "response_format"}},
    ),
    "anthropic": (
        "api.anthropic.com",
        "authorization",
        "ANTHROPIC_API_KEY",
        {"weak_student": {"temperature", "max_tokens"}, "judge": {"temperature", "max_tokens"}},
    ),
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_profile_of_a_provider_sends_what_the_provider_takes_and_nothing_else(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    host, header, variable, fields = PROVIDERS[name]
    monkeypatch.setenv(variable, KEY)
    profile = load_profile(name)
    assert {urlsplit(one.base_url or "").netloc for one in profile.endpoints.values()} == {host}
    for role, allowed in fields.items():
        chat.endpoint.answer_with(refuses_unless(allowed, openai_refuses))
        call = chat.call(role=role, json_schema=SCHEMA if role == "judge" else None)
        assert chat.ask_one(chat.engine(on(profile, chat.endpoint)), call).text == "42"
        sent = chat.endpoint.chats[-1]
        assert sent.body.keys() == allowed | COMMON
        assert sent.headers[header].removeprefix("Bearer ") == KEY


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_role_of_a_provider_has_a_price_and_the_profile_has_every_shipped_role(name: str) -> None:
    profile = load_profile(name)
    assert {model.model for model in profile.roles.values()} <= profile.prices.keys()
    assert profile.roles.keys() == load_profile("hosted").roles.keys()


def body(message: dict[str, Any] | None, finish_reason: str = "stop", **fields: Any) -> "Answer":
    return sends(json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}], **fields}))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([body({"content": None}, "length")], ("", "length")),  # thinking took every token
        ([body({"role": "assistant"}, "length")], ("", "length")),  # Gemini's: no field at all
        ([body({"content": None}, "content_filter")], ("", "content_filter")),  # Azure's
        ([body({"content": None}), "42"], ("42", "stop")),  # OpenRouter's cold start: asked again
        ([body({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]})], ("42", "stop")),
        ([sends('{"error": {"code": 502, "message": "Provider returned error"}}'), "42"], ("42", "stop")),
        ([body({"content": "42"}, usage=None)], ("42", "stop")),
    ],
    ids=["null", "no content", "filtered", "empty", "parts", "error in a 200", "no usage"],
)
def test_what_a_provider_answers_is_read(
    chat: "ChatSetup", answers: "list[Answer | str]", expected: tuple[str, str]
) -> None:
    chat.endpoint.script(*answers)
    read: Completion = chat.ask_one()
    assert (read.text, read.finish_reason) == expected
    assert read.prompt_tokens > 0


@pytest.mark.parametrize(
    ("role", "refusal"),
    [
        ({}, openai_refuses("max_tokens")),
        ({"seed": 7}, gemini_refuses("seed")),
        ({}, fails(400, "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")),
        ({}, fails(400, "Unrecognized request argument supplied: reasoning_effort")),
    ],
    ids=["OpenAI", "Gemini", "Anthropic", "Azure"],
)
def test_a_refused_parameter_stops_the_run_at_the_first_call(
    chat: "ChatSetup", role: dict[str, Any], refusal: "Answer"
) -> None:
    chat.endpoint.answer_with(lambda request: refusal)
    with pytest.raises(EndpointUnusable, match=r"refused_parameter.*change roles\.strong_student"):
        chat.ask(*chat.calls(3), engine=chat.engine(chat.profile(role=role, max_concurrency=1)))
    assert len(chat.endpoint.chats) == 1


def test_a_deployment_of_azures_older_api_gets_its_version_and_its_key(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    address = chat.endpoint.base_url.removesuffix("/v1") + "/openai/deployments/gpt?api-version=2024-10-21"
    chat.ask_one(chat.engine(chat.profile(base_url=address, api_key_env="AZURE_OPENAI_API_KEY")))
    sent = chat.endpoint.requests[-1]
    assert (sent.path, sent.headers["api-key"]) == ("/openai/deployments/gpt/chat/completions", KEY)
