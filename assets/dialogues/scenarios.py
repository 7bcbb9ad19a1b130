"""The three scenarios by name: their scripts, and which roles and prompts each uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assets.dialogues import analogy, debate, error_correction
from assets.dialogues.steps import Script
from assets.dialogues.task import DialogueTask
from assets.framework.partitions import Scenario
from resources.chat.profile import Role


@dataclass(frozen=True)
class ScenarioSteps:
    """How a scenario is played, and what playing it depends on."""

    play: Callable[[DialogueTask], Script]
    prompts: Mapping[Role, tuple[str, ...]]  # every role that is asked, and the prompt files of its part

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role that a model is asked for."""
        return tuple(self.prompts)

    @property
    def prompt_names(self) -> tuple[str, ...]:
        """Every prompt file that is read, ordered by name."""
        return tuple(sorted({name for names in self.prompts.values() for name in names}))


SCENARIOS: Mapping[Scenario, ScenarioSteps] = {
    Scenario.ERROR_CORRECTION: ScenarioSteps(error_correction.error_correction, error_correction.PROMPTS),
    Scenario.DEBATE: ScenarioSteps(debate.debate, debate.PROMPTS),
    Scenario.ANALOGY: ScenarioSteps(analogy.analogy, analogy.PROMPTS),
}
