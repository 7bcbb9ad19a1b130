"""One endpoint's connection: bytes out, status and bytes back. Nothing is retried or interpreted here."""

import asyncio
import ssl
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from resources.chat.profile import Endpoint
from resources.chat.replies import AttemptFailed, Reply

CONNECT_SECONDS = 10.0
KEEP_SECONDS = 4.0  # an idle connection: uvicorn, and so vLLM, closes it after five
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Connection:
    """One pool of connections, an aiohttp session. It is made within the event loop that uses it.

    A client of the `openai` package around it triples what a call costs (0.7 ms of CPU against 0.2), of which nothing
    is used here: retries, error classes and parsing are the engine's.

    Args:
        endpoint: the limits and time-out to keep.
        base_url: the address, up to and including `/v1`.
        key: sent as bearer token; None where the endpoint wants none.
    """

    def __init__(self, endpoint: Endpoint, base_url: str, key: str | None) -> None:
        import aiohttp  # it takes a moment, so only where a call is really made

        parts = urlsplit(base_url)
        self.address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # fit to be shown
        self._timeout = endpoint.timeout_seconds
        self._key = key
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions").geturl()
        self._proxy = _proxy_for(parts)
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=endpoint.max_concurrency,
                keepalive_timeout=KEEP_SECONDS,
                ssl=_certificates() if parts.scheme == "https" else True,
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )

    async def post_chat(self, body: bytes) -> Reply:
        """Send one request for a chat completion. A redirect is not followed: it would carry the key elsewhere.

        Raises:
            AttemptFailed: nothing, or only a part of an answer came back.
        """
        import aiohttp

        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(self._url, data=body, allow_redirects=False, proxy=self._proxy) as response,
            ):
                content = await response.read()
        except aiohttp.ClientError as error:
            raise _no_reply(error) from None
        except TimeoutError:
            raise AttemptFailed("timeout", f"no answer within {self._timeout:g} s") from None
        except OSError as error:
            raise _no_reply(error) from None
        if self._key and len(self._key) > 3:  # the server may echo it
            content = content.replace(self._key.encode(), b"[key]")
        return Reply(response.status, response.headers, content)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def _proxy_for(address: SplitResult) -> str | None:
    """The proxy that the environment names for an address; none for this machine's own, which it cannot reach."""
    host = address.hostname or ""
    if host in LOOPBACK or proxy_bypass(host):
        return None
    return getproxies().get(address.scheme) or getproxies().get("all")


def _certificates() -> ssl.SSLContext:
    """Whom to trust: SSL_CERT_FILE, or what the system trusts, wherever it keeps that. Loading takes 0.1 s."""
    import httpx2

    return httpx2.create_ssl_context()


def _no_reply(error: Exception) -> AttemptFailed:
    """Why there was no answer. The error's words may hold the address, so they are not passed on."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        system = getattr(error, "os_error", None)
        why = getattr(system, "strerror", None) or type(system or error).__name__
        return AttemptFailed("unreachable", f"no connection: {why}")
    return AttemptFailed("connection_lost", f"the connection broke off ({type(error).__name__})")
