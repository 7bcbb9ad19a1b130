"""Refuses requests that the page of another origin makes a browser send to Dagster's webserver.

Dagster's webserver has no log-in, executes GraphQL mutations that a GET carries, and accepts any Host header. Without
this check every web page in a browser of this machine could launch runs: by an image's address, by a form, by a
WebSocket, or by a domain that its owner lets resolve to this machine (DNS rebinding).
"""

import re
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from resources.outside_text import clean_line

HOSTS_VARIABLE = "MASTER_UI_HOSTS"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"([^\[\]:@/]+|\[[0-9a-f:.]+\])(?::\d+)?", re.IGNORECASE)


class RequestCheck:
    """An ASGI application that answers what `refusal` refuses with 403 and the reason, and passes on everything else.

    Args:
        app: the application behind it.
        names: host names under which it is opened, beside those of the loopback interface.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES.union(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (reason := refusal(scope, self._names)):
            await PlainTextResponse(f"Refused: {reason}\n", status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def refusal(scope: Scope, names: Collection[str]) -> str | None:
    """Why a request is refused; None where it is not.

    Args:
        scope: of an HTTP request or a WebSocket handshake.
        names: the host names that its Host header may have, in lower case, with any port.
    """
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    host = hosts[0].lower() if len(hosts) == 1 else ""
    name = _HOST.fullmatch(host)
    if name is None or name[1] not in names:
        given = clean_line(", ".join(hosts)) or "missing"
        return f"its Host header is {given}. Open the UI as localhost, or add the host name to MASTER_UI_HOSTS."
    if any(urlsplit(origin).netloc.lower() != host for origin in headers.getlist("origin")):
        return "it comes from a page of another origin (its Origin header)."
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _opens_page(scope, headers):
        return "it comes from a page of another origin (its Sec-Fetch-Site header)."
    if _is_query_by_get(scope):
        return "send GraphQL by POST."
    return None


def _opens_page(scope: Scope, headers: Headers) -> bool:
    """Whether the browser opens a page in its own tab, not in a frame, as a link on another page does."""
    mode, destination = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return scope.get("method") == "GET" and mode == "navigate" and destination == "document"


def _is_query_by_get(scope: Scope) -> bool:
    """Whether a GET carries GraphQL. Dagster's webserver would execute it, mutations too."""
    if scope["type"] != "http" or scope["method"] == "POST" or not scope["path"].rstrip("/").endswith("/graphql"):
        return False
    return "query" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
