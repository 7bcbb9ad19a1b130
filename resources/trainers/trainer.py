"""A trainer: a place and how patient to be with it. It takes a piece of work to its manifest, whatever happens."""

from typing import TYPE_CHECKING

from resources.store import Store
from resources.trainers.configuration import TrainerConfiguration
from resources.trainers.place import Place
from resources.trainers.work import Work

if TYPE_CHECKING:
    from dagster import AssetExecutionContext


class TrainingFailed(RuntimeError):
    """The work was not done. The message holds the reason and the job's last lines."""


class Trainer:
    """Launches work, or joins what runs already, and waits until it is done."""

    def __init__(self, configuration: TrainerConfiguration, store: Store, place: Place) -> None:
        self.configuration = configuration
        self.store = store
        self.place = place

    @property
    def image(self) -> str:
        """What runs the program: the image's address, or `local` for this environment."""
        raise NotImplementedError

    def train(self, context: "AssetExecutionContext", work: Work) -> None:
        """Return when `<work.folder>/manifest.json` is there.

        A job of the same work that runs already is joined. One that was interrupted, or lost, is started again while
        tries are left. When Dagster ends this step (UI, SIGINT, SIGTERM), the job is stopped, and only then does this
        return.

        Raises:
            TrainingFailed: it failed by its own fault, or too often by others'; the message says which.
            PlaceError: the place refuses or cannot be reached.
            StoreError: the lake cannot be used.
        """
        raise NotImplementedError


def open_trainer(configuration: TrainerConfiguration, store: Store) -> Trainer:
    """The trainer of a configuration. Nothing is called before work is launched."""
    raise NotImplementedError
