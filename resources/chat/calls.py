"""Calls and completions as plain data, shared by the engine and its callers."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as in OpenAI's API."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """One completion to ask for.

    `sample`, `turn` and `regeneration` are part of the journal's key beside messages and sampling parameters: two
    students with one prompt get two answers, and so does a second try.
    """

    role: str  # a key of the profile's `roles`
    messages: tuple[Message, ...]
    sample: str  # the dialogue_id
    turn: str  # the position in the dialogue, such as "2-weak_student"
    regeneration: int = 0
    json_schema: Mapping[str, Any] | None = None  # ask for an object that fits it
    continuation: str | None = None  # ask for its log-probability after the only message: see `log_probabilities`


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. `reasoning` holds a reasoning model's `<think>` part, which `text` does not."""

    text: str
    reasoning: str | None
    finish_reason: str  # "stop", "length", "content_filter", "tool_calls" or "refusal"
    prompt_tokens: int
    completion_tokens: int
    replayed: bool  # from the journal: nothing was paid now
    cached_tokens: int = 0  # of the prompt, from the provider's cache
    reasoning_tokens: int = 0  # of the completion, where the server counts them
    batch: bool = False  # answered in a provider's batch, at the price of batches


@dataclass(slots=True)
class Usage:
    """Sums over the calls of one scope (an asset partition). Costs are in US dollars.

    Tokens and cost include wasted bodies, where the server reports their tokens. Each completion from the journal is
    counted once, at its present price, under `replayed_…`; one that this run itself paid for is not counted again.
    """

    calls: int = 0  # completions that were paid for
    replayed: int = 0  # completions taken from the journal
    batched: int = 0  # of the replayed ones, those that were answered in a provider's batch
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # a part of the prompt tokens
    reasoning_tokens: int = 0  # a part of the completion tokens
    cost: float = 0.0
    replayed_prompt_tokens: int = 0
    replayed_completion_tokens: int = 0
    replayed_cost: float = 0.0  # paid by an earlier run, or by one that was killed
    retries: int = 0  # attempts after the first, whatever the cause
    throttled: int = 0  # 429 and 503 among them
    wasted: int = 0  # bodies that were paid for and could not be used
    wait_seconds: float = 0.0  # sum of call latencies
    # As numbers, not as objects: each scope in progress has a sample.
    latencies: "array[float]" = field(default_factory=lambda: array("d"), repr=False)  # seconds; a bounded sample
    moments: "array[float]" = field(default_factory=lambda: array("d"), repr=False)  # when each of the same calls ended

    def percentile(self, share: float) -> float:
        """Latency in seconds below which `share` (0..1) of the sampled calls lie; 0.0 without calls."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class CallFailed(Exception):
    """This call has no completion; its dialogue is set aside with `reason`. The run goes on."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # a short code for tables, such as "context_overflow"
        self.detail = detail  # the server's words, shortened, without secrets


class EndpointUnusable(Exception):
    """No call to this endpoint can succeed (unreachable, wrong key, unknown model). The run stops at once."""


class EndpointUnreachable(EndpointUnusable):
    """The endpoint did not answer several attempts. It may later."""


class AwaitingBatch(Exception):
    """This call goes into a provider's batch: its dialogue is continued by a later run. The run goes on."""


class BudgetSpent(Exception):
    """The run's budget in tokens or money is spent. Every usable answer that was paid for is in the journal."""


class Chat(Protocol):
    """What stages need of an engine; `resources.chat.engine.ChatEngine` implements it."""

    @property
    def target_concurrency(self) -> int:
        """How many calls to make at once so that every call slot stays busy."""
        ...

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """The completion of `call`, from the journal of `scope` if it is there, else from the endpoint.

        Args:
            call: what to ask for.
            scope: the asset partition whose journal and usage it is for, `scenario_dialogues/debate|orca_math-0003`.

        Raises:
            CallFailed: set the dialogue aside.
            AwaitingBatch: leave the dialogue to a later run; only where the engine was opened with batches.
            EndpointUnusable, BudgetSpent: stop the run and keep what it has.
        """
        ...
