"""Replies as they come over a connection, for tests of what reads them."""

import json
from typing import Any

from resources.chat.redaction import Redactor
from resources.chat.replies import Reply


def received(body: Any, status: int = 200, *, key: str | None = None, **headers: str) -> Reply:
    """The reply with this body (bytes, or a JSON value) and these headers, `_` for `-` in their names."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Reply.read(status, raw, content, Redactor(key))
