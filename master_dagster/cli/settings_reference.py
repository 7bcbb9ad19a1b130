"""docs/configuration.md, from the settings and the models of the configuration files."""

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from assets.boost_qa.configuration import ReleaseRules
from assets.dialogue_plans.configuration import PlanRules
from assets.evaluation.configuration import Benchmarks
from assets.quality.configuration import QualityRules
from assets.seeds.configuration import SeedsConfiguration
from assets.training_programs.recipe import Training
from assets.training_sets.configuration import ComparisonRules
from master_dagster.deployment import PLUGIN_GROUPS
from master_dagster.settings import Settings
from resources.chat.profile import Profile
from resources.model_servers.tuned.configuration import Serving
from resources.plugins import ConfigurationGroup, path_of
from resources.training_jobs.configuration import TrainerConfiguration

PROJECT = Path(__file__).parents[2]
INTRODUCTION = """\
# Configuration

Written by `make docs` from the code; edit the descriptions there.

Settings come from environment variables or from the file `.env` in the project's folder. Those that name a file take
the bare name of a shipped file or the path of your own. Everything is read and checked when the code location is
loaded; all errors in all files are reported at once. Keys are never settings: a profile names the environment variable
that holds one.

The project's folder is the one that the environment variable `MASTER_PROJECT` names; without it, the nearest folder,
from the working directory upwards, whose `.env` has settings (`MASTER_…`); without such a file, the clone. `.env` is
read there, and relative paths of settings start there, so commands work in every folder.

`make` writes one line of Dagster's own into `.env`: `DAGSTER_HOME`, the instance that the UI, the schedules and the
command line share. For Dagster's commands, a line in `.env` takes precedence over the environment. They read `.env` in
the working directory only: in another folder, set `DAGSTER_HOME` for them, or they refuse.

An empty default means: not set.
"""

PLUGINS = """\
## Plug-ins

Other distributions can add to these groups of entry points; [Plug-ins](plugins.md) shows how to write one.
`master-dagster plugins` lists those that are installed.
"""

FILES: Mapping[str, tuple[str, type[BaseModel], str]] = {
    "MASTER_SEEDS": ("The seeds configuration", SeedsConfiguration, "assets/seeds/configurations/"),
    "MASTER_PROFILE": ("A profile", Profile, "resources/chat/profiles/"),
    "MASTER_PLAN_RULES": ("The plan rules", PlanRules, "assets/dialogue_plans/configurations/"),
    "MASTER_QUALITY_RULES": ("The quality rules", QualityRules, "assets/quality/configurations/"),
    "MASTER_RELEASE_RULES": ("The release rules", ReleaseRules, "assets/boost_qa/configurations/"),
    "MASTER_COMPARISON_RULES": ("The comparison rules", ComparisonRules, "assets/training_sets/configurations/"),
    "MASTER_TRAINING": ("Base models and recipe", Training, "assets/training_programs/configurations/"),
    "MASTER_TRAINER": ("The trainer", TrainerConfiguration, "resources/training_jobs/configurations/"),
    "MASTER_BENCHMARKS": ("Benchmarks", Benchmarks, "assets/evaluation/configurations/"),
    "MASTER_SERVED": ("Models under test", Serving, "resources/model_servers/tuned/configurations/"),
}


def document() -> str:
    """The whole page as Markdown."""
    lines = [INTRODUCTION, "## Settings", "", *_table(Settings, prefix="MASTER_")]
    for setting, (title, model, folder) in FILES.items():
        shipped = ", ".join(f"`{file.stem}`" for file in sorted((PROJECT / folder).glob("*.yaml")))
        lines += ["", f"## {title} (`{setting}`)", "", f"Shipped: {shipped}, in `{folder}`.", ""]
        shown: set[type[BaseModel]] = set()
        for name, nested in _with_nested(model, title):
            if nested not in shown:
                lines += [f"### {name}", ""] if nested is not model else []
                lines += [*_table(nested), ""]
            shown.add(nested)
    return "\n".join([*lines, "", *_plugins()]).rstrip() + "\n"


def _plugins() -> list[str]:
    """The groups of plug-ins, and the installed plug-ins with their keys."""
    lines = [PLUGINS]
    for group in PLUGIN_GROUPS:
        form = "a subclass of" if isinstance(group, ConfigurationGroup) else "an object of"
        lines.append(f"- `{group.name}`: {group.summary} It is {form} `{path_of(group.contract)}`.")
    for group in PLUGIN_GROUPS:
        for name, plugin in group.plugins.items():
            lines += ["", f"### `{name}` ({group.name})", "", f"{group.describe(plugin.value)} From {plugin.origin}."]
            if isinstance(group, ConfigurationGroup):
                lines += ["", *_table(plugin.value)]
    return lines


def _table(model: type[BaseModel], prefix: str = "") -> list[str]:
    lines = ["| key | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        key = f"{prefix}{name.upper()}" if prefix else name
        meaning = (field.description or _first_line(_model_in(field.annotation))).replace("|", "\\|")
        lines.append(f"| `{key}` | {_kind(field.annotation)} | {_default(field)} | {meaning} |")
    return lines


def _with_nested(model: type[BaseModel], title: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield title, model
    for name, field in model.model_fields.items():
        for nested in _models_in(field.annotation):
            yield from _with_nested(nested, f"`{name}`: {_first_line(nested)}")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models among the types of a field, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return next(iter(_models_in(annotation)), None)


def _first_line(model: type[BaseModel] | None) -> str:
    return (model.__doc__ or "").strip().splitlines()[0] if model else ""


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is dict:
        return "mappings by name, below" if _models_in(arguments[1]) else "mapping"
    if origin is not None:
        return "list of mappings, below" if _model_in(arguments[0]) else f"list of {_kind(arguments[0])}s"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping, below"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "`true` or `false`", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    if value is PydanticUndefined or value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value or value == 0 else ""


if __name__ == "__main__":
    typer.echo(document(), nl=False)
