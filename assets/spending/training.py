"""The hours of training jobs and their price, from the records that each attempt leaves in its job's folder."""

from assets.training_programs.specification import HOME
from assets.training_sets.schema import GRADIENT_FEATURES
from resources.chat.spending_log import Spent, hours_by_day
from resources.lake.tables import Lake
from resources.training_jobs.attempts import AttemptTime, read_attempt_times

ROLE = "training"
HOMES = {HOME: HOME, "training_sets/tagcos": GRADIENT_FEATURES.name}  # folders with jobs, and their stage


def read_training_hours(lake: Lake) -> dict[str, list[Spent]]:
    """What each attempt took so far, by the name that its record has in `_spending/`.

    Raises:
        StoreError: the lake cannot be read.
    """
    return {
        f"training-{attempt.name}": _rows(stage, attempt)
        for home, stage in HOMES.items()
        for attempt in read_attempt_times(lake.store, home)
    }


def _rows(stage: str, attempt: AttemptTime) -> list[Spent]:
    base = attempt.folder.split("/")[1] if stage == HOME else ""
    price = attempt.usd_per_hour or 0.0
    return [
        Spent(day, attempt.run_id, stage, ROLE, base, batch=False, hours=hours, cost=hours * price)
        for day, hours in hours_by_day(attempt.start, attempt.end).items()
    ]
