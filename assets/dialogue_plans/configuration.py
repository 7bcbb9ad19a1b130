"""Plan rules: shares of splits and scenarios, and how an analogy's partner is found."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from resources.configuration import Configuration, load_configuration, shipped_or_path
from resources.identity import stable_hash

CONFIGURATIONS = Path(__file__).parent / "configurations"


class Shares(Configuration):
    """Shares of a whole, which need not add up to one: 1, 1, 1 is a third each."""

    @model_validator(mode="after")
    def _something_is_shared(self) -> Self:
        if not sum(self.parts):
            raise ValueError("all shares are zero; give at least one that is not")
        return self

    @property
    def parts(self) -> tuple[float, ...]:
        """The shares in the order of the fields."""
        return tuple(getattr(self, name) for name in type(self).model_fields)

    @property
    def expected(self) -> dict[str, float]:
        """Field name to share of the whole, adding up to one."""
        return {name: part / sum(self.parts) for name, part in zip(type(self).model_fields, self.parts, strict=True)}


class SplitShares(Shares):
    """Share of the groups of near-duplicates that goes to each split."""

    train: float = Field(default=0.9, ge=0, description="Share of the training split.")
    validation: float = Field(default=0.05, ge=0, description="Share of the validation split.")
    test: float = Field(default=0.05, ge=0, description="Share of the test split.")


class ScenarioShares(Shares):
    """Share of the seeds that goes to each scenario (METHOD: a third each is ours, not the paper's)."""

    error_correction: float = Field(default=1, ge=0, description="Share of error correction.")
    debate: float = Field(default=1, ge=0, description="Share of debate.")
    analogy: float = Field(default=1, ge=0, description="Share of analogy; less where questions have no partner.")


class DebateRounds(Shares):
    """How many rounds students A and B speak before C (METHOD: one or two)."""

    one: float = Field(default=1, ge=0, description="Share of debates of one round.")
    two: float = Field(default=1, ge=0, description="Share of debates of two rounds.")


class PlanRules(Configuration):
    """How seeds are planned. Written plans do not change: other rules apply to new shards only."""

    random_seed: int = Field(default=0, description="Part of every draw; another one draws other plans.")
    splits: SplitShares = SplitShares()
    scenarios: ScenarioShares = ScenarioShares()
    debate_rounds: DebateRounds = DebateRounds()
    neighbours: int = Field(
        default=5, ge=1, le=1000, description="An analogy's partner is drawn from this many most similar questions."
    )
    min_similarity: float = Field(
        default=-1, ge=-1, le=1, description="Least cosine similarity of an analogy's two questions."
    )

    @property
    def identity(self) -> str:
        """Hash of all rules, stored with every plan."""
        return stable_hash("lesson_rules", self.model_dump(mode="json"))  # the first name: existing plans have it


def load_plan_rules(name_or_path: str = "standard") -> PlanRules:
    """The shipped rules of that name, or those in that file.

    Raises:
        ConfigurationError: there are none, they cannot be read, or are not valid; the message names every error.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), PlanRules)
