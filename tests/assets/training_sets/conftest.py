"""A workshop over the tiny lake, with models on loopback and gradients that tests make up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.boost_qa.configuration import ReleaseRules
from assets.training_sets.configuration import ComparisonRules, CoresetModel, CoresetRules
from assets.training_sets.makers import VariantContext, make_variant
from assets.training_sets.variants import TrainingSet
from resources.chat.profile import Endpoint, Profile, load_profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService
from resources.lake.published_folders import publish
from resources.lake.tables import Lake
from resources.progress import Update
from resources.training_jobs.job import TrainingJob
from tests.fake_endpoint import FakeEndpoint
from tests.tiny_lake import TinyLake

DIMENSIONS = 8


def on_loopback(base_url: str) -> Profile:
    """The laptop's profile with every role at one address."""
    return load_profile("laptop").model_copy(update={"endpoints": {"embedded": Endpoint(base_url=base_url)}})


@dataclass
class Compute:
    """Leaves gradients as the program does, made up row by row; counts how often it was asked."""

    lake: Lake
    features: Callable[[int], Any] = lambda rows: np.eye(rows, DIMENSIONS) + 0.1
    asked: list[TrainingJob] = field(default_factory=list)

    def __call__(self, work: TrainingJob) -> None:
        self.asked.append(work)
        with TemporaryDirectory() as name:
            found = self.features(work.specification["data"]["rows"])
            np.save(Path(name) / "features.npy", np.asarray(found, dtype=np.float16))
            publish(self.lake.store, Path(name), work.folder, {"kind": "features"})


@dataclass
class Studio:
    """Makes variants of the tiny lake's release."""

    tiny: TinyLake
    endpoint: FakeEndpoint | None
    rules: ComparisonRules
    compute: Compute
    release_rules: ReleaseRules = field(default_factory=ReleaseRules)
    retracted: frozenset[str] = frozenset()
    release: Any = None
    told: set[str] = field(default_factory=set)  # the variants that Dagster was told of
    update: Update = lambda done, total, detail="", parts=tuple: None
    profile: Callable[[Profile], Profile] = lambda profile: profile  # changes the cast

    @property
    def chat(self) -> ChatService:
        """Models behind the fake endpoint, asked again without waiting."""
        quick = RetryPolicy(attempts=2, first_wait=0.001, longest_wait=0.001)
        address = self.endpoint.base_url if self.endpoint else "http://127.0.0.1:9/v1"
        return ChatService(self.profile(on_loopback(address)), self.tiny.lake.store, retries=quick)

    def make(self, variant: str) -> TrainingSet:
        """Make one, of the release at the first call."""
        self.release = self.release or self.tiny.release()
        workshop = VariantContext(
            self.tiny.lake,
            self.release,
            self.rules,
            self.release_rules,
            self.retracted,
            self.chat,
            self.compute,
            self.update,
            lambda line: None,
        )
        return make_variant(workshop, variant)

    def rows(self, variant: str) -> pl.DataFrame:
        """Make one and read it."""
        made = self.make(variant)
        return pl.concat([pl.read_parquet(self.tiny.lake.store.uri(path)) for path in made.files("data/")])

    def seed_id(self, name: str) -> str:
        """Of one that was taught."""
        return self.tiny.taught[name].seed_id


@pytest.fixture(scope="session")
def studio_of() -> Callable[..., Studio]:
    """Makes one over a lake, with small gradients; without models, where there is no endpoint."""

    def make(tiny: TinyLake, endpoint: FakeEndpoint | None = None) -> Studio:
        coreset = CoresetRules(clusters=2, features=CoresetModel(dimensions=DIMENSIONS))
        return Studio(tiny, endpoint, ComparisonRules(tagcos=coreset), Compute(tiny.lake))

    return make


@pytest.fixture
def studio(tiny_lake: TinyLake, fake_endpoint: FakeEndpoint, studio_of: Callable[..., Studio]) -> Studio:
    """The tiny lake's, with models on loopback."""
    return studio_of(tiny_lake, fake_endpoint)
