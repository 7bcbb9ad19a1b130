"""What made a partition of scores, as one hash: another hash means that the partition is stale."""

from assets.dialogues.fingerprint import sampling
from assets.framework.prompts import PromptBook
from assets.quality.configuration import JudgeRules
from assets.quality.judge import REMINDER
from assets.quality.prompts import JUDGE
from assets.quality.rubric import RUBRIC
from resources.chat.profile import Profile
from resources.identity import stable_hash

# Raise it when a signal or a column changes in a way that old scores should not be mixed with new ones.
SCHEMA_VERSION = 4


def judging_fingerprint(dialogues_fingerprint: str, profile: Profile, prompts: PromptBook, judging: JudgeRules) -> str:
    """32 hex digits over all that a verdict depends on: the dialogues, the judges, their prompt and the rubric.

    The flags that the rules find, which the judge reads too, are compared dialogue by dialogue (`written_verdicts`).
    """
    if profile.judging == "rules_alone":
        return stable_hash("rules alone", SCHEMA_VERSION, dialogues_fingerprint)
    asked = [RUBRIC, REMINDER, prompts.version(JUDGE), judging.jury, judging.rule]
    return stable_hash("judging", SCHEMA_VERSION, dialogues_fingerprint, sampling(profile, judging.jury), asked)


def scored_fingerprint(
    dialogues_fingerprint: str, profile: Profile, prompts: PromptBook, judging: JudgeRules, rules_identity: str
) -> str:
    """32 hex digits over all that a partition's scores depend on: its verdicts, and `QualityRules.identity`."""
    verdicts = judging_fingerprint(dialogues_fingerprint, profile, prompts, judging)
    return stable_hash("scored_dialogues", verdicts, rules_identity)
