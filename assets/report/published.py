"""The paper's figures, read from `published.yaml`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from resources.configuration import Configuration, load_configuration


class PublishedBase(Configuration):
    """Of one base model, in percent: averages by variant, and each benchmark in the order of the columns."""

    title: str
    averages: dict[str, float]
    benchmarks: dict[str, tuple[float, ...]] = Field(default_factory=dict)


class FurtherGains(Configuration):
    """Of the further multiple choice: gains of BOOST-QA over the seeds, in percentage points."""

    columns: tuple[str, ...]
    best_gain: float
    mean_gain: float


class Published(Configuration):
    """The whole file."""

    source: str
    seeds: int
    procedural_errors: float
    length_column: str
    columns: tuple[str, ...]
    bases: dict[str, PublishedBase]
    further: FurtherGains

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, base in self.bases.items():
            for variant, figures in base.benchmarks.items():
                if len(figures) != len(self.columns):
                    raise ValueError(f"{name}, {variant}: {len(figures)} figures for {len(self.columns)} columns")
        return self

    def beside(self, base: str) -> PublishedBase:
        """The figures to show beside a base model: its own, or where the paper has none those of its first model."""
        return self.bases.get(base) or next(iter(self.bases.values()))

    @property
    def smallest_gain(self) -> float:
        """The smallest gain of BOOST-QA over the seeds that the paper reports, over its base models; a share."""
        return min(base.averages["boost_qa"] - base.averages["ori"] for base in self.bases.values()) / 100


def load_published() -> Published:
    """The figures in `published.yaml`."""
    return load_configuration(Path(__file__).with_name("published.yaml"), Published)
