"""Removes an endpoint's key from everything that its server sends back, before anything else reads it."""

import base64
import re
from collections.abc import Iterator
from typing import Any

from resources.outside_text import clean_text

SHORTEST_SECRET = 6  # characters; a shorter key is a placeholder such as `none`, which other texts contain
REDACTED = "[key]"
_NESTED_ESCAPES = 3  # such as %25252F
_ESCAPE = re.compile(
    r"\\{1,4}(?:(?:[uU]00|[xX])(?P<json>[0-9a-fA-F]{2})|(?P<mark>[^\w\s\\])|(?P<space>[nrt]))"
    r"|%(?P<url>[0-9a-fA-F]{2})|&(?:amp;)?#(?:0{0,4}(?P<decimal>[0-9]{1,3})|[xX]0{0,4}(?P<html>[0-9a-fA-F]{2}));"
)


class Redactor:
    r"""Cleans what a server sent and removes a secret from it.

    The secret is found as it is, in base64 (alone or after a prefix such as `Bearer `) and in hexadecimal digits, each
    of them also with characters escaped as in JSON (`\/`, `\u002f`), in a URL (`%2F`) or in HTML (`&#47;`), and with
    white space within, as where a line is broken. The time is linear in the text.

    Args:
        secret: the key; without one, texts are cleaned only.
    """

    def __init__(self, secret: str | None) -> None:
        self._forms = tuple(_forms(secret)) if secret and len(secret) >= SHORTEST_SECRET else ()
        self._shortest = min(map(len, self._forms), default=0)

    def text(self, text: str) -> str:
        """`text`, clean and without the secret. It is not shortened: a secret must not be cut in two before this."""
        clean = clean_text(text, len(text))
        if not self._forms or len(clean) < self._shortest:
            return clean
        found = decoded = self._without_forms(clean)
        for _ in range(_NESTED_ESCAPES):
            before, decoded = decoded, _ESCAPE.sub(_character, decoded)
            if decoded == before:
                break
            decoded = clean_text(decoded, len(decoded))
            redacted = self._without_forms(decoded)
            if redacted != decoded:
                found = decoded = redacted
        return found

    def value(self, value: Any) -> Any:
        """A JSON value with every text in it, names of fields too, passed through `text`.

        Raises:
            RecursionError: it is nested too deeply.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            numbers = set(map(type, value)) <= {int, float}  # vectors have thousands of them
            return value if numbers else [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def _without_forms(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, REDACTED)
        joined = "".join(text.split())
        for form in self._forms:
            if form in joined:
                text = re.sub(r"\s*+".join(map(re.escape, form)), REDACTED, text)
        return text


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield secret
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):  # how many bytes precede the secret in its group of three decides its base64 form
        whole = base64.b64encode(bytes(before) + data).decode()
        form = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]  # characters that depend on the secret alone
        yield form
        yield form.translate(str.maketrans("+/", "-_"))


def _character(escape: re.Match[str]) -> str:
    if escape["mark"]:
        return escape["mark"]
    if escape["space"]:
        return " "
    if escape["decimal"]:
        return chr(int(escape["decimal"]))
    return chr(int(escape["json"] or escape["url"] or escape["html"], 16))
