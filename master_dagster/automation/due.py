"""Which partitions a night makes: those that are due, the oldest first, as many as its limits allow. Knows no Dagster."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from assets.dialogues.estimate import Expense
from assets.framework.partitions import Scenario
from assets.quality.partition_status import PartitionStatus

NOTHING = Expense(0, 0)
SHOWN_KEYS = 6
Left = Literal["in flight", "given up", "too dear", "later"]
BY_HAND = ".venv/bin/dg launch --assets scenario_dialogues,scored_dialogues --partition '{key}'"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one night may launch; None is no limit. `tries`: failed nights after which a partition is given up."""

    partitions: int
    tokens: int | None = None
    usd: float | None = None
    tries: int = 3

    @property
    def measured(self) -> bool:
        """Whether what partitions take has to be known."""
        return self.tokens is not None or self.usd is not None


@dataclass(frozen=True, slots=True)
class Averages:
    """What a dialogue takes, by scenario, and how a shard's seeds are shared out among the scenarios."""

    dialogue: Mapping[Scenario, Expense]  # its verdict included
    verdict: Expense  # of one dialogue that is there already
    shares: Mapping[Scenario, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """A partition to be made tonight."""

    partition: PartitionStatus
    expense: Expense  # at most: what the journal holds is not paid again
    alone: bool  # it failed before, so it is launched by itself and its crash harms no other


@dataclass(frozen=True, slots=True)
class Batch:
    """Partitions of one scenario whose shards follow one another, for one run."""

    partitions: tuple[PartitionStatus, ...]

    @property
    def keys(self) -> list[str]:
        """As Dagster writes them, in its order."""
        return [partition.key for partition in self.partitions]

    @property
    def why(self) -> str:
        """`2 missing, 1 stale`."""
        return _counted(str(partition.why) for partition in self.partitions)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a night takes, and what it leaves and why."""

    taken: tuple[Taken, ...]
    left: Mapping[Left, Sequence[PartitionStatus]]
    limits: Limits = field(repr=False)

    @property
    def summary(self) -> str:
        """For people: one line of counts, then a line for each kind of partition that is left."""
        every = [
            *(taken.partition for taken in self.taken),
            *(partition for left in self.left.values() for partition in left),
        ]
        kinds = _counted(str(partition.why) for partition in every)
        counts = [f"{len(self.taken)} launched{self._expense()}"]
        words: dict[Left, str] = {
            "in flight": "in flight already",
            "later": f"left for the next tick ({self._limits()})",
            "given up": f"given up after {self.limits.tries} failed nights",
            "too dear": "dearer than a whole night's budget",
        }
        counts += [f"{len(self.left[reason])} {words[reason]}" for reason in words if self.left[reason]]
        lines = [f"{len(every)} partitions due ({kinds or 'none'}): {', '.join(counts)}"]
        if later := self.left["later"]:
            lines.append(f"Left for the next tick: {_named(later)}.")
        if given_up := self.left["given up"]:
            lines.append(
                f"Given up: {_named(given_up)}. Their last runs say why. Mend that, then start each by hand: "
                + BY_HAND.format(key=given_up[0].key)
            )
        if dear := self.left["too dear"]:
            lines.append(
                f"Too dear: {_named(dear)}. Raise MASTER_NIGHTLY_TOKENS or MASTER_NIGHTLY_USD, or start each by hand: "
                + BY_HAND.format(key=dear[0].key)
            )
        return "\n".join(lines)

    def _expense(self) -> str:
        if not self.limits.measured or not self.taken:
            return ""
        tokens, usd = (sum(getattr(taken.expense, name) for taken in self.taken) for name in ("tokens", "usd"))
        return f" (about {tokens:,.0f} tokens, ${usd:,.2f})"

    def _limits(self) -> str:
        limits = self.limits
        told = [f"at most {limits.partitions} partitions"]
        told += [f"{limits.tokens:,} tokens"] if limits.tokens is not None else []
        told += [f"${limits.usd:,.2f}"] if limits.usd is not None else []
        return ", ".join(told) + " a night"


def choose(
    statuses: Iterable[PartitionStatus],
    in_flight: Collection[str],
    tries: Mapping[str, int],
    averages: Averages | None,
    limits: Limits,
) -> Choice:
    """What tonight makes.

    Missing and stale partitions come first and those that failed before last, the oldest plans first in both, so that
    partitions which fail every night keep no others waiting. The first one that the budget has no room for ends the
    night: smaller ones never overtake it for ever.

    Args:
        statuses: every planned partition.
        in_flight: keys of those that runs are making or going to make.
        tries: key to the number of nights on which it failed lately.
        averages: what dialogues take; needed where tokens or money are limited.
        limits: of this night.
    """
    left: dict[Left, list[PartitionStatus]] = {"in flight": [], "given up": [], "too dear": [], "later": []}
    waiting: list[Taken] = []
    for partition in statuses:
        tried = tries.get(partition.key, 0)
        if not partition.why:
            continue
        if partition.key in in_flight:
            left["in flight"].append(partition)
        elif tried >= limits.tries:
            left["given up"].append(partition)
        else:
            expense = expected_expense(partition, averages) if averages else NOTHING
            if _fits(expense, limits):
                waiting.append(Taken(partition, expense, alone=partition.why == "failed" or tried > 0))
            else:
                left["too dear"].append(partition)
    waiting.sort(key=lambda taken: (taken.alone, taken.partition.plans.written_at, taken.partition.key))
    taken: list[Taken] = []
    spent = NOTHING
    for number, candidate in enumerate(waiting):
        spent = Expense(spent.tokens + candidate.expense.tokens, spent.usd + candidate.expense.usd)
        if len(taken) == limits.partitions or not _fits(spent, limits):
            left["later"] = [rest.partition for rest in waiting[number:]]
            break
        taken.append(candidate)
    return Choice(tuple(taken), left, limits)


def expected_expense(partition: PartitionStatus, averages: Averages) -> Expense:
    """What a partition takes at most, by the number of its dialogues: as written, else its share of the shard's plans."""
    if partition.dialogues:
        dialogues: float = partition.dialogues.rows
    else:
        dialogues = partition.plans.rows * averages.shares[partition.scenario]
    each = averages.verdict if partition.scores_only else averages.dialogue[partition.scenario]
    return Expense(dialogues * each.tokens, dialogues * each.usd)


def together(taken: Iterable[Taken], shards: Sequence[str], most: int) -> list[Batch]:
    """Tonight's partitions as runs: contiguous ones of a scenario in one, at most `most`, those that failed alone.

    Args:
        taken: what to make, by urgency; a batch comes where its most urgent partition does.
        shards: every shard, in the order in which Dagster lists them, which its ranges follow.
        most: partitions of one run.
    """
    place = {shard: number for number, shard in enumerate(shards)}
    urgency = {candidate.partition.key: number for number, candidate in enumerate(taken)}
    ordered = sorted(taken, key=lambda candidate: (candidate.partition.scenario, place[candidate.partition.shard]))
    batches: list[list[Taken]] = []
    for candidate in ordered:
        last = batches[-1] if batches else None
        if last and len(last) < most and _follows(last[-1], candidate, place):
            last.append(candidate)
        else:
            batches.append([candidate])
    batches.sort(key=lambda batch: min(urgency[candidate.partition.key] for candidate in batch))
    return [Batch(tuple(candidate.partition for candidate in batch)) for batch in batches]


def _follows(one: Taken, other: Taken, place: Mapping[str, int]) -> bool:
    return (
        not one.alone
        and not other.alone
        and one.partition.scenario == other.partition.scenario
        and place[other.partition.shard] == place[one.partition.shard] + 1
    )


def _fits(expense: Expense, limits: Limits) -> bool:
    return (limits.tokens is None or expense.tokens <= limits.tokens) and (
        limits.usd is None or expense.usd <= limits.usd
    )


def _counted(whys: Iterable[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(Counter(whys).items()))


def _named(partitions: Sequence[PartitionStatus]) -> str:
    more = f" and {len(partitions) - SHOWN_KEYS} more" if len(partitions) > SHOWN_KEYS else ""
    return ", ".join(partition.key for partition in partitions[:SHOWN_KEYS]) + more
