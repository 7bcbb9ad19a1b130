"""The cost estimate in words, for the command `estimate` and the job `estimate_cost`, and the choice of partitions."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake


def matching_partitions(lake: Lake, scenarios: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Keys of the planned partitions that match one of the shell patterns, or of all where no pattern is given.

    Raises:
        ConfigurationError: nothing is planned, or no key matches.
    """
    planned = [f"{scenario}|{plan.keys['shard']}" for scenario in scenarios for plan in lake.records(DIALOGUE_PLANS)]
    if not planned:
        raise ConfigurationError(
            "no partition is planned yet: materialise raw_seeds, seed_embeddings and dialogue_plans"
        )
    found = [key for key in planned if not patterns or any(fnmatchcase(key, pattern) for pattern in patterns)]
    if not found:
        raise ConfigurationError(
            f"no planned partition matches {' or '.join(patterns)}; keys look like {planned[0]!r} and {planned[-1]!r}"
        )
    return found


def role_rows(estimate: Estimate) -> list[dict[str, str]]:
    """One row per role, for a table: role and model, calls, tokens."""
    return [
        {
            "role": f"{role.role} ({role.model})",
            "calls": f"{role.calls:,}",
            "tokens": f"{role.prompt_tokens + role.completion_tokens:,}{'' if role.measured else ' (assumed)'}",
        }
        for role in estimate.roles
    ]


def headline(estimate: Estimate) -> str:
    """The estimate in one sentence."""
    return (
        f"{estimate.dialogues:,} dialogues in {estimate.partitions:,} partitions ({estimate.current:,} more are "
        f"current): about {estimate.calls:,} calls, {estimate.tokens:,} tokens, ${estimate.cost:,.2f}, "
        f"{_duration(estimate.hours)}"
    )


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 2 else f"{max(1, round(60 * hours))} minutes"
