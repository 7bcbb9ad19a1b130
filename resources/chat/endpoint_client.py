"""One endpoint in use, for completions and embeddings: its connection, the queue before it, what its failures mean."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from resources.chat import retries
from resources.chat.call_queue import CallQueue
from resources.chat.calls import Call, CallFailed, Completion, EndpointUnreachable, EndpointUnusable
from resources.chat.endpoint_share import EndpointShare
from resources.chat.journal import ScopeJournal
from resources.chat.limiter import Limiter
from resources.chat.log_probabilities import TOKENIZE, score_continuation
from resources.chat.profile import Endpoint, read_key
from resources.chat.replies import AttemptFailed, FormatRefused, Reply, Throttled, UnusableReply, read_completion
from resources.chat.role_model import RoleModel
from resources.chat.serialisation import without_response_format
from resources.chat.server_errors import raise_for_status, rate_limit_pause
from resources.chat.telemetry import CHAT, TEXT_COMPLETION, open_telemetry
from resources.chat.transport import BODY_BYTES, Connection, shown_address
from resources.runtime_folder import NoRuntimeFolder

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EndpointUser:
    """What calls an endpoint, for messages: `roles.judge` or `embedder`, and the model that it asks for."""

    setting: str
    model: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call, ready to be sent."""

    call: Call
    role_model: RoleModel
    scope: str
    body: bytes
    key: bytes
    journal: ScopeJournal

    @property
    def user(self) -> EndpointUser:
        """The role and its model."""
        return EndpointUser(f"roles.{self.call.role}", self.role_model.model)


