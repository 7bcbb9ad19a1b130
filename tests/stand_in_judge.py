"""The answer of a stand-in judge behind a fake endpoint."""

import json
from collections.abc import Mapping
from typing import Any

from assets.quality.rubric import ABOUT_ANSWERS, ABOUT_DIALOGUES

GOOD = {finding.name: finding.good[0] for finding in (*ABOUT_ANSWERS, *ABOUT_DIALOGUES)}


def answer_rubric(body: Mapping[str, Any], reason: str = "It was looked at.", **values: str) -> str:
    """The answer to a request for a verdict: every finding of its schema is good but those given by key."""
    asked = body["response_format"]["json_schema"]["schema"]["properties"]
    verdict = {}
    for key, schema in asked.items():
        allowed = schema["properties"]["value"]["enum"]
        name = key.rstrip("_0123456789")
        good = next(value for value in allowed if value in ("same", "fulfils", GOOD.get(name)))
        verdict[key] = {"reason": reason, "value": values.get(name, good)}
    return json.dumps(verdict)
