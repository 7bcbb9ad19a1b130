"""One endpoint's connections: bytes out, a clean reply without the key back. Nothing is retried or interpreted here."""

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from resources.chat.profile import AZURE_DEPLOYMENTS, Endpoint
from resources.chat.redaction import Redactor
from resources.chat.replies import AttemptFailed, Reply, UnusableReply

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
BODY_BYTES = 4 * 2**20  # of one reply, after decompression
AZURE_HEADER = "api-key"
_ENCODING = b"content-encoding"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def shown_address(base_url: str) -> str:
    """An address as messages show it: without user name, password and query."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Connection:
    """One pool of connections: the aiohttp client that comes with `openai`, used for raw bodies.

    `AsyncOpenAI.post` around this client needs 0.7 ms of CPU per call instead of 0.3. Nothing that it adds is used:
    retries, error classes and parsing are the engine's.

    The environment's proxy is used, except for this machine's own servers and what `NO_PROXY` names; certificates are
    checked against `SSL_CERT_FILE` where it is set. Redirects are not followed: they would carry the key elsewhere.

    Args:
        endpoint: the limits, time-out and headers to keep.
        base_url: the address, up to and including `/v1`.
        key: sent in the endpoint's `key_header`, if there is one.

    Raises:
        UnusableReply: the proxy or the certificate file that the environment names cannot be used.
    """

    def __init__(self, endpoint: Endpoint, base_url: str, key: str | None) -> None:
        import httpx2  # takes a second with openai, so only where a call is made
        import openai

        # Its line per request has the address and the server's own reason phrase, and either may have the key.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        parts = urlsplit(base_url)
        self._url = cache(  # parsing takes a tenth of a millisecond
            lambda path: httpx2.URL(parts._replace(path=f"{parts.path.rstrip('/')}{path}").geturl())
        )
        self._timeout = endpoint.timeout_seconds
        self._redactor = Redactor(key)
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        self._client = openai.DefaultAioHttpClient(
            headers=headers | request_headers(endpoint, parts, key),
            limits=httpx2.Limits(
                max_connections=endpoint.max_concurrency, max_keepalive_connections=endpoint.max_concurrency
            ),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            **client_options(parts),
        )

    async def post(self, path: str, body: bytes, limit: int = BODY_BYTES) -> Reply:
        """Send one request.

        Args:
            path: below the address, such as `/chat/completions`.
            body: JSON.
            limit: bytes that the reply's body may have, after decompression.

        Raises:
            AttemptFailed: no answer, or only a part of it, came back, or its body is over the limit.
            UnusableReply: the server's certificate is refused.
        """
        import aiohttp
        import httpx2

        request = self._client.build_request("POST", self._url(path), content=body)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    content = await _bounded_body(response, limit)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise AttemptFailed("timeout", f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:  # a reason phrase is no UTF-8
            raise _no_reply(error) from None
        return Reply.read(response.status_code, response.headers.raw, content, self._redactor)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def request_headers(endpoint: Endpoint, parts: SplitResult, key: str | None) -> dict[str, str]:
    """The headers of the profile, and the key in the header that the endpoint takes it in."""
    header = endpoint.key_header or (AZURE_HEADER if AZURE_DEPLOYMENTS in parts.path else None)
    if key is None:
        return dict(endpoint.headers)
    return endpoint.headers | ({header: key} if header else {"Authorization": f"Bearer {key}"})


def client_options(parts: SplitResult) -> dict[str, Any]:
    """How clients of an address connect.

    Raises:
        UnusableReply: the proxy or the certificate file that the environment names cannot be used.
    """
    return {
        "follow_redirects": False,
        "trust_env": False,  # the library's own reading of the environment knows no loopback
        "proxy": _proxy(parts),
        "verify": _certificates() if parts.scheme == "https" else False,  # loading takes a tenth of a second
    }


async def _bounded_body(response: "httpx2.Response", limit: int) -> bytes:
    """The body, decompressed. Neither its compressed nor its decompressed form takes more memory than the limit."""
    received = bytearray()
    chunks: AsyncIterator[bytes] = response.aiter_raw()
    async for chunk in chunks:
        received += chunk
        if len(received) > limit:
            raise _oversized(limit)
    encodings = [value.decode("latin-1").strip() for name, value in response.headers.raw if name.lower() == _ENCODING]
    encoding = ",".join(encodings).lower()
    if encoding in ("", "identity") or not received:
        return bytes(received)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise AttemptFailed("malformed_body", "the body's Content-Encoding is none that was asked for", wasted=True)
    try:
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip and zlib
        content = unpacking.decompress(bytes(received), limit + 1)
    except zlib.error:
        raise AttemptFailed("malformed_body", f"the body is not {encoding}", wasted=True) from None
    if len(content) > limit:
        raise _oversized(limit)
    return content


def _oversized(limit: int) -> AttemptFailed:
    return AttemptFailed("malformed_body", f"the body is over {limit / 2**20:g} MiB", wasted=True)


def _proxy(parts: SplitResult) -> str | None:
    """The proxy that the environment names for an address (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`)."""
    proxies, host = getproxies(), parts.hostname or ""
    named = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if named is None or host in LOOPBACK or proxy_bypass(host):
        return None
    proxy = proxies[named] if "://" in proxies[named] else f"http://{proxies[named]}"
    variable = f"{named.upper()}_PROXY"
    try:
        address = urlsplit(proxy)
        usable = address.scheme in ("http", "https") and bool(address.hostname)
        kind = address.scheme if address.scheme.startswith("socks") else "unreadable"
    except ValueError:
        usable, kind = False, "unreadable"
    if not usable:
        raise UnusableReply(
            "proxy", f"{variable} names a proxy that cannot be used ({kind}); it must be an http:// address"
        )
    return proxy


def _certificates() -> ssl.SSLContext:
    """The certificates of authorities that are trusted: those of `SSL_CERT_FILE` or `SSL_CERT_DIR`, or the system's."""
    import httpx2

    try:
        return httpx2.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise UnusableReply("certificate", f"SSL_CERT_FILE cannot be read ({type(error).__name__})") from None


def _no_reply(error: BaseException) -> AttemptFailed | UnusableReply:
    """Why there was no answer, from the innermost cause. Its message may hold the address, so it is not passed on."""
    import aiohttp

    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            why = getattr(cause.certificate_error, "verify_message", "") or "it does not match the host"
            return UnusableReply("certificate", f"the server's certificate is not trusted: {why}")
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            system = getattr(cause, "os_error", None)
            why = getattr(system, "strerror", None) or type(system or cause).__name__
            proxied = isinstance(cause, aiohttp.ClientProxyConnectionError)
            proxy = " to the proxy that the environment names" if proxied else ""
            return AttemptFailed("unreachable", f"no connection{proxy}: {why}")
    return AttemptFailed("connection_lost", f"the connection broke off ({type(causes[-1]).__name__})")
