"""The graph as a component, for the Dagster project of a team: `dg scaffold defs master_dagster.BoostQA <folder>`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import Component, ComponentLoadContext, Definitions, Model, Resolvable, Scaffolder, scaffold_with
from dagster.components.component_scaffolding import scaffold_component
from dagster.components.scaffold.scaffold import ScaffoldRequest
from pydantic import Field, ValidationError

from master_dagster.deployment import Deployment, load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings import Settings
from resources.configuration import ConfigurationError, describe_faults, fault_list


class BoostQAScaffolder(Scaffolder):
    """Writes `defs.yaml` with the settings that nearly every project changes."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the file."""
        scaffold_component(request, {"settings": {"seeds": "demo", "profile": "laptop", "lake_root": "data"}})


@scaffold_with(BoostQAScaffolder)
class BoostQA(Component, Model, Resolvable):
    """From question-answer data to BOOST-QA releases, checkpoints and scores: the whole graph of MASTER on Dagster."""

    settings: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Settings by their names in docs/configuration.md, in small letters and without MASTER_. What is "
        "left out comes from the environment. Relative paths start at the project's folder.",
    )

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """The graph with these settings."""
        return build_definitions(configured(self.settings, context.project_root))


def configured(settings: Mapping[str, Any], folder: Path) -> Deployment:
    """The deployment of a component's settings, with the paths of its project's folder.

    Raises:
        ConfigurationError: names every wrong setting, or every fault of the files that they name.
    """
    if unknown := sorted(set(settings) - set(Settings.model_fields)):
        raise ConfigurationError(f"no setting is called {', '.join(unknown)}: see docs/configuration.md")
    try:
        valid = Settings(**settings)
    except ValidationError as error:
        faults = describe_faults(error, Settings)
        raise ConfigurationError(fault_list("the settings are not valid:", faults)) from None
    return load_deployment(valid.in_folder(folder))
