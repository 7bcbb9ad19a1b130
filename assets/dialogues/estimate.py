"""A dry run: what teaching some partitions would take, before anything is spent.

Counts come from the plans. Tokens, refused utterances and seconds come from dialogues that the same models already
held, where there are any; the stated defaults stand in for the rest. What a journal already holds is not known here,
so a run that was broken off takes less than this says.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.prompts import PromptBook
from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.dialogues.steps import Spoken
from assets.dialogues.task import DialogueTask, Question
from assets.framework.partitions import Scenario, partition_columns
from resources.chat.profile import Profile, Role
from resources.lake.tables import Lake, PartitionRecord

MEASURED_PARTITIONS = 20  # of each scenario, the newest ones


@dataclass(frozen=True, slots=True)
class CallAverage:
    """What one turn of a role takes, on average."""

    prompt_tokens: float  # of one call
    completion_tokens: float  # of one call
    calls: float  # for a turn: refused utterances are asked for again
    seconds: float  # of one call
    measured: bool


@dataclass(frozen=True, slots=True)
class Expense:
    """Prompt and completion tokens, and US dollars by the profile's prices."""

    tokens: float
    usd: float


@dataclass(frozen=True, slots=True)
class RoleEstimate:
    """What one role would take."""

    role: Role
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float  # US dollars, by the profile's prices
    measured: bool  # False: by the defaults


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the partitions would take together."""

    partitions: int  # that are to be made
    current: int  # partitions that are already there and would take nothing
    dialogues: int
    roles: tuple[RoleEstimate, ...]
    hours: float  # of the busiest endpoint, at its concurrency and its limits

    @property
    def calls(self) -> int:
        """Completions to be had."""
        return sum(role.calls for role in self.roles)

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return sum(role.prompt_tokens + role.completion_tokens for role in self.roles)

    @property
    def cost(self) -> float:
        """US dollars, by the profile's prices; models without a price cost nothing."""
        return sum(role.cost for role in self.roles)


def default_average(profile: Profile, role: Role) -> CallAverage:
    """What is assumed of a role that was never heard: 600 tokens read, 200 written (or the limit), one call in eight
    repeated, 30 tokens a second."""
    written = min(200, profile.roles[role].max_tokens)
    return CallAverage(
        prompt_tokens=600, completion_tokens=written, calls=1.125, seconds=1 + written / 30, measured=False
    )


def turns_of(scenario: Scenario, debate_rounds: int | None = None) -> Counter[Role]:
    """How many turns of each role a dialogue has, by playing its script to an empty room."""
    blank = Question("", "", "", None, "general")
    script = SCENARIOS[scenario].play(DialogueTask("", scenario, "", "", "", "", blank, blank, debate_rounds))
    turns: Counter[Role] = Counter()
    step = next(script)
    while True:
        if isinstance(step, Spoken):
            turns[step.role] += 1
        try:
            step = script.send("")
        except StopIteration:
            return turns


def estimate(
    plans: pl.DataFrame,
    profile: Profile,
    averages: Mapping[Role, CallAverage],
    *,
    judged: bool = True,
    partitions: int = 0,
    current: int = 0,
) -> Estimate:
    """What these plans would take.

    Args:
        plans: rows with `scenario` and `debate_rounds`, one a dialogue.
        profile: who plays the roles, at what price and under which limits.
        averages: what is known of each role; the defaults stand in for the others.
        judged: whether each dialogue is judged afterwards, at one call.
        partitions, current: told on.
    """
    turns: Counter[Role] = Counter()
    for scenario, rounds, count in plans.group_by("scenario", "debate_rounds").len().iter_rows():
        for role, times in turns_of(Scenario(scenario), rounds).items():
            turns[role] += times * count
    if judged:
        turns[Role.JUDGE] = plans.height
    roles, load = [], dict.fromkeys(profile.endpoints, 0.0)
    for role in Role:
        if not turns[role]:
            continue
        cast = profile.roles[role]
        endpoint = profile.endpoints[cast.endpoint]
        average = averages.get(role) or default_average(profile, role)
        calls = round(turns[role] * average.calls)
        price = profile.prices.get(cast.model)
        read, written = round(calls * average.prompt_tokens), round(calls * average.completion_tokens)
        cost = (read * price.prompt + written * price.completion) / 1e6 if price else 0.0
        roles.append(RoleEstimate(role, cast.model, calls, read, written, cost, average.measured))
        load[cast.endpoint] += max(
            calls * average.seconds / endpoint.max_concurrency,
            60 * calls / endpoint.requests_per_minute if endpoint.requests_per_minute else 0.0,
            60 * (read + written) / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0,
        )
    return Estimate(partitions, current, plans.height, tuple(roles), max(load.values()) / 3600)


