"""Log-probabilities of given continuations: of the embedded server for real, of vLLM by the form of its replies."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from resources.chat.calls import Call, CallFailed, Message
from resources.chat.log_probabilities import COMPLETIONS, TOKENIZE, LogProbability, score_continuation
from resources.chat.profile import Profile
from resources.chat.replies import AttemptFailed, Reply
from resources.chat.service import ChatService, run_async
from resources.lake.store import LocalStore

CONTEXT = "The capital of France is"


@pytest.mark.embedded
def test_the_embedded_server_scores_what_it_would_write_as_it_would_write_it(
    embedded_folders: None, tmp_path: Any
) -> None:
    role = {"endpoint": "embedded", "model": "any", "temperature": 0, "max_tokens": 6}
    endpoint = {"kind": "embedded", "context_tokens": 512, "max_concurrency": 2}
    profile = Profile.model_validate({"name": "p", "endpoints": {"embedded": endpoint}, "roles": {"tested": role}})

    async def score(*pairs: tuple[str, str]) -> list[LogProbability]:
        async with ChatService(profile, LocalStore(tmp_path)).engine() as engine:
            found = []
            for context, continuation in pairs:
                call = Call("tested", (Message("user", context),), "1", "0", continuation=continuation)
                found.append(LogProbability.read((await engine.complete(call, scope="some/scope")).text))
            return found

    paris, berlin, spaced, longer = run_async(
        score((CONTEXT, " Paris"), (CONTEXT, " Berlin"), (f"{CONTEXT} ", "Paris"), (CONTEXT, " Paris."))
    )
    assert (paris.greedy, paris.tokens, berlin.greedy) == (True, 1, False)
    assert berlin.total < paris.total < 0
    assert spaced.total == pytest.approx(paris.total, abs=1e-3)  # white space belongs to the continuation
    (full_stop,) = run_async(score((f"{CONTEXT} Paris", ".")))
    assert longer.total == pytest.approx(paris.total + full_stop.total, abs=0.02)
    assert longer.tokens == 2


IDS = {"a b": [1, 2], "a b c d": [1, 2, 3, 4], "a b c": [1, 2, 3], "": []}


def server(logprobs: Any, vllm: bool = True) -> Any:
    """A `post` that answers as vLLM or llama.cpp do, and the fields of its completions."""
    sent: list[Mapping[str, Any]] = []

    async def post(path: str, fields: Mapping[str, Any]) -> Reply:
        if path == TOKENIZE:
            ids = IDS[fields["prompt"]]
            return Reply(200, {}, {"tokens": ids, **({"count": len(ids)} if vllm else {})}, is_json=True)
        assert path == COMPLETIONS
        sent.append(fields)
        return Reply(200, {}, {"choices": [{"text": "", "logprobs": logprobs}]}, is_json=True)

    return post, sent


def echo(chosen: list[float | None], likeliest: list[Any]) -> dict[str, Any]:
    return {"token_logprobs": chosen, "top_logprobs": likeliest}


@pytest.mark.parametrize(("third", "greedy"), [(-1.0, True), (-0.5, False)])
def test_vllm_is_asked_for_the_log_probabilities_of_the_prompt(third: float, greedy: bool) -> None:
    tops = [None, {"x": -9.0}, {"c": -1.0, "x": third}, {"d": -2.0}, {"e": -3.0}]
    post, sent = server(echo([None, -9.0, -1.0, -2.0, -3.0], tops))
    completion = asyncio.run(score_continuation(post, "m", "a b", " c d"))
    assert LogProbability.read(completion.text) == LogProbability(-3.0, greedy, 2)
    assert completion.prompt_tokens == 4
    assert sent == [
        {"model": "m", "temperature": 0, "logprobs": 1, "prompt": [1, 2, 3, 4], "max_tokens": 1, "echo": True}
    ]


def test_llama_cpp_is_made_to_write_the_continuation() -> None:
    post, sent = server({"content": [{"id": 3, "logprob": -1.0, "top_logprobs": [{"logprob": -1.0}]}]}, vllm=False)
    completion = asyncio.run(score_continuation(post, "m", "a b", " c"))
    assert LogProbability.read(completion.text) == LogProbability(-1.0, True, 1)
    grammar = {"prompt": [1, 2], "max_tokens": 1, "grammar": "root ::= <[3]>"}
    assert sent == [{"model": "m", "temperature": 0, "logprobs": 1, **grammar}]


TWO = [None, {"x": -1.0}, {"c": -1.0}, {"d": -1.0}]


@pytest.mark.parametrize(
    ("logprobs", "vllm"),
    [
        (None, True),
        ({"content": []}, True),  # `echo` was ignored
        (echo([None, -1.0, -1.0], TWO[:3]), True),
        (echo([None, -1.0, None, -1.0], TWO), True),
        (echo([None, -1.0, float("nan"), -1.0], TWO), True),
        ({"content": [{"id": 9, "logprob": -1.0, "top_logprobs": [{"logprob": -1.0}]}]}, False),
        ({"content": [{"id": 3, "logprob": -1.0, "top_logprobs": []}]}, False),
    ],
)
def test_a_reply_without_the_log_probabilities_is_no_answer(logprobs: Any, vllm: bool) -> None:
    post, _ = server(json.loads(json.dumps(logprobs)), vllm)
    with pytest.raises(AttemptFailed, match="malformed_body"):
        asyncio.run(score_continuation(post, "m", "a b", " c"))


@pytest.mark.parametrize(("context", "continuation"), [("a b", ""), ("", "a b")])
def test_what_has_no_token_is_not_asked(context: str, continuation: str) -> None:
    post, sent = server(None)
    with pytest.raises(CallFailed, match="no_tokens"):
        asyncio.run(score_continuation(post, "m", context, continuation))
    assert sent == []
