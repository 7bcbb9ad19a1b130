"""One endpoint in use: its connection, the queue before it, and what its failures mean."""

import asyncio
import logging
import os
from dataclasses import dataclass

from resources.chat.call_queue import CallQueue
from resources.chat.calls import Call, CallFailed, Completion, EndpointUnreachable, EndpointUnusable
from resources.chat.endpoint_share import EndpointShare
from resources.chat.journal import ScopeJournal
from resources.chat.limiter import Limiter
from resources.chat.profile import Endpoint, Profile, RoleModel
from resources.chat.replies import AttemptFailed, UnusableReply, raise_for_status, rate_limit_pause, read_completion
from resources.chat.transport import Connection
from resources.runtime_folder import NoRuntimeFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call, ready to be sent."""

    call: Call
    role_model: RoleModel
    scope: str
    body: bytes
    key: bytes
    journal: ScopeJournal


def machine_slots(endpoint: Endpoint) -> int:
    """Calls in flight that one machine may have."""
    return max(1, endpoint.max_concurrency // endpoint.runs_at_once)


class EndpointClient:
    """Sends requests to one endpoint of a profile.

    Args:
        profile: names the endpoint.
        name: the endpoint's name.
        address: its base URL.
        slots: calls in flight that this process may have, were it alone on the machine.

    Attributes:
        queue: where calls wait for a slot.
        answered_at: when the endpoint last sent any HTTP answer, on the event loop's clock.
    """

    def __init__(self, profile: Profile, name: str, address: str, slots: int) -> None:
        self.name = name
        self.endpoint = profile.endpoints[name]
        self.answered_at: float | None = None
        self._profile = profile.name
        self._slots = slots
        self._clock = asyncio.get_running_loop().time
        key = os.environ.get(self.endpoint.api_key_env) if self.endpoint.api_key_env else None
        self._connection = Connection(self.endpoint, address, key)
        calls, tokens, machines = (
            self.endpoint.requests_per_minute,
            self.endpoint.tokens_per_minute,
            self.endpoint.runs_at_once,
        )
        self.queue = CallQueue(Limiter(slots, calls and calls / machines, tokens and tokens / machines), self._clock)
        self._completion_tokens: dict[str, float] = {}  # smoothed
        self._unusable: str | None = None
        self._failed = False
        self._share = EndpointShare(name, address, machine_slots(self.endpoint))
        self._shared = True
        self.queue.share(0, 0.0)  # until the first division
        self.divide()

    async def close(self) -> None:
        """Close every connection and leave the caps to other processes."""
        self._share.close()
        await self._connection.close()

    def expected_tokens(self, request: ChatRequest) -> float:
        """Tokens that a request will likely take, prompt and completion."""
        completion = self._completion_tokens.get(request.call.role, float(request.role_model.max_tokens))
        return len(request.body) / 4 + completion

    def check_usable(self) -> None:
        """
        Raises:
            EndpointUnusable: an earlier request showed that no call can succeed.
        """
        if self._unusable:
            raise EndpointUnusable(self._unusable)

    async def send(self, request: ChatRequest) -> Completion:
        """Send a request for which the queue gave a slot.

        Raises:
            Throttled, AttemptFailed: it may be sent again.
            CallFailed, EndpointUnusable: it may not.
        """
        reply = await self._connection.post_chat(request.body)
        self.answered_at = self._clock()
        if pause := rate_limit_pause(reply.headers, self.expected_tokens(request)):
            self.queue.limiter.pause(self.answered_at, pause)
        try:
            raise_for_status(reply, self.name)
        except UnusableReply as unusable:
            raise EndpointUnusable(self._mark_unusable(request, unusable.reason, unusable.detail)) from None
        completion = read_completion(reply, len(request.body))
        role, tokens = request.call.role, completion.completion_tokens
        mean = self._completion_tokens.get(role, float(tokens))
        self._completion_tokens[role] = mean + 0.1 * (tokens - mean)
        return completion

    def warn_of_failure(self, failed: AttemptFailed) -> None:
        """Log the endpoint's first failed attempt."""
        if not self._failed:
            self._failed = True
            logger.warning("endpoint %r: %s; it is tried again, and so are later ones", self.name, failed)

    def give_up(self, request: ChatRequest, failed: AttemptFailed, attempts: int, since: float) -> Exception:
        """The error for a request whose last attempt failed.

        Args:
            request: what was sent.
            failed: how the last attempt failed.
            attempts: how many there were.
            since: when the first of them failed.
        """
        unreachable = failed.reason == "unreachable" and (self.answered_at or 0.0) < since
        if self.answered_at is None or unreachable:
            return EndpointUnreachable(self._mark_unusable(request, failed.reason, failed.detail))
        detail = f"endpoint {self.name!r}, {attempts} attempts, the last: {failed.detail}"
        return CallFailed(failed.reason, detail)

    def _mark_unusable(self, request: ChatRequest, reason: str, said: str) -> str:
        """The message that stops the run, and every later call to this endpoint."""
        role, variable = f"roles.{request.call.role}", self.endpoint.api_key_env
        advice = {
            "wrong_key": f"put a key that it accepts into the environment variable {variable}"
            if variable
            else f"it wants a key: name its environment variable in endpoints.{self.name}.api_key_env",
            "unknown_model": f"check {role}.model and endpoints.{self.name}.base_url, which should end in /v1",
            "quota_spent": "its account has nothing left to spend: top it up or use another",
            "redirected": f"put the address that it points to into endpoints.{self.name}.base_url",
        }.get(reason, f"start it, or correct endpoints.{self.name}.base_url")
        self._unusable = (
            f"endpoint {self.name!r} at {self._connection.address} cannot be used for {role} with model "
            f"{request.role_model.model!r} ({reason}). It said: {said}. "
            f"What to do (profile {self._profile!r}): {advice}."
        )
        return self._unusable

    def divide(self) -> None:
        """Take this process's part of the caps, which changes when other processes of this machine come or go."""
        machine = machine_slots(self.endpoint)
        try:
            slots = self._share.divide(self.queue.limiter.in_flight)
        except (OSError, NoRuntimeFolder) as error:
            if self._shared:
                logger.warning("endpoint %r: its caps hold for this process alone: %s", self.name, error)
            self._shared, slots = False, machine
        if slots is not None:
            self.queue.share(min(self._slots, slots), slots / machine)
