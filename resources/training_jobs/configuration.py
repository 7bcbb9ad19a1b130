"""The trainer file (`MASTER_TRAINER`): the backend where training jobs run, and how they are watched."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from resources.configuration import Configuration, load_configuration, shipped_or_path
from resources.lake.store import Store
from resources.plugins import ConfigurationGroup
from resources.training_jobs.backend import Backend
from resources.training_jobs.batch import BatchConfiguration
from resources.training_jobs.kubernetes import KubernetesConfiguration
from resources.training_jobs.local import LocalConfiguration
from resources.training_jobs.sagemaker import SageMakerConfiguration

CONFIGURATIONS = Path(__file__).parent / "configurations"
RENAMED_KEYS = {"place": "backend", "patience": "timeouts"}


class BackendConfiguration(Configuration, ABC):
    """A plug-in that runs training jobs elsewhere; its own keys are beside `kind`."""

    several_nodes: ClassVar[bool] = False  # whether a job can have more than one
    kind: str = Field(description="The plug-in's name.")

    @abstractmethod
    def open(self, store: Store, detached: bool) -> Backend:
        """The backend for a lake. `detached`: its jobs outlive the Dagster process that started them."""


TRAINING_BACKENDS = ConfigurationGroup[BackendConfiguration](
    name="master_dagster.training_backends",
    summary="A further `kind` of backend for training jobs, in the trainer's file.",
    contract=BackendConfiguration,
    taken=frozenset({"local", "sagemaker", "batch", "kubernetes"}),
)
# A new backend of this project is one module beside this one, one entry here and one above.
AnyBackend = Annotated[
    LocalConfiguration | SageMakerConfiguration | BatchConfiguration | KubernetesConfiguration,
    Field(discriminator="kind"),
    TRAINING_BACKENDS.validator,
]


class Timeouts(Configuration):
    """How jobs are watched, on every backend."""

    tries: int = Field(
        default=5, ge=1, description="Attempts of one job in one run: interruptions, no capacity, lost machines."
    )
    retry_seconds: float = Field(
        default=30, gt=0, description="Wait before the second attempt; it doubles with each one, up to ten minutes."
    )
    poll_seconds: float = Field(default=15, gt=0, le=60, description="Time between two status requests.")
    silent_minutes: float = Field(
        default=15, gt=0, description="A running job without a heartbeat for this long is stopped and tried again."
    )
    orphan_minutes: float = Field(
        default=30, gt=0, description="A job whose Dagster run gives no sign of life for this long ends itself."
    )
    detached: bool = Field(
        default=False, description="Jobs continue when their Dagster process dies; cancelling the run still stops them."
    )


class TrainerConfiguration(Configuration):
    """The whole file."""

    backend: AnyBackend = Field(default=LocalConfiguration(), description="Where jobs run.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How jobs are watched.")
    usd_per_hour: float | None = Field(
        default=None, gt=0, description="Price of the machines of one job together, for `spending` and the cost shown."
    )

    @model_validator(mode="before")
    @classmethod
    def _names_renamed_keys(cls, content: Any) -> Any:
        renamed = [key for key in RENAMED_KEYS if isinstance(content, Mapping) and key in content]
        if renamed:
            raise ValueError("; ".join(f"the key `{key}` is now called `{RENAMED_KEYS[key]}`" for key in renamed))
        return content


def load_trainer_configuration(name_or_path: str) -> TrainerConfiguration:
    """A shipped configuration (`local`) or a YAML file.

    Raises:
        ConfigurationError: the file is wrong; the message names every fault.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), TrainerConfiguration)
