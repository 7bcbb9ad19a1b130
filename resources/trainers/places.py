"""Every place that a trainer's configuration may name. A new one is a file beside this one and its line here.

A place's file holds its part of the configuration, with `kind` and `open(store, detached)`, which gives the `Place`.
"""

from typing import Annotated

from pydantic import Field

from resources.trainers.batch import BatchPlace
from resources.trainers.local import LocalPlace
from resources.trainers.sagemaker import SageMakerPlace

AnyPlace = Annotated[LocalPlace | SageMakerPlace | BatchPlace, Field(discriminator="kind")]
