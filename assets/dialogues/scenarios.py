"""The three scenarios by name: their steps, and which roles and prompts each uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assets.dialogues import analogy, debate, error_correction
from assets.dialogues.steps import Steps
from assets.dialogues.task import DialogueTask
from assets.framework.partitions import Scenario
from resources.chat.profile import Role


@dataclass(frozen=True)
class ScenarioDefinition:
    """The steps of a scenario, and the prompts by role that they use."""

    steps: Callable[[DialogueTask], Steps]
    prompts: Mapping[Role, tuple[str, ...]]  # every role that calls a model, and the names of its prompt files

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role that calls a model."""
        return tuple(self.prompts)

    @property
    def prompt_names(self) -> tuple[str, ...]:
        """Every prompt file that is used, ordered by name."""
        return tuple(sorted({name for names in self.prompts.values() for name in names}))


SCENARIOS: Mapping[Scenario, ScenarioDefinition] = {
    Scenario.ERROR_CORRECTION: ScenarioDefinition(error_correction.error_correction, error_correction.PROMPTS),
    Scenario.DEBATE: ScenarioDefinition(debate.debate, debate.PROMPTS),
    Scenario.ANALOGY: ScenarioDefinition(analogy.analogy, analogy.PROMPTS),
}
