"""The tiny lake with dialogues of a judge behind the fake endpoint."""

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from assets.framework.partition_run import RunProgress
from assets.judge_calibration.calibration import CalibrationWork
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.partition_status import expected_fingerprints
from assets.quality.prompts import load_prompts
from resources.chat.profile import Endpoint, Profile, load_profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake
from tests.verdicts import verdict_for

CODE = "Here is the loop:\n\n```python\nfor n in range(1, 6):\n    print(n)\n```\n\nIt prints the numbers one to five."


@dataclass
class JudgedProject:
    """A lake whose scores are current, and their judge. Some faults are not seen by the judge."""

    tiny: TinyLake
    endpoint: FakeEndpoint
    rules: QualityRules
    profile: Profile

    def __post_init__(self) -> None:
        expected = expected_fingerprints(self.profile, SCENARIOS, load_prompts("standard"), self.rules)
        cast("Any", self.tiny).expected = expected
        self.tiny.write()

    @property
    def work(self) -> CalibrationWork:
        """A run of the calibration."""
        quick = RetryPolicy(attempts=2, first_wait=0.001, longest_wait=0.001)
        service = ChatService(self.profile, self.tiny.lake.store, retries=quick)
        progress = RunProgress(lambda done, total, detail="", parts=tuple, share=None: None)
        return CalibrationWork(self.tiny.lake, service, SCENARIOS, load_prompts("standard"), self.rules, progress)


def sees_speakers_alone(request: SeenRequest) -> str:
    """A judge that finds what speakers do wrong, and never a wrong answer."""
    text = request.last
    betrayed = any(words in text for words in ("was given says", "notes for this task", "solution in my instructions"))
    continued = "Then I agree with all of it" in text or "I would do it in the same way" in text
    values = {"reference_betrayed": "yes" if betrayed else "no", "spoke_for_others": "yes" if continued else "no"}
    return verdict_for(request.text, **values)


@pytest.fixture
def judged(tiny_lake: TinyLake, fake_endpoint: FakeEndpoint) -> JudgedProject:
    """Eight dialogues that a judge accepted but for one."""
    fake_endpoint.answer_with(sees_speakers_alone)
    laptop = load_profile("laptop")
    profile = laptop.model_copy(
        update={"judging": "by_judge", "endpoints": {"embedded": Endpoint(base_url=fake_endpoint.base_url)}}
    )
    for name in ("apples", "eggs"):
        tiny_lake.dialogues[name] = replace(tiny_lake.dialogues[name], scenario="error_correction")
    tiny_lake.dialogues["loop"] = replace(
        tiny_lake.dialogues["loop"], scenario="error_correction", partner=None, words=("q", "None.", "Look.", CODE)
    )
    return JudgedProject(tiny_lake, fake_endpoint, load_quality_rules("standard"), profile)
