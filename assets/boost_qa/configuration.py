"""Release rules: what a BOOST-QA release must cover, what it is screened against, how large its files are."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from resources.configuration import Configuration, RelativeAddress, load_configuration, shipped_or_path

CONFIGURATIONS = Path(__file__).parent / "configurations"


Loss = Literal["all", "final", "unless_wrong"]


class Benchmark(Configuration):
    """A file of test questions that no release may contain."""

    name: str = Field(min_length=1, description="How removals name it.")
    path: RelativeAddress = Field(
        min_length=1, description="JSONL, JSON, CSV or Parquet, plain, .gz or .zst; relative to this file, or s3://."
    )
    question: tuple[str, ...] = Field(
        min_length=1, description="Fields that form the question; several are joined with a line break."
    )


class ReleaseRules(Configuration):
    """What a release takes, and when it is refused."""

    name: str = Field(default="boost_qa", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name in dataset_info.json.")
    pretty_name: str = Field(default="BOOST-QA", min_length=1, description="Title of the dataset card.")
    minimum_coverage: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Smallest share of the dialogue plans that must be in current partitions that passed.",
    )
    take_stale: bool = Field(
        default=False,
        description="Whether to take partitions of the same profile that other prompts or rules made.",
    )
    loss: Loss = Field(
        default="all",
        description="Which of the turns that a scenario trains carry loss: `all`; `final`, the last one only; or "
        "`unless_wrong`, all whose final answer was not found to be wrong.",
    )
    minimum_rows: int = Field(
        default=1, ge=1, description="Smallest number of rows; a smaller release is not published."
    )
    benchmarks: tuple[Benchmark, ...] = Field(
        default=(), description="The benchmarks that the release is screened against."
    )
    contamination_words: int = Field(
        default=13, ge=3, description="A dialogue with so many consecutive words of a benchmark question is removed."
    )
    near_duplicate_similarity: float = Field(
        default=0.8, gt=0, le=1, description="Two questions of at least this Jaccard similarity are near-duplicates."
    )
    maximum_false_pass: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="A release is refused unless `judge_calibration` shows, by the upper end of a 95 % interval, that "
        "the judge passes at most this share of planted faults. By default no calibration is needed.",
    )
    minimum_scenario_share: float = Field(
        default=0.1, ge=0, le=1, description="A check warns if a scenario has a smaller share of the rows."
    )
    shard_bytes: int = Field(default=256_000_000, ge=1, description="Size at which a Parquet file is closed.")


def load_release_rules(name_or_path: str) -> ReleaseRules:
    """The shipped rules of that name, or those in that file.

    Raises:
        ConfigurationError: see `load_configuration`.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), ReleaseRules)
