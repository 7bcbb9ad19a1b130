"""The cost estimate in words, for the command `estimate` and the job `estimate_cost`, and the choice of partitions."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate, ServerEstimate
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import counted
from assets.judge_calibration.estimate import CalibrationEstimate, estimate_calibration
from assets.quality.configuration import QualityRules
from assets.quality.estimate import dry_run
from resources.chat.profile import Profile
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
            "no partition is planned yet: materialise raw_seeds, seed_embeddings and dialogue_plans, or give "
            "`master-dagster run`, which plans, shows the estimate and asks"
        )
    found = [key for key in planned if not patterns or any(fnmatchcase(key, pattern) for pattern in patterns)]
    if not found:
        examples = " and ".join(map(repr, dict.fromkeys((planned[0], planned[-1]))))
        raise ConfigurationError(f"no planned partition matches {' or '.join(patterns)}; keys look like {examples}")
    return found


def planned_estimates(
    lake: Lake,
    patterns: Sequence[str],
    scenarios: Scenarios,
    prompts: PromptBook,
    profile: Profile,
    rules: QualityRules,
) -> tuple[Estimate, CalibrationEstimate]:
    """What the planned partitions that match one of the patterns would take, and a calibration of the judge after them.

    Raises:
        ConfigurationError: nothing is planned, or no partition matches.
    """
    partitions = dry_run(lake, matching_partitions(lake, scenarios, patterns), scenarios, prompts, profile, rules)
    return partitions, estimate_calibration(lake, partitions, scenarios, prompts, profile, rules)


def role_rows(estimate: Estimate) -> list[dict[str, str]]:
    """One row per role, for a table: role and model, calls, tokens."""
    return [
        {
            "role": f"{role.role} ({role.model}{', in batches' if role.mode == 'batch' else ''})",
            "calls": f"{role.calls:,}",
            "tokens": f"{role.prompt_tokens + role.completion_tokens:,}{'' if role.measured else ' (assumed)'}",
        }
        for role in estimate.roles
    ]


def headline(estimate: Estimate) -> str:
    """The estimate in one sentence."""
    if not estimate.partitions:
        are_current = f"{counted(estimate.current, 'partition')} {'is' if estimate.current == 1 else 'are'} current"
        return f"nothing is due: {are_current}"
    current = f" ({estimate.current:,} more {'is' if estimate.current == 1 else 'are'} current)"
    return (
        f"{counted(estimate.dialogues, 'dialogue')} in {counted(estimate.partitions, 'partition')}"
        f"{current if estimate.current else ''}: about {counted(estimate.calls, 'call')}, {estimate.tokens:,} tokens, "
        f"{_prices(estimate)}, {_duration(estimate.hours)}"
        f"{' for the live calls, and up to a day for each turn in batches' if estimate.in_batches else ''}"
    )


def server_line(server: ServerEstimate) -> str:
    """What a server that is started would take, in one sentence."""
    start = (
        f"{server.startup_seconds:.0f} s to start, as the last time" if server.startup_seconds else "its first start"
    )
    cost = f", ${server.cost:,.2f}" if server.cost else ""
    return (
        f"the server of {server.model} (endpoint {server.endpoint}) runs {_duration(server.hours)}{cost}, with "
        f"{start}, and {server.idle_seconds:.0f} s until it is stopped"
    )


def _prices(estimate: Estimate) -> str:
    """The price, and that of the other way: `$6.00 ($12.00 if all calls were live)`."""
    shown = f"${estimate.cost:,.2f}"
    if estimate.in_batches:
        return f"{shown} (${estimate.live_cost:,.2f} if all calls were live)"
    return f"{shown} (${estimate.batch_cost:,.2f} in batches)" if estimate.batch_cost < estimate.cost else shown


def calibration_line(calibration: CalibrationEstimate) -> str:
    """What a calibration of the judge would take, in one sentence."""
    if not calibration.items:
        return "judge_calibration would ask the judge nothing"
    takes = calibration.takes
    return (
        f"judge_calibration, where it runs afterwards, asks about at most {calibration.items:,} items made from "
        f"{calibration.dialogues:,} dialogues: about {takes.calls:,} live calls, {takes.tokens:,} tokens, "
        f"${takes.cost:,.2f}, {_duration(takes.hours)} more"
    )


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 2 else counted(max(1, round(60 * hours)), "minute")
