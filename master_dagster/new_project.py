"""The files of a new project: a folder in which every command works on a user's own questions and models."""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from resources.chat.profile import PROFILES, Profile, load_profile
from resources.chat.role_model import RoleModel
from resources.configuration import ConfigurationError, validate

FILES = Path(__file__).parent / "project_files"
TEMPLATES = {  # path in the project: template
    "seeds.yaml": "seeds.yaml.jinja",
    "profile.yaml": "profile.yaml.jinja",
    ".env": "env.jinja",
    ".dagster/dagster.yaml": "dagster.yaml",
    "definitions.py": "definitions.py.jinja",
    "pyproject.toml": "pyproject.toml.jinja",
    ".gitignore": "gitignore.jinja",
    "README.md": "README.md.jinja",
}
EMBEDDED = "laptop"  # the shipped profile with the embedded model
PATTERN = "hosted"  # the shipped profile whose roles, temperatures and token limits a profile of an endpoint takes


@dataclass(frozen=True)
class ModelChoice:
    """The models of a new project.

    Attributes:
        endpoint: address of an OpenAI-compatible endpoint, up to and including `/v1`; None: the embedded model.
        model: the model's name at the endpoint.
        key_variable: the environment variable that holds the key; None where the endpoint takes none.
        weak_model: for students that should make mistakes; None: `model`.
        judge_model: for the judges; None: `model`.
        embedding_model: for finding similar questions, at the same endpoint; None: the embedded one.
    """

    endpoint: str | None = None
    model: str | None = None
    key_variable: str | None = None
    weak_model: str | None = None
    judge_model: str | None = None
    embedding_model: str | None = None


def check_folder(folder: Path) -> None:
    """Check that a project can be written into a folder.

    Raises:
        ConfigurationError: a file of the project exists already, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file: name a folder")
    existing = [path for path in TEMPLATES if (folder / path).exists()]
    if existing:
        raise ConfigurationError(
            f"{folder.absolute()} has {' and '.join(existing[:2])} already, and init overwrites no file: name another "
            "folder, such as `master-dagster init my-project --from …`"
        )


def source_name(given: str, taken: Sequence[str]) -> str:
    """A source's name from its file or dataset, such as `my_questions`, different from those that are taken."""
    stem = given.rstrip("/").rpartition("/")[2].partition(".")[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.casefold()).strip("_")[:50] or "questions"
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def seeds_text(folder: Path, sources: Sequence[Mapping[str, Any]]) -> str:
    """The seeds configuration. Local files are named relative to the folder that they have in common.

    Args:
        folder: the project.
        sources: each as in the configuration, with absolute paths.
    """
    local = [file for source in sources for file in source.get("files") or [] if "://" not in file]
    common = os.path.commonpath([Path(file).parent for file in local]) if local else str(folder.absolute())
    within = Path(common).is_relative_to(folder.absolute())
    shown = os.path.relpath(common, folder.absolute()) if within else common
    relative = [
        {
            **source,
            "files": [file if "://" in file else os.path.relpath(file, common) for file in source.get("files") or []],
        }
        for source in sources
    ]
    return render("seeds.yaml.jinja", folder="" if shown == "." else shown, sources=relative)


def profile_text(choice: ModelChoice) -> str:
    """The profile.

    Raises:
        ConfigurationError: an endpoint without a model's name, or one of the values is not valid.
    """
    if choice.endpoint is None:
        shipped = (PROFILES / f"{EMBEDDED}.yaml").read_text(encoding="utf-8")
        return (
            f"# Which model plays which role. Written by `master-dagster init`; docs/models.md has others.\n{shipped}"
        )
    if not choice.model:
        raise ConfigurationError("the endpoint's model is not known: name it with --model")
    pattern = load_profile(PATTERN).roles
    names = {
        pattern["weak_student"].model: choice.weak_model,
        pattern["judge"].model: choice.judge_model,
    }
    roles = {name: {"model": names.get(role.model) or choice.model} | _sampling(role) for name, role in pattern.items()}
    embedder = (
        {"kind": "openai", "endpoint": "own", "model": choice.embedding_model}
        if choice.embedding_model
        else {"kind": "embedded", "model": "all-MiniLM-L6-v2"}
    )
    return render(
        "profile.yaml.jinja",
        description=f"{choice.model} at {choice.endpoint}.",
        endpoint=choice.endpoint,
        key_variable=choice.key_variable,
        model=choice.model,
        roles=roles,
        embedder=embedder,
    )


def _sampling(role: RoleModel) -> dict[str, Any]:
    return {"temperature": role.temperature, "max_tokens": role.max_tokens}


def check_profile(text: str) -> str:
    """The text of a profile as it is.

    Raises:
        ConfigurationError: it is not valid; the message names every fault.
    """
    validate(yaml.safe_load(text), Profile, "these models cannot be used:", Path())
    return text


def write_project(folder: Path, seeds: str, profile: str, key_variable: str | None, names: str) -> list[str]:
    """Write every file of a project. None of them may exist.

    Args:
        folder: made where it does not exist.
        seeds: the seeds configuration.
        profile: the profile.
        key_variable: the variable of the endpoint's key, if it takes one.
        names: what the project is made from, for its README.

    Returns:
        The paths that were written, relative to the folder.

    Raises:
        ConfigurationError: a file exists, or the folder cannot be written.
    """
    check_folder(folder)
    values = {"folder": folder.absolute(), "key_variable": key_variable, "names": names}
    given = {"seeds.yaml": seeds, "profile.yaml": profile}
    try:
        for path, template in TEMPLATES.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600 if path == ".env" else 0o666, exist_ok=False)  # a key will be in .env
            target.write_text(given[path] if path in given else render(template, **values), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder.absolute()} cannot be written: {error}") from error
    return list(TEMPLATES)


def render(template: str, **values: Any) -> str:
    """The text of a file of the project."""
    environment = Environment(  # noqa: S701 - YAML and Markdown, no HTML
        loader=FileSystemLoader(FILES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _in_yaml
    return environment.get_template(template).render(values)


def _in_yaml(value: object) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def embedded_model_is_installed() -> bool:
    """Whether the `local` extra is installed, which the embedded model needs."""
    return importlib.util.find_spec("xllamacpp") is not None
