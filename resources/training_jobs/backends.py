"""Every place that a trainer's configuration may name. A new one is a file beside this one and its line here.

A place's file holds its part of the configuration, with `kind` and `open(store, detached)`, which gives the `Backend`.
"""

from typing import Annotated

from pydantic import Field

from resources.training_jobs.batch import BatchBackend
from resources.training_jobs.local import LocalBackend
from resources.training_jobs.sagemaker import SageMakerBackend

AnyPlace = Annotated[LocalBackend | SageMakerBackend | BatchBackend, Field(discriminator="kind")]
