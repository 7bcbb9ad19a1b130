"""One endpoint's connections: bytes out, status and bytes back. Nothing is retried or interpreted here."""

import asyncio
from urllib.parse import urlsplit

from resources.chat.profile import Endpoint
from resources.chat.replies import AttemptFailed, Reply

CONNECT_SECONDS = 10.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Connection:
    """One pool of connections: the aiohttp client that comes with `openai`, used for raw bodies.

    `AsyncOpenAI.post` around this client needs 0.7 ms of CPU per call instead of 0.3. Nothing that it adds is used:
    retries, error classes and parsing are the engine's.

    Args:
        endpoint: the limits and time-out to keep.
        base_url: the address, up to and including `/v1`.
        key: sent as bearer token, if there is one.
    """

    def __init__(self, endpoint: Endpoint, base_url: str, key: str | None) -> None:
        import httpx2  # takes a second with openai, so only where a call is made
        import openai

        parts = urlsplit(base_url)
        self.address = (
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # without user name and password
        )
        self._timeout = endpoint.timeout_seconds
        self._key = key
        self._url = httpx2.URL(parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions").geturl())
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = openai.DefaultAioHttpClient(
            headers=headers,
            limits=httpx2.Limits(
                max_connections=endpoint.max_concurrency, max_keepalive_connections=endpoint.max_concurrency
            ),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,  # a redirect would carry the key elsewhere
            trust_env=parts.hostname not in LOOPBACK,  # a proxy cannot reach this machine's own server
            verify=parts.scheme == "https",  # loading certificates takes a tenth of a second
        )

    async def post_chat(self, body: bytes) -> Reply:
        """Send one request for a chat completion.

        Raises:
            AttemptFailed: no answer, or only a part of it, came back.
        """
        import aiohttp
        import httpx2

        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(self._url, content=body)
        except TimeoutError:
            raise AttemptFailed("timeout", f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            raise _no_reply(error) from None
        content = response.content
        if self._key and len(self._key) > 3:  # the server may echo it
            content = content.replace(self._key.encode(), b"[key]")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Reply(response.status_code, headers, content)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _no_reply(error: BaseException) -> AttemptFailed:
    """Why there was no answer, from the innermost cause. Its message may hold the address, so it is not passed on."""
    import aiohttp

    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            system = getattr(cause, "os_error", None)
            why = getattr(system, "strerror", None) or type(system or cause).__name__
            return AttemptFailed("unreachable", f"no connection: {why}")
    return AttemptFailed("connection_lost", f"the connection broke off ({type(causes[-1]).__name__})")
