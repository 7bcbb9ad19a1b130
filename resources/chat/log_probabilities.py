"""The log-probability of a given continuation, which some benchmarks compare: what a server says of tokens it reads.

Two kinds of servers offer it, both with `/tokenize` beside `/v1`:

- vLLM returns the log-probabilities of a prompt (`echo` and `logprobs` of `/v1/completions`).
- llama.cpp's server, the embedded one too, ignores `echo`. There a grammar of token ids lets it generate exactly the
  continuation; the log-probabilities that it reports are those before the grammar.

The continuation's tokens are those by which context and continuation together are longer than the context, and white
space at the end of the context belongs to the continuation, as in lm-eval.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from resources.chat.calls import CallFailed, Completion
from resources.chat.replies import AttemptFailed, Reply

TOKENIZE, COMPLETIONS = "/../tokenize", "/completions"  # below the base URL, which ends in /v1

Post = Callable[[str, Mapping[str, Any]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class LogProbability:
    """What a model says of a continuation."""

    total: float  # natural logarithm, the sum over its tokens
    greedy: bool  # each of its tokens is the likeliest
    tokens: int

    def as_text(self) -> str:
        """JSON, as the text of a completion."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """From the text of a completion. Raises ValueError or TypeError where it is none."""
        return cls(**json.loads(text))


def scoring_fields(model: str, context: str, continuation: str) -> dict[str, Any]:
    """What identifies such a request in the journal; `score_continuation` sends what the server understands."""
    return {"model": model, "prompt": context, "continuation": continuation}


async def score_continuation(post: Post, model: str, context: str, continuation: str) -> Completion:
    """The log-probability of a continuation, as the text of a completion; see `LogProbability`.

    Args:
        post: sends the fields of a request to a path below the base URL.
        model: its name at the server.
        context: what the model reads; not empty.
        continuation: what follows it directly.

    Raises:
        CallFailed: context or continuation has no token.
        AttemptFailed: the reply is not what it should be.
    """
    before = context.rstrip()
    ids, echoes = await _tokenize(post, model, context + continuation)
    first = len((await _tokenize(post, model, before))[0])
    if not 0 < first < len(ids):
        raise CallFailed("no_tokens", "the context or its continuation has no token of its own")
    common = {"model": model, "temperature": 0, "logprobs": 1}
    if echoes:
        reply = await post(COMPLETIONS, {**common, "prompt": ids, "max_tokens": 1, "echo": True})
        read = _read_echo(_logprobs(reply), first, len(ids), reply)
    else:
        grammar = "root ::= " + " ".join(f"<[{one}]>" for one in ids[first:])
        fields = {"prompt": ids[:first], "max_tokens": len(ids) - first, "grammar": grammar}
        reply = await post(COMPLETIONS, {**common, **fields})
        read = _read_generated(_logprobs(reply), ids[first:], reply)
    total = sum(found for found, _ in read)
    score = LogProbability(total, all(found >= likeliest for found, likeliest in read), len(read))
    return Completion(score.as_text(), None, "stop", len(ids), 0, replayed=False)


async def _tokenize(post: Post, model: str, text: str) -> tuple[list[int], bool]:
    """The token ids of a text, and whether the server is vLLM, which also counts them. Its fields differ."""
    fields = {"model": model, "prompt": text, "add_special_tokens": True, "content": text, "add_special": True}
    reply = await post(TOKENIZE, fields)
    ids = reply.body.get("tokens") if isinstance(reply.body, dict) else None
    if not isinstance(ids, list) or not all(type(one) is int for one in ids):
        raise _malformed("no token ids", reply)
    return ids, "count" in reply.body


def _logprobs(reply: Reply) -> Mapping[str, Any]:
    try:
        found = reply.body["choices"][0]["logprobs"]
    except (KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise _malformed("no log-probabilities", reply)
    return found


def _read_echo(found: Mapping[str, Any], first: int, count: int, reply: Reply) -> list[tuple[float, float]]:
    """The log-probability of each token of the continuation and that of the likeliest; one more was generated."""
    chosen, likeliest = found.get("token_logprobs"), found.get("top_logprobs")
    if not isinstance(chosen, list) or not isinstance(likeliest, list) or not len(chosen) == len(likeliest) > count:
        raise _malformed("no log-probabilities of the prompt (echo)", reply)
    try:
        pairs = zip(chosen[first:count], likeliest[first:count], strict=True)
        return [(_finite(one), max(map(_finite, several.values()))) for one, several in pairs]
    except (ValueError, TypeError, AttributeError):
        raise _malformed("log-probabilities that are no numbers", reply) from None


def _read_generated(found: Mapping[str, Any], ids: Sequence[int], reply: Reply) -> list[tuple[float, float]]:
    """The same of a continuation that was generated."""
    try:
        tokens = found["content"]
        if [token["id"] for token in tokens] != list(ids):
            raise _malformed("other tokens than those of the continuation", reply)
        return [(_finite(token["logprob"]), _finite(token["top_logprobs"][0]["logprob"])) for token in tokens]
    except (ValueError, TypeError, KeyError, IndexError):
        raise _malformed("log-probabilities that are no numbers", reply) from None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _malformed(what: str, reply: Reply) -> AttemptFailed:
    return AttemptFailed("malformed_body", f"{what} in: {reply.shown}", wasted=True)
