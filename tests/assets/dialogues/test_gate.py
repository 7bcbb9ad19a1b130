"""When a partition of dialogues fails its own gate, and what is said of it."""

import pytest

from assets.dialogues.gate import TRANSIENT_REASONS, Row, gate


def rows(complete: int, set_aside: int = 0, reason: str = "refusal: turn 2") -> list[Row]:
    return [
        *({"status": "complete", "status_reason": None} for _ in range(complete)),
        *({"status": "set_aside", "status_reason": reason} for _ in range(set_aside)),
    ]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ([], "passed"),
        # refused dialogues fail it from a share and a number on
        (rows(10, 10), "passed"),
        (rows(10, 11), "failed"),
        (rows(0, 4), "passed"),
        (rows(0, 5), "failed"),
        (rows(1, 50, "retracted: taken down"), "passed"),
        # an endpoint that answers nothing fails even a small one
        (rows(0, 2, "bad_request: HTTP 400"), "failed"),
        (rows(1, 2, "bad_request: HTTP 400"), "passed"),
        # one unanswered dialogue keeps a small one due, a few of many are bad seeds
        *((rows(9, 1, f"{reason}: turn 2"), "failed") for reason in sorted(TRANSIENT_REASONS)),
        (rows(98, 2, "server_error: HTTP 500"), "passed"),
        (rows(97, 3, "server_error: HTTP 500"), "failed"),
        # what will never be answered keeps none due
        *(
            (rows(9, 1, f"{reason}: turn 2"), "passed")
            for reason in ("bad_request", "content_filter", "context_overflow", "cut_off", "told_result")
        ),
    ],
)
def test_the_gate_fails_where_too_many_dialogues_are_set_aside(given: list[Row], verdict: str) -> None:
    assert gate(given, limit=0.5, minimum=5)[0] == verdict


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows(10), ""),
        (rows(1, 9), "9 of 10 dialogues were set aside (allowed: 50%): 9 refusal (the first: refusal: turn 2)"),
        (
            rows(9, 1, "timeout: turn 2, weak_student: no answer"),
            "1 of 10 dialogues got no answer this time: 1 timeout "
            "(the first: timeout: turn 2, weak_student: no answer); the same command again asks only for those",
        ),
    ],
)
def test_a_failed_gate_says_why(given: list[Row], reason: str) -> None:
    assert gate(given, limit=0.5, minimum=5)[1] == reason
