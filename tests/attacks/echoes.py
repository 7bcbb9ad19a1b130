"""How a server can repeat the key of a request: in which place of its answer, and in which encoding."""

import base64
import html
import json
import textwrap
from collections.abc import Callable, Iterable
from urllib.parse import quote

from tests.fake_endpoint import Answer, FakeEndpoint

KEY = "sk-CANARY/a+b==_0123456789"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json_slashes": lambda key: key.replace("/", "\\/"),
    "json_escapes": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "json_twice": lambda key: json.dumps("".join(f"\\u{ord(letter):04x}" for letter in key)),
    "percent": lambda key: quote(key, safe=""),
    "percent_all": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "percent_twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": lambda key: "".join(f"&#x{ord(letter):x};" for letter in key),
    "html_decimal": lambda key: html.escape("".join(f"&#{ord(letter)};" for letter in key)),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64_of_header": lambda key: base64.urlsafe_b64encode(f"Bearer {key}".encode()).decode(),
    "base64_of_user": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "with_controls": lambda key: "\u200e".join(key),
    "two_lines": lambda key: f"{key[:12]}\n{key[12:]}",
    "two_lines_escaped": lambda key: f"{key[:12]}\\r\\n{key[12:]}",
    "base64_in_lines": lambda key: "\n".join(textwrap.wrap(base64.b64encode(key.encode()).decode(), 16)),
}
# What every encoding of the key has within it; base64 has one of three forms, by what precedes.
SECRET_PARTS = (
    "CANARY",
    "0123456789",
    "Q0FOQVJZ",
    "NBTkFSW",
    "DQU5BUl",
    "43414e415259",
    "%43%41",
    "u0043",
    "#x43;",
    "#67;",
)


HEADERS = (
    "Date",
    "Retry-After",
    "Set-Cookie",
    "WWW-Authenticate",
    "X-RateLimit-Reset-Requests",
    "X-Request-Id",
    "Server",
)

# What a server can answer with the echo `text`. JSON text is written as it is where the escapes are the echo.
PLACES: dict[str, Callable[[str], Answer]] = {
    "content": lambda text: FakeEndpoint.says(f"You sent {text}."),
    "reasoning": lambda text: FakeEndpoint.says(None, reasoning=text),
    "refusal": lambda text: FakeEndpoint.says(None, refusal=text),
    "finish_reason": lambda text: FakeEndpoint.says("42", finish_reason=text),
    "raw_content": lambda text: FakeEndpoint.sends(f'{{"choices": [{{"message": {{"content": "{text}"}}}}]}}'),
    "cut_json": lambda text: FakeEndpoint.sends(f'{{"choices": [{{"message": {{"content": "{text}'),
    "no_choices": lambda text: FakeEndpoint.sends(json.dumps({text: text})),
    "page": lambda text: FakeEndpoint.sends(f"<p>{text}</p>", status=502, content_type="text/html"),
    "long_page": lambda text: FakeEndpoint.sends("." * 190 + text, status=502, content_type="text/html"),
    "content_type": lambda text: Answer(body=b"no JSON", headers={"Content-Type": f"text/plain; key={text}"}),
    "error_400": lambda text: FakeEndpoint.fails(400, text),
    "error_401": lambda text: FakeEndpoint.fails(401, text),
    "error_429": lambda text: FakeEndpoint.fails(429, text, headers={"Retry-After": "999999"}),
    "error_500": lambda text: FakeEndpoint.fails(500, text, code=text),
    "error_within_200": lambda text: FakeEndpoint.sends(json.dumps({"error": {"message": text, "code": 401}})),
    "raw_error": lambda text: FakeEndpoint.sends(f'{{"error": {{"message": "{text}"}}}}', status=403),
    "reason_phrase": lambda text: Answer(403, reason=text),
    "headers": lambda text: FakeEndpoint.fails(401, headers=dict.fromkeys(HEADERS, text)),
    "usage": lambda text: FakeEndpoint.says("42", usage={text: text, "prompt_tokens": text}, model=text),
    "location": lambda text: Answer(307, headers={"Location": f"http://127.0.0.1:9/{text}?key={text}"}),
}


IN_HEADERS = ("content_type", "headers", "location", "reason_phrase")


def sendable(encoding: str, place: str) -> bool:
    """Whether HTTP and JSON allow that encoding in that place."""
    if place in IN_HEADERS:
        return encoding not in ("with_controls", "two_lines", "base64_in_lines")
    return not place.startswith("raw") or encoding not in ("json_twice", "two_lines", "base64_in_lines")


def parts_found(texts: Iterable[str]) -> list[str]:
    """The parts of the key that are in one of the texts, in whatever encoding."""
    seen = list(texts)
    return [part for part in SECRET_PARTS if any(part in text for text in seen)]
