"""What made a partition of scores, as one hash: another hash means that the partition is stale."""

from assets.dialogues.fingerprint import sampling
from assets.framework.prompts import PromptBook
from assets.quality.judge import JUDGE_ROLE
from assets.quality.prompts import JUDGE
from resources.chat.profile import Profile
from resources.identity import stable_hash

# Raise it when a signal or a column changes in a way that old scores should not be mixed with new ones.
SCHEMA_VERSION = 2


def judging_fingerprint(dialogues_fingerprint: str, profile: Profile, prompts: PromptBook) -> str:
    """32 hex digits over all that a verdict depends on: the dialogues, the judge and its prompt, not the rules."""
    judge = sampling(profile, [JUDGE_ROLE])
    return stable_hash("judging", SCHEMA_VERSION, dialogues_fingerprint, judge, prompts.version(JUDGE))


def scored_fingerprint(dialogues_fingerprint: str, profile: Profile, prompts: PromptBook, rules_identity: str) -> str:
    """32 hex digits over all that a partition's scores depend on: its verdicts, and `QualityRules.identity`."""
    return stable_hash("scored_dialogues", judging_fingerprint(dialogues_fingerprint, profile, prompts), rules_identity)
