"""What is asked of a model and what comes back: plain data, shared by the engine and by those who call it."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from resources.chat.profile import Role


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as the OpenAI form has it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """One completion to be had.

    `sample`, `turn` and `regeneration` are part of the journal's key beside the messages and the sampling
    parameters, so that two students who share a prompt never collapse into one answer, and a second try is a
    second answer.
    """

    role: Role
    messages: tuple[Message, ...]
    sample: str  # the dialogue_id
    turn: str  # the place in the dialogue, such as "2-weak_student"
    regeneration: int = 0
    json_schema: Mapping[str, Any] | None = None  # ask for an object of this form


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said. `reasoning` holds a reasoning model's `<think>` part, kept apart from `text`."""

    text: str
    reasoning: str | None
    finish_reason: str  # "stop", "length", "content_filter", ...
    prompt_tokens: int
    completion_tokens: int
    replayed: bool  # from the journal: nothing was paid now


@dataclass(slots=True)
class Usage:
    """Sums over the calls of one scope (an asset partition). `cost` is in US dollars.

    Tokens and cost are all that was paid for, wasted bodies among it where the server tells what they took.
    """

    calls: int = 0  # completions that were paid for
    replayed: int = 0  # completions taken from the journal
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    retries: int = 0  # attempts after the first, whatever the cause
    throttled: int = 0  # 429 and 503 among them
    wasted: int = 0  # bodies that were paid for and could not be used
    wait_seconds: float = 0.0  # sum of call latencies
    # As numbers, not as objects: there is a sample for each scope under way.
    latencies: "array[float]" = field(default_factory=lambda: array("d"), repr=False)  # seconds; a bounded sample
    moments: "array[float]" = field(default_factory=lambda: array("d"), repr=False)  # when each of the same calls ended

    def percentile(self, share: float) -> float:
        """Latency in seconds below which `share` (0..1) of the sampled calls lie; 0.0 without calls."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class CallFailed(Exception):
    """This call cannot be had; its dialogue is set aside with `reason`. The run goes on."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # a short code for tables, such as "context_overflow"
        self.detail = detail  # the server's words, shortened, without secrets


class EndpointUnusable(Exception):
    """No call to this endpoint can succeed (unreachable, wrong key, unknown model). The run stops at once."""


class EndpointUnreachable(EndpointUnusable):
    """It does not answer, though it was tried for a while. It may another time."""


class BudgetSpent(Exception):
    """The run's budget in tokens or money is used up. Everything paid for that can be used is in the journal."""


class Chat(Protocol):
    """What the stages need of an engine. See `resources.chat.engine.ChatEngine`."""

    @property
    def target_concurrency(self) -> int:
        """How many dialogues to hold open at once so that every call slot stays busy."""
        ...

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """The completion of `call`, from the journal of `scope` where it is there, else from the endpoint.

        Args:
            call: what to ask.
            scope: the asset partition on whose journal and usage it goes, `scenario_dialogues/debate|orca_math-0003`.

        Raises:
            CallFailed: the dialogue is to be set aside.
            EndpointUnusable: the run is to stop.
            BudgetSpent: the run is to stop, keeping what it has.
        """
        ...
