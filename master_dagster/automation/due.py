"""Which partitions a night makes: the due ones, oldest plans first, within the night's limits. Knows no Dagster."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

from assets.quality.estimate import Expense
from assets.quality.partition_status import PartitionStatus

NO_EXPENSE = Expense(0, 0)
SHOWN_KEYS = 6
Skipped = Literal["in progress", "later", "failed too often", "over budget"]
LAUNCH = ".venv/bin/dg launch --assets scenario_dialogues,scored_dialogues --partition '{key}'"
SKIPPED: Mapping[Skipped, str] = {
    "in progress": "a run or an open batch makes it",
    "later": "no room within the limits; left for the next night",
    "failed too often": "failed on too many nights; fix what its last run reports, then launch it by hand",
    "over budget": "over budget; raise MASTER_NIGHTLY_TOKENS or MASTER_NIGHTLY_USD, or launch it by hand",
}
"""Why a partition is skipped and what to do, in the table of the night and in the log of a tick."""
BY_HAND: tuple[Skipped, ...] = ("failed too often", "over budget")


@dataclass(frozen=True, slots=True)
class NightlyLimits:
    """What one night may launch; None is no limit. `tries`: failed nights after which a partition is skipped."""

    partitions: int
    tokens: int | None = None
    usd: float | None = None
    tries: int = 3

    @property
    def need_expenses(self) -> bool:
        """Whether the expected expense of a partition matters."""
        return self.tokens is not None or self.usd is not None

    def allow(self, expense: Expense) -> bool:
        """Whether one night may spend this."""
        tokens_allowed = self.tokens is None or expense.tokens <= self.tokens
        return tokens_allowed and (self.usd is None or expense.usd <= self.usd)

    def __str__(self) -> str:
        """`at most 50 partitions, 1,000 tokens a night`."""
        parts = [f"at most {self.partitions} partitions"]
        parts += [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        parts += [f"${self.usd:,.2f}"] if self.usd is not None else []
        return ", ".join(parts) + " per night"


@dataclass(frozen=True, slots=True)
class Averages:
    """The average expense of a dialogue by scenario, and the share of a shard's seeds that each scenario gets."""

    dialogue: Mapping[str, Expense]  # the judge's verdict included
    verdict: Expense  # of a dialogue that exists
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A partition that the night may make."""

    partition: PartitionStatus
    expense: Expense  # at most: answers in the journal are not paid for again
    alone: bool  # it failed before, so it gets a run of its own and its failure stops no other partition


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """Partitions of one scenario with consecutive shards, for one run."""

    partitions: tuple[PartitionStatus, ...]

    @property
    def keys(self) -> list[str]:
        """Dagster's partition keys, in its order."""
        return [partition.key for partition in self.partitions]

    @property
    def reasons(self) -> str:
        """Why the partitions are due: `2 missing, 1 stale`."""
        return _counted(self.partitions)


@dataclass(frozen=True, slots=True)
class NightlyChoice:
    """The partitions that a night launches, and those that it skips, by reason."""

    chosen: tuple[Candidate, ...]
    skipped: Mapping[Skipped, Sequence[PartitionStatus]]
    limits: NightlyLimits = field(repr=False)

    @property
    def summary(self) -> str:
        """One line of counts, then one line for each kind of skipped partition with what to do."""
        due = [*(candidate.partition for candidate in self.chosen), *chain.from_iterable(self.skipped.values())]
        details = {"later": f" ({self.limits})", "failed too often": f" (in {self.limits.tries} nights)"}
        counts = [f"{len(self.chosen)} launched{self._expense()}"]
        counts += [f"{len(some)} {reason}{details.get(reason, '')}" for reason, some in self.skipped.items() if some]
        lines = [f"{len(due)} partitions due ({_counted(due) or 'none'}): {', '.join(counts)}"]
        for reason, text in SKIPPED.items():
            if some := self.skipped[reason]:
                launch = f": {LAUNCH.format(key=some[0].key)}" if reason in BY_HAND else ""
                lines.append(f"{_listed(some)}: {text}{launch}")
        return "\n".join(lines)

    def _expense(self) -> str:
        if not self.limits.need_expenses or not self.chosen:
            return ""
        tokens, usd = (sum(getattr(one.expense, name) for one in self.chosen) for name in ("tokens", "usd"))
        return f" (about {tokens:,.0f} tokens, ${usd:,.2f})"


