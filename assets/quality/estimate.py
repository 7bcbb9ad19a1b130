"""A dry run: what generating and judging partitions would take, before anything is spent.

The turns are counted from the plans of those partitions that are due; see `assets.dialogues.estimate` for the rest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from assets.dialogue_plans.configuration import PlanRules, of_the_whole
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import CallAverage, Estimate, estimate, measured_averages, turns_of_plans
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenario, Scenarios
from assets.quality.configuration import JudgeRules, QualityRules
from assets.quality.partition_status import PartitionStatus, expected_fingerprints, partition_statuses
from resources.chat.profile import Profile
from resources.lake.tables import Lake

_MANY = 1000  # dialogues of which the mean is taken: `estimate` counts whole calls


@dataclass(frozen=True, slots=True)
class Expense:
    """Prompt and completion tokens, and US dollars by the profile's prices."""

    tokens: float
    usd: float


def dry_run(
    lake: Lake, keys: Iterable[str], scenarios: Scenarios, prompts: PromptBook, profile: Profile, rules: QualityRules
) -> Estimate:
    """What generating and judging these partitions (`debate|x-0003`) would take at most; current ones take nothing.

    A partition of which only the scores are due takes the judge's calls. Keys without dialogue plans add nothing. Reads
    the lake's index and the plans of what is due, and no partition's footer.
    """
    wanted = set(keys)
    expected = expected_fingerprints(profile, scenarios, prompts, rules)
    statuses = [status for status in partition_statuses(lake, expected) if status.key in wanted]
    due = [status for status in statuses if status.why]
    averages = measured_averages(lake, profile)
    return estimate_due(lake, due, scenarios, profile, rules, averages, current=len(statuses) - len(due))


def estimate_due(
    lake: Lake,
    due: Sequence[PartitionStatus],
    scenarios: Scenarios,
    profile: Profile,
    rules: QualityRules,
    averages: Mapping[str, CallAverage],
    current: int = 0,
) -> Estimate:
    """The same of partitions that are due; `averages` is what is known of each role, `current` goes into the result."""
    to_generate = [{"scenario": one.scenario, "shard": one.shard} for one in due if not one.scores_only]
    frame = pl.DataFrame(to_generate, schema={"scenario": pl.String, "shard": pl.String}, orient="row")
    plans = lake.read(
        DIALOGUE_PLANS,
        [{"shard": shard} for shard in frame["shard"].unique(maintain_order=True)],
        columns=["scenario", "shard", "repetitions"],
    ).join(frame, on=["scenario", "shard"])
    to_judge = plans.height + sum(one.dialogues.rows for one in due if one.scores_only and one.dialogues)
    return estimate(
        turns_of_plans(plans, scenarios) + judge_calls(profile, rules.judge, to_judge),
        profile,
        averages,
        dialogues=plans.height,
        partitions=len(due),
        current=current,
    )


def dialogue_expenses(
    profile: Profile, scenarios: Scenarios, rules: PlanRules, judging: JudgeRules, averages: Mapping[str, CallAverage]
) -> tuple[Mapping[str, Expense], Expense]:
    """What one dialogue of each scenario takes with its judging, and what judging alone takes.

    A number that is drawn for each plan is taken at its mean.
    """

    def mean(turns: Counter[str]) -> Expense:
        roles = estimate(turns, profile, averages).roles
        tokens = sum(role.prompt_tokens + role.completion_tokens for role in roles)
        return Expense(tokens / _MANY, sum(role.cost for role in roles) / _MANY)

    verdicts = judge_calls(profile, judging, _MANY)
    return {name: mean(_turns(scenario, rules) + verdicts) for name, scenario in scenarios.items()}, mean(verdicts)


def judge_calls(profile: Profile, judging: JudgeRules, dialogues: int) -> Counter[str]:
    """How often each judge is asked about so many dialogues."""
    if profile.judging == "rules_alone":
        return Counter()
    return Counter(dict.fromkeys(judging.jury, dialogues))


def _turns(scenario: Scenario, rules: PlanRules) -> Counter[str]:
    """The turns of `_MANY` dialogues of a scenario."""
    _, shares = rules.draw(scenario) or ("", {1: 1.0})
    turns: Counter[str] = Counter()
    for repetitions, share in of_the_whole(shares).items():
        for role, count in scenario.calls(repetitions).items():
            turns[role] += round(_MANY * share) * count
    return turns
