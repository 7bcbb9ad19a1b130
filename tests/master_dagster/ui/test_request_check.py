"""Which requests reach Dagster's webserver."""

from typing import Any

import pytest

from master_dagster.ui.request_check import LOOPBACK_NAMES, refusal

NAMES = LOOPBACK_NAMES | {"dagster.example"}
HOST = {"host": "localhost:3000"}
CROSS = {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def request(headers: dict[str, str], method: str = "POST", path: str = "/graphql", query: str = "") -> dict[str, Any]:
    """An HTTP request as ASGI describes it."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}


@pytest.mark.parametrize(
    "scope",
    [
        request(HOST),
        request({"host": "127.0.0.1"}),
        request({"host": "[::1]:3000"}),
        request({"host": "LOCALHOST:3100"}),
        request({"host": "dagster.example"}),
        request({**HOST, "origin": "http://localhost:3000", "sec-fetch-site": "same-origin"}),
        request({"host": "dagster.example", "origin": "https://dagster.example"}),
        request({**HOST, "sec-fetch-site": "none"}, "GET", "/runs"),
        request(CROSS, "GET", "/runs/x"),
        request(HOST, "GET", "/assets/x", "query=a"),
        request(HOST, "GET", "/graphql"),
        {**request({**HOST, "origin": "http://localhost:3000"}), "type": "websocket"},
    ],
    ids=str,
)
def test_own_pages_and_programs_of_this_machine_pass(scope: dict[str, Any]) -> None:
    assert refusal(scope, NAMES) is None


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (request({}), "Host header is missing"),
        (request({"host": "evil.example"}), "Host header is evil.example"),
        (request({"host": "evil.example"}, "GET", "/"), "MASTER_UI_HOSTS"),
        (request({"host": "localhost.evil.example"}), "Host"),
        (request({"host": "localhost:3000@evil.example"}), "Host"),
        (request({"host": "evil.example@localhost:3000"}), "Host"),
        ({**request(HOST), "headers": [(b"host", b"localhost"), (b"host", b"evil.example")]}, "Host"),
        (request({**HOST, "origin": "https://evil.example"}), "Origin"),
        (request({**HOST, "origin": "http://localhost:8000"}), "Origin"),
        (request({**HOST, "origin": "null"}), "Origin"),
        (request({**HOST, "origin": "https://evil.example"}, "GET", "/logs/x"), "Origin"),
        ({**request({**HOST, "origin": "https://evil.example"}), "type": "websocket"}, "Origin"),
        (request({**HOST, "sec-fetch-site": "cross-site"}), "Sec-Fetch-Site"),
        (request({**HOST, "sec-fetch-site": "same-site"}), "Sec-Fetch-Site"),
        (request(CROSS), "Sec-Fetch-Site"),
        (request({**CROSS, "sec-fetch-dest": "iframe"}, "GET", "/runs/x"), "Sec-Fetch-Site"),
        (request(HOST, "GET", "/graphql", "query=mutation{a}"), "POST"),
        (request(HOST, "GET", "/graphql/", "a=b&query=%7Ba%7D"), "POST"),
        (request(CROSS, "GET", "/prefix/graphql", "query="), "POST"),
    ],
    ids=str,
)
def test_requests_that_another_origin_can_cause_are_refused(scope: dict[str, Any], reason: str) -> None:
    assert reason in (refusal(scope, NAMES) or "")
