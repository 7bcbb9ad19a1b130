"""Makes variants over the tiny lake, with models on loopback and made-up gradient features."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import Release
from assets.framework.scenarios.scenario import Scenarios
from assets.training_programs.gradients.specification import GradientModel
from assets.training_sets.chain_of_thought import answer_seeds
from assets.training_sets.configuration import ComparisonRules, CoresetRules
from assets.training_sets.gradient_features import FEATURE_SETS, publish_features
from assets.training_sets.makers import VariantContext, make_variant
from assets.training_sets.variants import TrainingSet
from resources.chat.profile import Endpoint, Profile, load_profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService
from resources.lake.published_folders import MANIFEST, publish
from resources.progress import Update
from resources.training_jobs.job import TrainingJob
from tests.fake_endpoint import FakeEndpoint
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake

DIMENSIONS = 8


@dataclass
class VariantMaker:
    """Makes variants of the tiny lake's release, after what they read. It also stands for the job launcher."""

    tiny: TinyLake
    endpoint: FakeEndpoint | None
    rules: ComparisonRules
    release_rules: ReleaseRules = field(default_factory=ReleaseRules)
    retracted: frozenset[str] = frozenset()
    update: Update = lambda done, total, detail="", parts=tuple, share=None: None
    change_profile: Callable[[Profile], Profile] = lambda profile: profile
    features: Callable[[int], Any] = lambda rows: np.eye(rows, DIMENSIONS) + 0.1
    jobs: list[TrainingJob] = field(default_factory=list)
    made_release: Release | None = None
    scenarios: Scenarios = field(default_factory=lambda: SCENARIOS)

    @property
    def release(self) -> Release:
        """The release of the tiny lake, made at the first use."""
        self.made_release = self.made_release or self.tiny.release()
        return self.made_release

    @property
    def chat(self) -> ChatService:
        """Models behind the fake endpoint, asked again without waiting."""
        address = self.endpoint.base_url if self.endpoint else "http://127.0.0.1:9/v1"
        profile = load_profile("laptop").model_copy(update={"endpoints": {"embedded": Endpoint(base_url=address)}})
        quick = RetryPolicy(attempts=2, first_wait=0.001, longest_wait=0.001)
        return ChatService(self.change_profile(profile), self.tiny.lake.store, retries=quick)

    @property
    def context(self) -> VariantContext:
        """What the variants are made with."""
        profile = self.chat.profile
        return VariantContext(
            self.tiny.lake, self.release, self.scenarios, self.rules, self.release_rules, self.retracted, profile
        )

    def run(self, context: Any, job: TrainingJob) -> None:
        """Write features as the program does, and remember the job."""
        if self.tiny.lake.store.exists(f"{job.folder}/{MANIFEST}"):
            return
        self.jobs.append(job)
        with TemporaryDirectory() as name:
            found = self.features(job.specification["data"]["rows"])
            np.save(Path(name) / "features.npy", np.asarray(found, dtype=np.float16))
            publish(self.tiny.lake.store, Path(name), job.folder, {"id": job.specification["id"]})

    def make(self, variant: str) -> TrainingSet:
        """Make one variant."""
        if variant == "cot":
            answer_seeds(self.tiny.lake, self.release, self.chat, self.rules.cot, self.update)
        if variant == "tagcos":
            pool = self.context.pool(variant)
            run = FEATURE_SETS.begin(self.tiny.lake)
            publish_features(run, self.release, pool, self.rules.tagcos, lambda job: self.run(None, job))
        return make_variant(self.context, variant)

    def rows(self, variant: str) -> pl.DataFrame:
        """Make one variant and read its rows."""
        made = self.make(variant)
        return pl.concat([pl.read_parquet(self.tiny.lake.store.uri(path)) for path in made.files("data/")])

    def row(self, variant: str, name: str) -> dict[str, Any]:
        """Make one variant and read the row of one seed."""
        rows = self.rows(variant)
        return dict(rows.row(by_predicate=pl.col("seed_id") == self.tiny.dialogues[name].seed_id, named=True))

    def change_rules(self, part: str, **values: Any) -> None:
        """Change a part of the comparison rules, such as `tagcos`."""
        changed = getattr(self.rules, part).model_copy(update=values)
        self.rules = self.rules.model_copy(update={part: changed})


@pytest.fixture(scope="session")
def maker_of() -> Callable[..., VariantMaker]:
    """Opens a maker over a lake, with small features; without an endpoint there are no models."""

    def make(tiny: TinyLake, endpoint: FakeEndpoint | None = None) -> VariantMaker:
        coreset = CoresetRules(clusters=2, features=GradientModel(dimensions=DIMENSIONS))
        return VariantMaker(tiny, endpoint, ComparisonRules(tagcos=coreset))

    return make


@pytest.fixture
def maker(tiny_lake: TinyLake, fake_endpoint: FakeEndpoint, maker_of: Callable[..., VariantMaker]) -> VariantMaker:
    """A maker over the tiny lake, with models on loopback."""
    return maker_of(tiny_lake, fake_endpoint)
