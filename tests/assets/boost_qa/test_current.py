from assets.boost_qa.current import expected_fingerprints
from assets.dialogues.prompts import load_prompts
from assets.partitions import Scenario
from assets.quality.configuration import load_quality_rules
from resources.chat.profile import load_profile


def test_another_profile_makes_other_fingerprints_current() -> None:
    prompts, rules = load_prompts("standard"), load_quality_rules("standard")
    laptop = expected_fingerprints(load_profile("laptop"), prompts, rules)("plans", "", Scenario.DEBATE)
    paper = expected_fingerprints(load_profile("paper"), prompts, rules)("plans", "", Scenario.DEBATE)
    assert laptop[0] != paper[0]
    assert laptop[1] != paper[1]
