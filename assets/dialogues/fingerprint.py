"""What made a partition of dialogues, as one hash: another hash means that the partition is stale."""

from collections.abc import Iterable

from assets.framework.scenarios.scenario import Scenario
from resources.chat.profile import Profile
from resources.identity import stable_hash

# Raise it when the columns or the steps change in a way that old dialogues should not be mixed with new ones.
SCHEMA_VERSION = 2
NOT_THE_ANSWER = {"structured_output", "mode"}  # role settings that do not reach an utterance


def dialogue_fingerprint(
    plan_fingerprint: str,
    regeneration_fingerprint: str,
    scenario: Scenario,
    profile: Profile,
) -> str:
    """32 hex digits over all that a partition's dialogues depend on.

    A changed debate prompt makes debates stale and nothing else; a changed address, limit or price nothing at all.

    Args:
        plan_fingerprint: of the shard's dialogue plans, which depend on its seeds too.
        regeneration_fingerprint: of the partition's `regenerations`; "" without any.
        scenario: its declaration, prompts and roles.
        profile: which models play the roles.
    """
    return stable_hash(
        "scenario_dialogues",
        SCHEMA_VERSION,
        scenario.identity,
        plan_fingerprint,
        regeneration_fingerprint,
        scenario.prompts.versions(scenario.prompt_names),
        sampling(profile, scenario.roles),
    )


def sampling(profile: Profile, roles: Iterable[str]) -> dict[str, dict[str, object]]:
    """By role, all settings of the requests that can change an utterance: the model and how it is sampled."""
    found: dict[str, dict[str, object]] = {}
    for role in sorted(roles):
        model = profile.roles[role]
        extra_body = {**profile.endpoints[model.endpoint].extra_body, **model.extra_body}
        found[role] = {**model.model_dump(mode="json", exclude=NOT_THE_ANSWER), "extra_body": extra_body}
    return found
