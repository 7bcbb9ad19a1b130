"""A small multiple-choice benchmark that several tests ask."""

from typing import Any

CHOICE: dict[str, Any] = {
    "name": "sums",
    "kind": "multiple_choice",
    "form": "fields",
    "fields": {"id": "id", "question": "question", "options": "options", "answer": "answer"},
}


def sums(number: int) -> list[dict[str, Any]]:
    """So many rows; option B is right in each."""
    return [
        {"id": f"q{n}", "question": f"How much is {n} + {n}?", "options": ["0", str(2 * n)], "answer": "B"}
        for n in range(1, number + 1)
    ]
