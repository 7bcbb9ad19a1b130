"""An OpenAI-compatible server on loopback, scripted by the test. Tests get it as the fixture `fake_endpoint`."""

import asyncio
import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, cast
from zlib import crc32

import numpy as np
from aiohttp import web

EMBEDDING_DIMENSIONS = 64


@dataclass(frozen=True)
class SeenRequest:
    """One request as it arrived. `number` counts all requests from 0, `in_flight` includes this one."""

    path: str  # "/v1/chat/completions"
    body: dict[str, Any]
    headers: dict[str, str]  # names in lower case
    number: int
    in_flight: int

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, str]]:
        return cast(list[dict[str, str]], self.body.get("messages", []))

    @property
    def system(self) -> str:
        """The system text, or an empty string."""
        return "\n".join(message["content"] for message in self.messages if message["role"] == "system")

    @property
    def last(self) -> str:
        """The content of the last message."""
        return self.messages[-1]["content"] if self.messages else ""

    @property
    def text(self) -> str:
        """All messages' contents, one after the other."""
        return "\n".join(message["content"] for message in self.messages)


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None  # the status line's phrase
    delay: float = 0.0  # seconds before the answer
    cut: bool = False  # the connection is reset half way through the body, or at once if there is none
    hang: bool = False  # no answer until the client disconnects
    drip: float = 0.0  # seconds between two bytes of the body


AnswerRule = Callable[[SeenRequest], "Answer | str"]


