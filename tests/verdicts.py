"""Verdicts of the judge as JSON."""

import json
import re

from assets.quality.judge import JudgeVerdict, read_verdict
from assets.quality.rubric import FINDINGS, rubric_of
from tests.shipped_scenarios import SCENARIOS

_ASKED = re.compile(r'^"((\w+?)(?:_\d)?)" \((\w+)', re.MULTILINE)  # key, name, first allowed value


def verdict(scenario: str = "error_correction", reason: str = "Both say 7.", **values: str) -> str:
    """A verdict on a dialogue of a scenario: every finding is good but those given, such as `steps_sound="no"`."""
    rubric = rubric_of(SCENARIOS[scenario])
    return json.dumps(
        {key: {"reason": reason, "value": values.get(key, finding.good[0])} for key, finding in rubric.items()}
    )


def judge_verdict(scenario: str = "error_correction", **values: str) -> JudgeVerdict:
    """The same, read."""
    return read_verdict(verdict(scenario, **values), rubric_of(SCENARIOS[scenario]))


def verdict_for(prompt: str, reason: str = "It was looked at.", **values: str) -> str:
    """A verdict for the rubric in a judge's prompt: every finding is good but those given."""
    good = {(finding.name, finding.values[0]): finding.good[0] for finding in FINDINGS}
    asked = {key: good[name, first] for key, name, first in _ASKED.findall(prompt)}
    return json.dumps({key: {"reason": reason, "value": values.get(key, value)} for key, value in asked.items()})
