"""A trainer's configuration file: which place, and how patient to be."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from resources.configuration import Configuration, load_configuration, shipped_or_path

CONFIGURATIONS = Path(__file__).parent / "configurations"


class Patience(Configuration):
    """How jobs are watched, whatever the place."""

    tries: int = Field(default=5, ge=1, description="Jobs started for one piece of work: interruptions, lost nodes.")
    poll_seconds: float = Field(default=15, gt=0, description="Between two looks at a job.")
    silent_minutes: float = Field(
        default=15, gt=0, description="Without a heartbeat for so long, a running job is described, then stopped."
    )
    orphan_minutes: float = Field(
        default=30, gt=0, description="A job whose Dagster run was not heard of for so long ends itself."
    )
    detached: bool = Field(default=False, description="Jobs go on without their Dagster run.")


class LocalPlace(Configuration):
    """This machine."""

    kind: Literal["local"] = "local"


class SageMakerPlace(Configuration):
    """SageMaker training jobs."""

    kind: Literal["sagemaker"]


class BatchPlace(Configuration):
    """AWS Batch container jobs."""

    kind: Literal["batch"]


class TrainerConfiguration(Configuration):
    """The whole file."""

    place: Annotated[LocalPlace | SageMakerPlace | BatchPlace, Field(discriminator="kind")]
    patience: Patience = Patience()
    usd_per_hour: float | None = Field(default=None, gt=0, description="Price of the machine, for the cost shown.")


def load_trainer_configuration(name_or_path: str) -> TrainerConfiguration:
    """A shipped configuration (`local`) or a YAML file.

    Raises:
        ConfigurationError: every fault of the file at once.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), TrainerConfiguration)