class FakeEndpoint:
    """A running fake server.

    By default it answers every chat deterministically and embeds texts by their words. `script(...)` queues answers
    for the next requests, in order; after those, `answer_with(rule)` computes the answer from the request. A rule may
    return a plain string.

    Args:
        tls: serve https with this context.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[SeenRequest] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.abandoned = 0  # requests whose client disconnected before the answer
        self._lock = threading.Lock()
        self._arrival = threading.Condition()
        self._queue: list[Answer | str] = []
        self._rule: AnswerRule = lambda request: f"A complete answer to: {request.last[:80]}"
        self._embeddings_rule: Callable[[SeenRequest], Answer | None] = lambda request: None
        self._loop = asyncio.new_event_loop()
        self._port: Future[int] = Future()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    # ---- what tests call

    @property
    def base_url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port.result(10)}/v1"

    @property
    def chats(self) -> list[SeenRequest]:
        """The requests for completions, in order of arrival."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def script(self, *answers: "Answer | str") -> None:
        """Queue answers for the next chat requests; they take precedence over the rule."""
        with self._lock:
            self._queue.extend(answers)

    def answer_embeddings_with(self, answer: "Answer | Callable[[SeenRequest], Answer | None]") -> None:
        """Answer every request for embeddings so; where a rule returns None, with embeddings."""
        self._embeddings_rule = (lambda request: answer) if isinstance(answer, Answer) else answer

    def answer_with(self, rule: AnswerRule) -> None:
        """Let `rule` answer every chat request without a queued answer. It runs on the server's thread."""
        self._rule = rule

    def answer_to(self, body: dict[str, Any]) -> Answer:
        """What the rule answers to a request that did not come over the network. It is not counted."""
        seen = SeenRequest("/v1/chat/completions", body, {}, len(self.requests), 0)
        given = self._rule(seen)
        return self.says(given) if isinstance(given, str) else given

    @staticmethod
    def says(
        text: str | None,
        *,
        finish_reason: str = "stop",
        prompt_tokens: int = 10,
        completion_tokens: int = 5,
        delay: float = 0.0,
        headers: Mapping[str, str] | None = None,
        **message: Any,
    ) -> Answer:
        """A well-formed completion. `message` adds fields beside the content, such as `reasoning_content`."""
        body = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 0,
            "model": "fake",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, **message},
                    "finish_reason": finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
        return Answer(body=json.dumps(body).encode(), delay=delay, headers=headers or {})

    @staticmethod
    def fails(
        status: int, message: str = "a fault", *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """An error in OpenAI's form."""
        body = {"error": {"message": message, "type": "error", "code": code}}
        return Answer(status=status, body=json.dumps(body).encode(), headers=headers or {})

    @staticmethod
    def sends(body: bytes | str, *, status: int = 200, content_type: str = "application/json") -> Answer:
        """Exactly these bytes."""
        data = body.encode() if isinstance(body, str) else body
        return Answer(status=status, body=data, headers={"Content-Type": content_type})

    @staticmethod
    def resets() -> Answer:
        """The connection is reset instead of an answer."""
        return Answer(cut=True)

    @staticmethod
    def breaks_off() -> Answer:
        """The connection is reset after half of the body."""
        return Answer(body=b'{"choices": [{"message": {"content": "half', cut=True)

    @staticmethod
    def hangs() -> Answer:
        """No answer until the client disconnects."""
        return Answer(hang=True)

    @staticmethod
    def drips(text: str, seconds: float = 0.05) -> Answer:
        """A well-formed completion, sent byte by byte."""
        return replace(FakeEndpoint.says(text), drip=seconds)

    def wait_for(self, chats: int, seconds: float = 10) -> None:
        """Block until that many chat requests have arrived; from a coroutine, use `asyncio.to_thread`.

        Raises:
            TimeoutError: they have not within that many seconds.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self.chats) >= chats, timeout=seconds):
                raise TimeoutError(f"{len(self.chats)} of {chats} chat requests arrived")

    # ---- the server

    def start(self) -> None:
        """Serve on a free port of loopback, on a thread of its own."""
        self._thread.start()
        self._port.result(10)

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive() and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            if not self._port.done():
                self._port.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/openai/deployments/{model}/chat/completions", self._chat)  # Azure's
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self._port.set_result(runner.addresses[0][1])
        await self._stop.wait()
        await runner.cleanup()

    async def _seen(self, request: web.Request) -> SeenRequest:
        seen = SeenRequest(
            path=request.path,
            body=await request.json() if request.can_read_body else {},
            headers={name.lower(): value for name, value in request.headers.items()},
            number=len(self.requests),
            in_flight=self.in_flight,
        )
        with self._arrival:
            self.requests.append(seen)
            self._arrival.notify_all()
        return seen

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            seen = await self._seen(request)
            with self._lock:
                queued = self._queue.pop(0) if self._queue else None
            given = queued if queued is not None else self._rule(seen)
            return await self._send(request, self.says(given) if isinstance(given, str) else given)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.in_flight -= 1

    async def _send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.hang:
            await asyncio.Event().wait()
        if answer.delay:
            await asyncio.sleep(answer.delay)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.drip:
            slow = web.StreamResponse(status=answer.status, headers=headers)
            slow.content_length = len(answer.body)
            await slow.prepare(request)
            for byte in answer.body:
                await slow.write(bytes([byte]))
                await asyncio.sleep(answer.drip)
            return slow
        if not answer.cut:
            return web.Response(status=answer.status, reason=answer.reason, body=answer.body, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        if answer.body:
            response.content_length = 2 * len(answer.body)
            await response.prepare(request)
            await response.write(answer.body)
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        seen = await self._seen(request)
        if answer := self._embeddings_rule(seen):
            return await self._send(request, answer)
        texts = seen.body["input"] if isinstance(seen.body["input"], list) else [seen.body["input"]]
        vectors = [embed_words(text) for text in texts]
        in_base64 = seen.body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode() if in_base64 else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"object": "list", "data": data, "model": seen.model, "usage": usage})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self._seen(request)
        return web.json_response({"object": "list", "data": [{"id": "fake", "object": "model"}]})


def embed_words(text: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """A deterministic unit vector of `EMBEDDING_DIMENSIONS` float32: texts that share words lie near each other."""
    vector = np.zeros(EMBEDDING_DIMENSIONS, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        vector += np.random.default_rng(crc32(word.encode())).standard_normal(EMBEDDING_DIMENSIONS, dtype=np.float32)
    return cast("np.ndarray[tuple[int], np.dtype[np.float32]]", vector / np.linalg.norm(vector))