def choose_partitions(
    statuses: Iterable[PartitionStatus],
    in_progress: Collection[str],
    failed_nights: Mapping[str, int],
    averages: Averages | None,
    limits: NightlyLimits,
) -> NightlyChoice:
    """The partitions that tonight makes.

    Missing and stale partitions come before those that failed, and within both the oldest plans come first: partitions
    that fail every night do not keep others waiting. The first one for which the budget has no room ends the night, so
    that smaller ones do not overtake it every night.

    Args:
        statuses: every planned partition.
        in_progress: keys of the partitions that queued or running runs make.
        failed_nights: key to the number of recent nights on which the partition failed.
        averages: expenses of dialogues; needed where tokens or money are limited.
        limits: of this night.
    """
    skipped: dict[Skipped, list[PartitionStatus]] = {reason: [] for reason in get_args(Skipped)}
    candidates: list[Candidate] = []
    for partition in statuses:
        if not partition.why:
            continue
        failures = failed_nights.get(partition.key, 0)
        expense = expected_expense(partition, averages) if averages else NO_EXPENSE
        if partition.key in in_progress:
            skipped["in progress"].append(partition)
        elif failures >= limits.tries:
            skipped["failed too often"].append(partition)
        elif not limits.allow(expense):
            skipped["over budget"].append(partition)
        else:
            candidates.append(Candidate(partition, expense, alone=partition.why == "failed" or failures > 0))
    candidates.sort(key=lambda one: (one.alone, one.partition.plans.written_at, one.partition.key))
    spent = NO_EXPENSE
    for number, candidate in enumerate(candidates):
        spent = Expense(spent.tokens + candidate.expense.tokens, spent.usd + candidate.expense.usd)
        if number == limits.partitions or not limits.allow(spent):
            skipped["later"] = [rest.partition for rest in candidates[number:]]
            candidates = candidates[:number]
            break
    return NightlyChoice(tuple(candidates), skipped, limits)


def expected_expense(partition: PartitionStatus, averages: Averages) -> Expense:
    """The most that a partition costs, by the number of its dialogues: as written, else its share of the plans."""
    if partition.dialogues:
        dialogues: float = partition.dialogues.rows
    else:
        dialogues = partition.plans.rows * averages.shares[partition.scenario]
    each = averages.verdict if partition.scores_only else averages.dialogue[partition.scenario]
    return Expense(dialogues * each.tokens, dialogues * each.usd)


def plan_runs(chosen: Iterable[Candidate], shards: Sequence[str], most: int) -> list[PlannedRun]:
    """The runs of a night: consecutive shards of a scenario share one, and a partition that failed has its own.

    Args:
        chosen: the partitions, the most urgent first; a run comes where its most urgent partition is.
        shards: every shard, in the order in which Dagster lists them and its ranges follow.
        most: partitions in one run.
    """
    position = {shard: number for number, shard in enumerate(shards)}
    urgency = {candidate.partition.key: number for number, candidate in enumerate(chosen)}

    def continues(run: list[Candidate], candidate: Candidate) -> bool:
        last = run[-1].partition, candidate.partition
        consecutive = position[last[1].shard] == position[last[0].shard] + 1
        return last[0].scenario == last[1].scenario and consecutive and not (run[-1].alone or candidate.alone)

    runs: list[list[Candidate]] = []
    for candidate in sorted(chosen, key=lambda one: (one.partition.scenario, position[one.partition.shard])):
        if runs and len(runs[-1]) < most and continues(runs[-1], candidate):
            runs[-1].append(candidate)
        else:
            runs.append([candidate])
    runs.sort(key=lambda run: min(urgency[candidate.partition.key] for candidate in run))
    return [PlannedRun(tuple(candidate.partition for candidate in run)) for run in runs]


def _counted(partitions: Iterable[PartitionStatus]) -> str:
    reasons = Counter(str(partition.why) for partition in partitions)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))


def _listed(partitions: Sequence[PartitionStatus]) -> str:
    more = f" and {len(partitions) - SHOWN_KEYS} more" if len(partitions) > SHOWN_KEYS else ""
    return ", ".join(partition.key for partition in partitions[:SHOWN_KEYS]) + more