def dialogue_expenses(
    profile: Profile, averages: Mapping[Role, CallAverage]
) -> tuple[Mapping[Scenario, Expense], Expense]:
    """What one dialogue of each scenario takes, its verdict included, and what a verdict alone takes.

    Half of the debates are taken to have two rounds.
    """
    many = 1000  # `estimate` counts whole calls

    def of_one(roles: Iterable[RoleEstimate]) -> Expense:
        taken = list(roles)
        tokens = sum(role.prompt_tokens + role.completion_tokens for role in taken)
        return Expense(tokens / many, sum(role.cost for role in taken) / many)

    expenses, verdict = {}, Expense(0, 0)
    for scenario in Scenario:
        rounds = [1, 2] * (many // 2) if scenario is Scenario.DEBATE else [None] * many
        plans = pl.DataFrame(
            {"scenario": [scenario.value] * many, "debate_rounds": rounds}, schema_overrides={"debate_rounds": pl.Int8}
        )
        roles = estimate(plans, profile, averages).roles
        expenses[scenario] = of_one(roles)
        verdict = of_one(role for role in roles if role.role is Role.JUDGE)
    return expenses, verdict


def measured_averages(lake: Lake, profile: Profile) -> dict[Role, CallAverage]:
    """What the roles took in the newest dialogues that this profile's models held; nothing of other models.

    Reads `MEASURED_PARTITIONS` of each scenario, whatever their number.
    """
    query = """
        SELECT turn.role, turn.model, avg(turn.prompt_tokens), avg(turn.completion_tokens), count(*)
        FROM (SELECT unnest(turns) AS turn FROM newest)
        WHERE turn.role IS NOT NULL GROUP BY ALL
    """
    newest = lake.read(DIALOGUES, [record.keys for record in _newest(lake)], columns=["turns", "discarded"])
    with duckdb.connect() as connection:
        connection.register("newest", newest.to_arrow())
        rows = connection.execute(query).fetchall()
        ((refused, spoken),) = connection.execute(
            "SELECT coalesce(sum(len(discarded)), 0), coalesce(sum(len([t FOR t IN turns IF t.role IS NOT NULL])), 0) "
            "FROM newest"
        ).fetchall()
    seconds = _seconds_a_call(lake)
    found = {}
    for name, model, read, written, _ in rows:
        role = Role(name)
        if profile.roles[role].model == model:
            default = default_average(profile, role)
            found[role] = CallAverage(read, written, 1 + refused / spoken, seconds or default.seconds, measured=True)
    return found


def dry_run(lake: Lake, keys: Iterable[str], prompts: PromptBook, profile: Profile) -> Estimate:
    """What making these partitions (`debate|x-0003`) and judging them would take; current ones take nothing.

    Shards without dialogue plans add nothing.
    """
    keys = list(keys)
    current = _current(lake, prompts, profile)
    due = [partition_columns(key) for key in keys if key not in current]
    wanted = pl.DataFrame(due, schema={"scenario": pl.String, "shard": pl.String}, orient="row")
    plans = lake.read(
        DIALOGUE_PLANS,
        [{"shard": shard} for shard in wanted["shard"].unique(maintain_order=True)],
        columns=["scenario", "shard", "debate_rounds"],
    ).join(wanted, on=["scenario", "shard"])
    return estimate(plans, profile, measured_averages(lake, profile), partitions=len(due), current=len(keys) - len(due))


def _current(lake: Lake, prompts: PromptBook, profile: Profile) -> set[str]:
    """Keys of the partitions that passed their gate and were made by the present plans, prompts and models.

    As `is_current` says of one of them, but by the index: three listings, whatever their number.
    """
    plans = {record.name: record.fingerprint for record in lake.records(DIALOGUE_PLANS)}
    asked_anew = {record.name: record.fingerprint for record in lake.records(REGENERATIONS)}
    current = set()
    for written in lake.records(DIALOGUES):
        plan = plans.get(written.keys["shard"])
        if plan is None or written.gate == "failed":
            continue
        scenario, anew = Scenario(written.keys["scenario"]), asked_anew.get(written.name, "")
        if written.fingerprint == dialogue_fingerprint(plan, anew, scenario, prompts, profile):
            current.add(written.name)
    return current


def _seconds_a_call(lake: Lake) -> float | None:
    """Mean latency over the newest partitions; None where no call was made."""
    usages = [lake.facts(DIALOGUES, record.keys).get("usage", {}) for record in _newest(lake)]
    calls = sum(usage.get("calls", 0) for usage in usages)
    return sum(usage.get("wait_seconds", 0.0) for usage in usages) / calls if calls else None


def _newest(lake: Lake) -> list[PartitionRecord]:
    """The newest partitions that hold dialogues, some of each scenario, the newest last."""
    by_scenario: dict[str, list[PartitionRecord]] = {}
    for record in sorted(lake.records(DIALOGUES), key=lambda record: record.written_at):
        if record.rows:
            by_scenario.setdefault(record.keys["scenario"], []).append(record)
    return [record for records in by_scenario.values() for record in records[-MEASURED_PARTITIONS:]]
