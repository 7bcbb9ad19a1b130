"""Reads a completion that a server streams although that was not asked for."""

from typing import Any

from resources.outside_text import parse_json

START = b"data:"


def read_events(content: bytes) -> dict[str, Any]:
    """The body that the events of a stream add up to: a completion, or the error that one of them reports.

    A stream that broke off has the finish reason `interrupted`.

    Raises:
        ValueError: an event is not a JSON object.
    """
    lines = (line.removeprefix(START).strip() for line in content.splitlines() if line.startswith(START))
    texts: dict[str, list[str]] = {}
    finish_reason, usage = "interrupted", None
    for event in (parse_json(line) for line in lines if line != b"[DONE]"):
        if not isinstance(event, dict):
            raise ValueError("an event is not a JSON object")
        if event.get("error"):
            return event
        usage = event.get("usage") or usage
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            finish_reason = choice.get("finish_reason") or finish_reason
            delta = choice.get("delta")
            for name, text in delta.items() if isinstance(delta, dict) else ():
                if isinstance(text, str):
                    texts.setdefault(name, []).append(text)
    message = {name: "".join(parts) for name, parts in texts.items()}
    return {"choices": [{"message": message, "finish_reason": finish_reason}], "usage": usage}
