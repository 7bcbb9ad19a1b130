"""Which lessons a night makes: those that are due, the oldest first, as many as its limits allow. Knows no Dagster."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from assets.dialogues.estimate import Expense
from assets.partitions import Scenario
from assets.quality.standing import Standing

NOTHING = Expense(0, 0)
SHOWN_KEYS = 6
Left = Literal["in flight", "given up", "too dear", "later"]
BY_HAND = ".venv/bin/dg launch --assets scenario_dialogues,scored_dialogues --partition '{key}'"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one night may launch; None is no limit. `tries`: failed nights after which a lesson is given up."""

    partitions: int
    tokens: int | None = None
    usd: float | None = None
    tries: int = 3

    @property
    def measured(self) -> bool:
        """Whether what lessons take has to be known."""
        return self.tokens is not None or self.usd is not None


@dataclass(frozen=True, slots=True)
class Averages:
    """What a dialogue takes, by scenario, and how a shard's seeds are shared out among the scenarios."""

    dialogue: Mapping[Scenario, Expense]  # its verdict included
    verdict: Expense  # of one dialogue that is there already
    shares: Mapping[Scenario, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """A lesson to be made tonight."""

    lesson: Standing
    expense: Expense  # at most: what the journal holds is not paid again
    alone: bool  # it failed before, so it is launched by itself and its crash harms no other


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons of one scenario whose shards follow one another, for one run."""

    lessons: tuple[Standing, ...]

    @property
    def keys(self) -> list[str]:
        """As Dagster writes them, in its order."""
        return [lesson.key for lesson in self.lessons]

    @property
    def why(self) -> str:
        """`2 missing, 1 stale`."""
        return _counted(str(lesson.why) for lesson in self.lessons)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a night takes, and what it leaves and why."""

    taken: tuple[Taken, ...]
    left: Mapping[Left, Sequence[Standing]]
    limits: Limits = field(repr=False)

    @property
    def summary(self) -> str:
        """For people: one line of counts, then a line for each kind of lesson that is left."""
        every = [*(taken.lesson for taken in self.taken), *(lesson for left in self.left.values() for lesson in left)]
        kinds = _counted(str(lesson.why) for lesson in every)
        counts = [f"{len(self.taken)} launched{self._expense()}"]
        words: dict[Left, str] = {
            "in flight": "in flight already",
            "later": f"left for the next tick ({self._limits()})",
            "given up": f"given up after {self.limits.tries} failed nights",
            "too dear": "dearer than a whole night's budget",
        }
        counts += [f"{len(self.left[reason])} {words[reason]}" for reason in words if self.left[reason]]
        lines = [f"{len(every)} lessons due ({kinds or 'none'}): {', '.join(counts)}"]
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
        told = [f"at most {limits.partitions} lessons"]
        told += [f"{limits.tokens:,} tokens"] if limits.tokens is not None else []
        told += [f"${limits.usd:,.2f}"] if limits.usd is not None else []
        return ", ".join(told) + " a night"


def choose(
    standings: Iterable[Standing],
    in_flight: Collection[str],
    tries: Mapping[str, int],
    averages: Averages | None,
    limits: Limits,
) -> Choice:
    """What tonight makes.

    Missing and stale lessons come first and those that failed before last, the oldest plans first in both, so that
    lessons which fail every night keep no others waiting. The first one that the budget has no room for ends the
    night: smaller ones never overtake it for ever.

    Args:
        standings: every planned lesson.
        in_flight: keys of those that runs are making or going to make.
        tries: key to the number of nights on which it failed lately.
        averages: what dialogues take; needed where tokens or money are limited.
        limits: of this night.
    """
    left: dict[Left, list[Standing]] = {"in flight": [], "given up": [], "too dear": [], "later": []}
    waiting: list[Taken] = []
    for lesson in standings:
        tried = tries.get(lesson.key, 0)
        if not lesson.why:
            continue
        if lesson.key in in_flight:
            left["in flight"].append(lesson)
        elif tried >= limits.tries:
            left["given up"].append(lesson)
        else:
            expense = expected_expense(lesson, averages) if averages else NOTHING
            if _fits(expense, limits):
                waiting.append(Taken(lesson, expense, alone=lesson.why == "failed" or tried > 0))
            else:
                left["too dear"].append(lesson)
    waiting.sort(key=lambda taken: (taken.alone, taken.lesson.plans.written_at, taken.lesson.key))
    taken: list[Taken] = []
    spent = NOTHING
    for number, candidate in enumerate(waiting):
        spent = Expense(spent.tokens + candidate.expense.tokens, spent.usd + candidate.expense.usd)
        if len(taken) == limits.partitions or not _fits(spent, limits):
            left["later"] = [rest.lesson for rest in waiting[number:]]
            break
        taken.append(candidate)
    return Choice(tuple(taken), left, limits)


def expected_expense(lesson: Standing, averages: Averages) -> Expense:
    """What a lesson takes at most, by the number of its dialogues: as written, else its share of the shard's plans."""
    if lesson.dialogues:
        dialogues: float = lesson.dialogues.rows
    else:
        dialogues = lesson.plans.rows * averages.shares[lesson.scenario]
    each = averages.verdict if lesson.scores_only else averages.dialogue[lesson.scenario]
    return Expense(dialogues * each.tokens, dialogues * each.usd)


def together(taken: Iterable[Taken], shards: Sequence[str], most: int) -> list[Batch]:
    """Tonight's lessons as runs: contiguous ones of a scenario in one, at most `most`, those that failed alone.

    Args:
        taken: what to make, by urgency; a batch comes where its most urgent lesson does.
        shards: every shard, in the order in which Dagster lists them, which its ranges follow.
        most: lessons of one run.
    """
    place = {shard: number for number, shard in enumerate(shards)}
    urgency = {candidate.lesson.key: number for number, candidate in enumerate(taken)}
    ordered = sorted(taken, key=lambda candidate: (candidate.lesson.scenario, place[candidate.lesson.shard]))
    batches: list[list[Taken]] = []
    for candidate in ordered:
        last = batches[-1] if batches else None
        if last and len(last) < most and _follows(last[-1], candidate, place):
            last.append(candidate)
        else:
            batches.append([candidate])
    batches.sort(key=lambda batch: min(urgency[candidate.lesson.key] for candidate in batch))
    return [Batch(tuple(candidate.lesson for candidate in batch)) for batch in batches]


def _follows(one: Taken, other: Taken, place: Mapping[str, int]) -> bool:
    return (
        not one.alone
        and not other.alone
        and one.lesson.scenario == other.lesson.scenario
        and place[other.lesson.shard] == place[one.lesson.shard] + 1
    )


def _fits(expense: Expense, limits: Limits) -> bool:
    return (limits.tokens is None or expense.tokens <= limits.tokens) and (
        limits.usd is None or expense.usd <= limits.usd
    )


def _counted(whys: Iterable[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(Counter(whys).items()))


def _named(lessons: Sequence[Standing]) -> str:
    more = f" and {len(lessons) - SHOWN_KEYS} more" if len(lessons) > SHOWN_KEYS else ""
    return ", ".join(lesson.key for lesson in lessons[:SHOWN_KEYS]) + more
