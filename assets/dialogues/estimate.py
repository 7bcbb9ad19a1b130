"""What turns of the roles would take in calls, tokens, money and time, before anything is spent.

Tokens, refused utterances and seconds come from dialogues that the same models already generated, where there are any;
the stated defaults stand in for the rest. What a journal already has is not known here, so a run that was interrupted
takes less than this says. `assets.quality.estimate` counts the turns of whole partitions, those of the judge included.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import duckdb
import polars as pl

from assets.dialogues.schema import DIALOGUES
from assets.framework.scenarios.scenario import Scenarios
from resources.chat.profile import Profile
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake
from resources.model_servers.started.usage import read_usage, usage_name

MEASURED_PARTITIONS = 20  # of each scenario, the newest ones


@dataclass(frozen=True, slots=True)
class CallAverage:
    """What one turn of a role takes, on average."""

    prompt_tokens: float  # of one call
    completion_tokens: float  # of one call
    calls: float  # per turn: refused utterances are asked for again
    seconds: float  # of one call
    measured: bool


@dataclass(frozen=True, slots=True)
class RoleEstimate:
    """What one role would take."""

    role: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float  # US dollars, by the profile's prices and the role's mode
    live_cost: float  # where every call is live
    batch_cost: float  # where every call goes in batches; the live cost where none can
    mode: Literal["live", "batch"]
    measured: bool  # False: by the defaults


@dataclass(frozen=True, slots=True)
class ServerEstimate:
    """What a server that is started on this machine would take."""

    endpoint: str
    model: str
    hours: float  # with its start, and the time until it is stopped
    startup_seconds: float  # of its last start here; 0 where it never ran
    idle_seconds: float
    cost: float  # US dollars, where its machine has a price per hour


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the partitions would take together."""

    partitions: int  # that are due
    current: int  # partitions that would take nothing
    dialogues: int  # that are to be generated
    roles: tuple[RoleEstimate, ...]
    hours: float  # of the live calls of the busiest endpoint, at its concurrency and its limits, with its start
    servers: tuple[ServerEstimate, ...] = ()  # those that are started on this machine

    @property
    def calls(self) -> int:
        """Completions."""
        return sum(role.calls for role in self.roles)

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return sum(role.prompt_tokens + role.completion_tokens for role in self.roles)

    @property
    def cost(self) -> float:
        """US dollars, by the profile's prices; models and machines without a price cost nothing."""
        return sum(role.cost for role in self.roles) + self.server_cost

    @property
    def server_cost(self) -> float:
        """US dollars for the hours of machines with a price."""
        return sum(server.cost for server in self.servers)

    @property
    def live_cost(self) -> float:
        """US dollars where every call is live."""
        return sum(role.live_cost for role in self.roles) + self.server_cost

    @property
    def batch_cost(self) -> float:
        """US dollars where every call goes in batches."""
        return sum(role.batch_cost for role in self.roles) + self.server_cost

    @property
    def in_batches(self) -> bool:
        """Whether some calls go in batches, which take up to a day per turn."""
        return any(role.mode == "batch" for role in self.roles)


def default_average(profile: Profile, role: str) -> CallAverage:
    """What is assumed of a role without measurements: 600 tokens read, 200 written (or the limit), one call in eight
    repeated, 30 tokens per second."""
    written = min(200, profile.roles[role].token_limit)
    return CallAverage(
        prompt_tokens=600, completion_tokens=written, calls=1.125, seconds=1 + written / 30, measured=False
    )


def turns_of_plans(plans: pl.DataFrame, scenarios: Scenarios) -> Counter[str]:
    """How many turns of each role the dialogues of these plans have: rows with `scenario` and `repetitions`."""
    turns: Counter[str] = Counter()
    for scenario, repetitions, count in plans.group_by("scenario", "repetitions").len().iter_rows():
        for role, times in scenarios[scenario].calls(repetitions).items():
            turns[role] += times * count
    return turns


