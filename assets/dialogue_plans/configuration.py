"""Plan rules: shares of splits and scenarios, and how a similar question is found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator

from assets.framework.scenarios.scenario import Scenario, Scenarios
from resources.configuration import (
    Configuration,
    ConfigurationError,
    fault_list,
    load_configuration,
    shipped_or_path,
    unknown_name,
)
from resources.identity import stable_hash

Item = TypeVar("Item")
CONFIGURATIONS = Path(__file__).parent / "configurations"


class SplitShares(Configuration):
    """Share of the groups of near-duplicates that goes to each split. They need not add up to one."""

    train: float = Field(default=0.9, ge=0, description="Share of the training split.")
    validation: float = Field(default=0.05, ge=0, description="Share of the validation split.")
    test: float = Field(default=0.05, ge=0, description="Share of the test split.")

    @model_validator(mode="after")
    def _something_is_shared(self) -> Self:
        if not sum(self.shares.values()):
            raise ValueError("all shares are zero; give at least one that is not")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Split to share."""
        return self.model_dump()


def of_the_whole(shares: Mapping[Item, float]) -> dict[Item, float]:
    """Shares that add up to one."""
    return {name: share / sum(shares.values()) for name, share in shares.items()}


class PlanRules(Configuration):
    """How seeds are planned. Written plans do not change: other rules apply to new shards only."""

    random_seed: int = Field(default=0, description="Part of every draw; another one draws other plans.")
    splits: SplitShares = SplitShares()
    scenarios: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="Share of the seeds by scenario, where it is not the one that it declares."
    )
    repetitions: dict[str, dict[int, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="By scenario, the share of each number that is drawn for its plans, where it is not as declared.",
    )
    neighbours: int = Field(
        default=5, ge=1, le=1000, description="A similar question is drawn from this many most similar ones."
    )
    min_similarity: float = Field(
        default=-1, ge=-1, le=1, description="Least cosine similarity of a question and its similar question."
    )

    @property
    def identity(self) -> str:
        """Hash of all rules, stored with every plan."""
        return stable_hash("lesson_rules", self.model_dump(mode="json"))  # the first name: existing plans have it

    def scenario_shares(self, scenarios: Scenarios) -> dict[str, float]:
        """Scenario to share of the whole, adding up to one, in the order of the scenarios."""
        return of_the_whole(
            {name: self.scenarios.get(name, scenario.declaration.share) for name, scenario in scenarios.items()}
        )

    def draw(self, scenario: Scenario) -> tuple[str, dict[int, float]] | None:
        """The number that is drawn for a plan of this scenario: the draw's name and the share of each value."""
        if scenario.repetitions is None:
            return None
        name, declared = scenario.repetitions
        return name, dict(self.repetitions.get(scenario.name, declared))

    def check_scenarios(self, scenarios: Scenarios) -> None:
        """Raise ConfigurationError if the rules name a scenario or a number that is not there, or share nothing."""
        faults = [
            f"{key}.{name}: {unknown_name('scenario', name, scenarios)}"
            for key, named in (("scenarios", self.scenarios), ("repetitions", self.repetitions))
            for name in named
            if name not in scenarios
        ]
        faults += [
            f"repetitions.{name}: the scenario draws the numbers {', '.join(map(str, declared)) or 'none'}"
            for name, given in self.repetitions.items()
            if name in scenarios and not set(given) <= set(declared := (scenarios[name].repetitions or ("", {}))[1])
        ]
        if all(scenario.needs_partner for scenario in scenarios.values()):
            faults.append("every scenario needs a similar question; add one that needs none, for seeds without any")
        faults += [
            f"repetitions.{name}: all shares are zero"
            for name, given in self.repetitions.items()
            if not sum(given.values())
        ]
        if not faults and not any(self.scenarios.get(name, one.declaration.share) for name, one in scenarios.items()):
            faults.append("scenarios: all shares are zero; give at least one that is not")
        if faults:
            raise ConfigurationError(fault_list("the plan rules do not fit the scenarios:", faults))


def load_plan_rules(name_or_path: str = "standard") -> PlanRules:
    """The shipped rules of that name, or those in that file.

    Raises:
        ConfigurationError: there are none, they cannot be read, or are not valid; the message names every error.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), PlanRules)