def machine_slots(endpoint: Endpoint) -> int:
    """Calls in flight that one machine may have."""
    return max(1, endpoint.max_concurrency // endpoint.runs_at_once)


class EndpointClient:
    """Sends requests to one endpoint of a profile. Use it within a running event loop.

    Args:
        profile: its name.
        name: the endpoint's name in the profile.
        endpoint: its settings.
        address: its base URL.
        slots: calls in flight that this process may have, were it alone on the machine.
        sharing_seconds: between two looks at the other processes that use the endpoint.
        restart: where this project started the endpoint's server: starts it again, and gives its new address.

    Attributes:
        queue: where calls wait for a slot.
        answered_at: when the endpoint last sent any HTTP answer, on the event loop's clock.

    Raises:
        ConfigurationError: the endpoint's key is not set or cannot be sent.
        EndpointUnusable: the proxy or the certificates that the environment names cannot be used.
    """

    def __init__(
        self,
        profile: str,
        name: str,
        endpoint: Endpoint,
        address: str,
        slots: int,
        sharing_seconds: float,
        restart: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.answered_at: float | None = None
        self._profile = profile
        self._address = shown_address(address)
        self._telemetry = open_telemetry()
        self._slots = slots
        self._clock = asyncio.get_running_loop().time
        try:
            self._connection = Connection(self.endpoint, address, read_key(name, self.endpoint))
        except UnusableReply as unusable:
            raise EndpointUnusable(self._mark_unusable(None, unusable.reason, unusable.detail)) from None
        self._restart, self._restarting = restart, asyncio.Lock()
        self._lost: Connection | None = None  # of the server that ended
        calls, tokens, machines = (
            self.endpoint.requests_per_minute,
            self.endpoint.tokens_per_minute,
            self.endpoint.runs_at_once,
        )
        self.queue = CallQueue(Limiter(slots, calls and calls / machines, tokens and tokens / machines), self._clock)
        self._completion_tokens: dict[str, float] = {}  # smoothed
        self._refuses_format: set[str] = set()  # models that are asked without `response_format`
        self._unusable: str | None = None
        self._failed = False
        self._share = EndpointShare(name, address, machine_slots(self.endpoint))
        self._shared = True
        self.queue.share(0, 0.0)  # until the first division
        self._divide()
        self._sharing = asyncio.create_task(self._divide_regularly(sharing_seconds))

    async def close(self) -> None:
        """Close every connection and leave the caps to other processes."""
        self._sharing.cancel()
        self._share.close()
        await self._connection.close()
        if self._telemetry:
            await self._telemetry.flush()
        if self._lost:
            await self._lost.close()

    def expected_tokens(self, request: ChatRequest) -> float:
        """Tokens that a request will likely take, prompt and completion."""
        completion = self._completion_tokens.get(request.call.role, float(request.role_model.token_limit))
        return len(request.body) / 4 + completion

    def check_usable(self) -> None:
        """
        Raises:
            EndpointUnusable: an earlier request showed that no call can succeed.
        """
        if self._unusable:
            raise EndpointUnusable(self._unusable)

    async def send(self, request: ChatRequest) -> Completion:
        """Send a chat request for which the queue gave a slot.

        A model that refuses `response_format` is asked without it, then and later.

        Raises:
            Throttled, AttemptFailed: it may be sent again.
            CallFailed, EndpointUnusable: it may not.
        """
        if self._telemetry is None:
            return await self._send(request)
        role, scope, model = request.call.role, request.scope, request.role_model
        operation = CHAT if request.call.continuation is None else TEXT_COMPLETION
        return await self._telemetry.observe(self._address, role, scope, model, lambda: self._send(request), operation)

    async def _send(self, request: ChatRequest) -> Completion:
        if request.call.continuation is not None:
            return await self._score(request, request.call.continuation)
        model, tokens = request.role_model.model, self.expected_tokens(request)
        body = without_response_format(request.body) if model in self._refuses_format else request.body
        try:
            reply = await self.post("/chat/completions", body, request.user, tokens)
        except FormatRefused as refused:
            formatless = without_response_format(body)
            if formatless == body:
                raise
            self._remember_refused_format(request.user, refused)
            reply = await self.post("/chat/completions", formatless, request.user, tokens)
        completion = read_completion(reply, len(request.body))
        role, used = request.call.role, completion.completion_tokens
        mean = self._completion_tokens.get(role, float(used))
        self._completion_tokens[role] = mean + 0.1 * (used - mean)
        return completion

    async def _score(self, request: ChatRequest, continuation: str) -> Completion:
        """The log-probability of a continuation, as the text of a completion."""

        async def post(path: str, fields: Mapping[str, Any]) -> Reply:
            body = json.dumps(fields, separators=(",", ":")).encode()
            if path != TOKENIZE:
                return await self.post(path, body, request.user, len(body) / 4)
            reply = await self._post_once(path, body, BODY_BYTES)
            if reply.status in (404, 405, 501):
                raise UnusableReply("no_log_probabilities", reply.shown)
            raise_for_status(reply, self.name)
            return reply

        context = request.call.messages[0].content
        try:
            return await score_continuation(post, request.role_model.model, context, continuation)
        except UnusableReply as unusable:
            raise EndpointUnusable(self._mark_unusable(request.user, unusable.reason, unusable.detail)) from None

    def _remember_refused_format(self, user: EndpointUser, refused: FormatRefused) -> None:
        if user.model not in self._refuses_format:
            self._refuses_format.add(user.model)
            logger.warning(
                "model %r refuses `response_format` and is asked without it; %s.structured_output: none saves the "
                "first attempt (%s)",
                user.model,
                user.setting,
                refused.detail,
            )

    async def post(self, path: str, body: bytes, user: EndpointUser, tokens: float, limit: int = BODY_BYTES) -> Reply:
        """Send one request for which the queue gave a slot; the reply reports no error.

        Args:
            path: below the address.
            body: JSON.
            user: what sends it, for messages.
            tokens: that it will likely take.
            limit: bytes that the reply's body may have.

        Raises:
            Throttled, AttemptFailed: it may be sent again.
            CallFailed, EndpointUnusable: it may not.
        """
        try:
            reply = await self._post_once(path, body, limit)
            self.answered_at = self._clock()
            if pause := rate_limit_pause(reply.headers, tokens):
                self.queue.limiter.pause(self.answered_at, pause)
            raise_for_status(reply, self.name)
        except UnusableReply as unusable:
            raise EndpointUnusable(self._mark_unusable(user, unusable.reason, unusable.detail)) from None
        return reply

    async def _post_once(self, path: str, body: bytes, limit: int) -> Reply:
        """Send one request. Where a server that this project started has ended, it is started again, once."""
        connection = self._connection
        try:
            return await connection.post(path, body, limit)
        except AttemptFailed as failed:
            if failed.reason == "unreachable" and self._restart:
                async with self._restarting:
                    if self._connection is connection and self._lost is None:
                        logger.warning("endpoint %r: its server has ended and is started again", self.name)
                        address = await self._restart()
                        self._lost = connection
                        self._connection = Connection(self.endpoint, address, read_key(self.name, self.endpoint))
            raise

    async def with_retries(
        self,
        policy: retries.RetryPolicy,
        user: EndpointUser,
        attempt: Callable[[int], Awaitable[Result]],
        on_failure: Callable[[Throttled | AttemptFailed], None] = lambda failure: None,
    ) -> Result:
        """The result of `attempt`, which is called with its number until it succeeds or may not be sent again.

        Raises:
            CallFailed: the last attempt failed, or calls were throttled past the endpoint's deadline.
            EndpointUnusable: no call can succeed.
        """

        deadline = self.endpoint.retry_deadline_seconds

        def failed(failure: Throttled | AttemptFailed) -> None:
            on_failure(failure)
            if isinstance(failure, AttemptFailed) and not self._failed:
                self._failed = True
                logger.warning("endpoint %r: %s; it is tried again, and so are later ones", self.name, failure)

        def give_up(failure: Throttled | AttemptFailed, attempts: int, since: float) -> Exception:
            if isinstance(failure, Throttled):
                detail = f"endpoint {self.name!r} refuses calls past its deadline of {deadline:g} s: {failure}"
                return CallFailed("throttled", detail)
            unreachable = failure.reason == "unreachable" and (self.answered_at or 0.0) < since
            if self.answered_at is None or unreachable:
                return EndpointUnreachable(self._mark_unusable(user, failure.reason, failure.detail))
            detail = f"endpoint {self.name!r}, {attempts} attempts, the last: {failure.detail}"
            return CallFailed(failure.reason, detail)

        return await retries.with_retries(policy, deadline, attempt, failed, give_up)

    def _mark_unusable(self, user: EndpointUser | None, reason: str, said: str) -> str:
        """The message that stops the run, and every later call to this endpoint."""
        variable = self.endpoint.api_key_env
        setting = user.setting if user else "any role"
        address = f"endpoints.{self.name}.base_url"
        advice = {
            "wrong_key": f"put a key that it accepts into the environment variable {variable}, or name the header that "
            f"it takes the key in as endpoints.{self.name}.key_header"
            if variable
            else f"it wants a key: name its environment variable in endpoints.{self.name}.api_key_env",
            "unknown_model": f"check {setting}.model and {address}, which should end in /v1",
            "quota_spent": "its account has nothing left to spend: top it up or use another",
            "redirected": f"put the address that it points to into {address}",
            "region_refused": "its provider does not serve this country or region: use an endpoint that does",
            "refused_parameter": f"change {setting}: null for temperature, top_p or seed leaves the field out, "
            "max_completion_tokens takes the place of max_tokens, and reasoning is for reasoning models; a null in "
            "extra_body leaves out any other field",
            "no_log_probabilities": "log-probabilities need /tokenize, which it has not: use vLLM or llama.cpp's "
            "server for this benchmark",
            "certificate": "put the certificate of the authority that signed it into a PEM file, and the path of that "
            "file into the environment variable SSL_CERT_FILE",
            "proxy": "name an HTTP proxy in that variable, or the endpoint's host in NO_PROXY",
        }.get(reason, f"start it, or correct {address}")
        model = f" with model {user.model!r}" if user else ""
        self._unusable = (
            f"endpoint {self.name!r} at {self._address} cannot be used for {setting}{model} ({reason}). "
            f"It said: {said.rstrip('.')}. What to do (profile {self._profile!r}): {advice}."
        )
        return self._unusable

    def _divide(self) -> None:
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

    async def _divide_regularly(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._divide()