def estimate(
    turns: Mapping[str, int],
    profile: Profile,
    averages: Mapping[str, CallAverage],
    *,
    dialogues: int = 0,
    partitions: int = 0,
    current: int = 0,
    batches: bool = True,
) -> Estimate:
    """What these turns would take.

    Args:
        turns: number of turns of each role.
        profile: which models play the roles, at what price and under which limits.
        averages: what is known of each role; the defaults stand in for the others.
        dialogues, partitions, current: taken over into the result.
        batches: whether roles of mode `batch` go in batches, as in dialogues and verdicts; other stages ask live.
    """
    roles, load = [], dict.fromkeys(profile.endpoints, 0.0)
    for role in profile.roles:
        if not turns.get(role):
            continue
        cast = profile.roles[role]
        endpoint = profile.endpoints[cast.endpoint]
        average = averages.get(role) or default_average(profile, role)
        calls = round(turns[role] * average.calls)
        price = profile.prices.get(cast.model)
        read, written = round(calls * average.prompt_tokens), round(calls * average.completion_tokens)
        live = price.cost(read, written) if price else 0.0
        in_batches = batches and endpoint.kind == "openai"
        batch = price.cost(read, written, batch=True) if price and in_batches else live
        mode = cast.mode if batches else "live"
        cost = batch if mode == "batch" else live
        roles.append(
            RoleEstimate(role, cast.model, calls, read, written, cost, live, batch, mode, measured=average.measured)
        )
        if mode == "batch":
            continue
        load[cast.endpoint] += max(
            calls * average.seconds / endpoint.max_concurrency,
            60 * calls / endpoint.requests_per_minute if endpoint.requests_per_minute else 0.0,
            60 * (read + written) / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0,
        )
    servers = _estimate_servers(profile, load)
    hours = max(load.values()) / 3600
    return Estimate(partitions, current, dialogues, tuple(roles), hours, servers)


def _estimate_servers(profile: Profile, load: dict[str, float]) -> tuple[ServerEstimate, ...]:
    """The servers that would be started; adds the time that each takes to start to the load in seconds."""
    found = []
    for name, endpoint in profile.endpoints.items():
        server = endpoint.server
        if server is not None and load[name]:
            startup = read_usage(usage_name(endpoint.kind, server)).startup_seconds
            load[name] += startup
            hours = (load[name] + server.idle_seconds) / 3600
            cost = hours * (server.price_per_hour or 0.0)
            found.append(ServerEstimate(name, server.model, hours, startup, server.idle_seconds, cost))
    return tuple(found)


def measured_averages(lake: Lake, profile: Profile) -> dict[str, CallAverage]:
    """What the roles took in the newest dialogues of this profile's models; nothing of other models.

    Reads `MEASURED_PARTITIONS` of each scenario, whatever their number.
    """
    query = """
        SELECT turn.role, turn.model, avg(turn.prompt_tokens), avg(turn.completion_tokens)
        FROM (SELECT unnest(turns) AS turn FROM newest)
        WHERE turn.role IS NOT NULL GROUP BY ALL
    """
    records = _newest(lake)
    newest = lake.read(DIALOGUES, [record.keys for record in records], columns=["turns", "discarded"])
    with duckdb.connect() as connection:
        connection.register("newest", newest.to_arrow())
        rows = connection.execute(query).fetchall()
        ((refused, spoken),) = connection.execute(
            "SELECT coalesce(sum(len(discarded)), 0), coalesce(sum(len([t FOR t IN turns IF t.role IS NOT NULL])), 0) "
            "FROM newest"
        ).fetchall()
    seconds = _seconds_a_call(lake, records)
    found = {}
    for name, model, read, written in rows:
        if name in profile.roles and profile.roles[name].model == model:
            default = default_average(profile, name)
            found[name] = CallAverage(read, written, 1 + refused / spoken, seconds or default.seconds, measured=True)
    return found


def _seconds_a_call(lake: Lake, records: Iterable[PartitionRecord]) -> float | None:
    """Mean latency over these partitions; None where no call was made."""
    usages = [lake.facts(DIALOGUES, record.keys).get("usage", {}) for record in records]
    calls = sum(usage.get("calls", 0) for usage in usages)
    return sum(usage.get("wait_seconds", 0.0) for usage in usages) / calls if calls else None


def _newest(lake: Lake) -> list[PartitionRecord]:
    """The newest partitions with dialogues, some of each scenario, the newest last."""
    by_scenario: dict[str, list[PartitionRecord]] = {}
    for record in sorted(lake.records(DIALOGUES), key=lambda record: record.written_at):
        if record.rows:
            by_scenario.setdefault(record.keys["scenario"], []).append(record)
    return [record for records in by_scenario.values() for record in records[-MEASURED_PARTITIONS:]]
