"""A trainer's configuration file: which place, and how patient to be."""

from pathlib import Path

from pydantic import Field

from resources.configuration import Configuration, load_configuration, shipped_or_path
from resources.training_jobs.backends import AnyPlace
from resources.training_jobs.local import LocalBackend

CONFIGURATIONS = Path(__file__).parent / "configurations"


class Patience(Configuration):
    """How jobs are watched, whatever the place."""

    tries: int = Field(
        default=5, ge=1, description="Jobs started for one piece of work: interruptions, no capacity, lost nodes."
    )
    retry_seconds: float = Field(
        default=30, gt=0, description="Before the second try; each further wait is twice as long, up to ten minutes."
    )
    poll_seconds: float = Field(default=15, gt=0, le=60, description="Between two looks at a job.")
    silent_minutes: float = Field(
        default=15, gt=0, description="Without a heartbeat for so long, a running job is described, then stopped."
    )
    orphan_minutes: float = Field(
        default=30, gt=0, description="A job whose Dagster run was not heard of for so long ends itself."
    )
    detached: bool = Field(default=False, description="Jobs go on without their Dagster run.")


class TrainerConfiguration(Configuration):
    """The whole file."""

    place: AnyPlace = Field(default=LocalBackend(), description="Where jobs run.")
    patience: Patience = Field(default=Patience(), description="How jobs are watched.")
    usd_per_hour: float | None = Field(default=None, gt=0, description="Price of the machine, for the cost shown.")


def load_trainer_configuration(name_or_path: str) -> TrainerConfiguration:
    """A shipped configuration (`local`) or a YAML file.

    Raises:
        ConfigurationError: every fault of the file at once.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), TrainerConfiguration)
