"""Which fingerprints the partitions of a lesson should have under the present profile, prompts and rules."""

from assets.boost_qa.selection import Expected
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.prompts import PromptBook
from assets.partitions import Scenario
from assets.quality.configuration import QualityRules
from assets.quality.fingerprint import scored_fingerprint
from resources.chat.profile import Profile


def expected_fingerprints(profile: Profile, prompts: PromptBook, quality_rules: QualityRules) -> Expected:
    """What `select_lessons` compares the lake with."""

    def expected(plans: str, regenerations: str, scenario: Scenario) -> tuple[str, str]:
        dialogues = dialogue_fingerprint(plans, regenerations, scenario, prompts, profile)
        return dialogues, scored_fingerprint(dialogues, profile, prompts, quality_rules)

    return expected
