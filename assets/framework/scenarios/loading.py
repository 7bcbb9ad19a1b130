"""Reads scenarios from folders: `<name>.yaml`, and its prompts in `<name>/<set>/<prompt>.txt` beside it.

A set that has `critic_teacher.txt` and no `critic_teacher_open.txt` uses the former for both; only `standard` has all.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from assets.framework.prompts import PromptBook, PromptForm
from assets.framework.scenarios.declaration import (
    FOR_ALL,
    GIVEN,
    QUESTIONS,
    STEP_MODELS,
    Pose,
    Say,
    ScenarioDeclaration,
)
from assets.framework.scenarios.faults import Fault, declaration_faults, prompt_faults
from assets.framework.scenarios.files import ScenarioFile, read_scenario_file
from assets.framework.scenarios.scenario import Scenario, Scenarios
from resources.configuration import (
    ConfigurationError,
    Place,
    fault_list,
    keys_at,
    located_faults,
    unknown_name,
)

FILE_NAME = r"[a-z][a-z0-9_]{0,39}"  # it is part of partition keys and of paths in the lake
STANDARD = "standard"  # the prompt set that stands in for files that another set does not have


def load_scenario_folders(folders: Sequence[Path], prompt_set: str, known_sets: Collection[str] = ()) -> Scenarios:
    """Every scenario of some folders.

    Args:
        folders: each with one YAML file per scenario.
        prompt_set: the name of a set beside each scenario, or the path of a folder of the user's own with
            `<prompt>.txt` or `<scenario>/<prompt>.txt`.
        known_sets: sets that no scenario needs to have: the standard prompts stand in for them.

    Raises:
        ConfigurationError: every fault of every file, with its line.
    """
    faults: list[str] = []
    found: dict[str, Scenario] = {}
    first: dict[str, Path] = {}
    for folder in folders:
        paths = sorted(folder.glob("*.yaml"))
        if not paths:
            faults.append(f"{folder}: there is no scenario here: no file *.yaml")
        for path in paths:
            if (other := first.setdefault(path.stem, path)) != path:
                faults.append(f"{path}: {other} has the same name; rename one of the files")
            elif scenario := _load(path, prompt_set, faults):
                found[path.stem] = scenario
    faults += _equal_short_names(found)
    is_known = prompt_set in known_sets or Path(prompt_set).expanduser().is_dir()
    if not is_known and not any(_has_set(path, prompt_set) for path in first.values()):
        faults.append(f"the prompts {prompt_set!r}: no scenario has such a set, and it is no folder")
    if faults:
        raise ConfigurationError(fault_list("the scenarios cannot be used:", faults))
    return Scenarios(found.values())


def _load(path: Path, prompt_set: str, faults: list[str]) -> Scenario | None:
    """One scenario from its YAML file and the prompts beside it; adds what is wrong to `faults`, in order of lines."""
    if not re.fullmatch(FILE_NAME, path.stem):
        faults.append(f"{path}: name the file in small letters, digits and underscores, such as `my_scenario.yaml`")
        return None
    try:
        file = read_scenario_file(path)
    except ConfigurationError as error:
        faults.append(str(error))
        return None
    prompts = None
    try:
        declaration = ScenarioDeclaration.model_validate(file.content)
    except ValidationError as error:
        found = list(_invalid_values(error))
    else:
        found = declaration_faults(declaration)
        try:
            prompts = _read_prompts(file, declaration, prompt_set)
        except ConfigurationError as error:
            faults.append(str(error))
        else:
            placeholders = {name: prompts.placeholders(name) - FOR_ALL for name in prompts.versions()}
            found += prompt_faults(declaration, placeholders)
    numbered = sorted(((file.line(place), message) for place, message in found), key=lambda fault: fault[0])
    for (index, line), message in numbered:
        extended = f" (as extended by {path})" if index else ""
        faults.append(f"{file.files[index].path}:{line}: {message}{extended}")
    return Scenario(path.stem, declaration, prompts) if prompts and not found else None


def _read_prompts(file: ScenarioFile, declaration: ScenarioDeclaration, prompt_set: str) -> PromptBook:
    """The prompts of a set, beside the file and then beside those that it extends; `standard` ones stand in."""
    own, homes = Path(prompt_set).expanduser(), [one.path.with_suffix("") for one in file.files]
    is_set = "/" not in prompt_set and (any((home / prompt_set).is_dir() for home in homes) or not own.is_dir())
    chosen = [home / prompt_set for home in homes] if is_set else [own / file.path.stem, own]
    standard = [home / STANDARD for home in homes] if is_set else []
    steps = [turn for _, turn, _ in declaration.walk()]
    names = frozenset({*GIVEN, *(turn.say for turn in steps if isinstance(turn, Say))})
    chat = PromptForm(frozenset(), names, FOR_ALL)
    plain = PromptForm(frozenset(), frozenset(QUESTIONS), plain=True)
    forms = {turn.prompt: plain for turn in steps if isinstance(turn, Pose) and turn.prompt}
    forms |= {name: chat for turn in steps if isinstance(turn, Say) for name in turn.prompts}
    files = {}
    for name in forms:
        others = {one for turn in steps if isinstance(turn, Say) and name in turn.prompts for one in turn.prompts}
        general = sorted((one for one in others if name.startswith(f"{one}_")), key=len, reverse=True)
        allowed = [name] if prompt_set == STANDARD else [name, *general]
        files[name] = [
            *(folder / f"{one}.txt" for one in allowed for folder in chosen),
            *(folder / f"{name}.txt" for folder in standard),
        ]
    return PromptBook([*chosen, *standard], forms, files)


def _has_set(path: Path, prompt_set: str) -> bool:
    try:
        files = read_scenario_file(path).files
    except ConfigurationError:
        return (path.with_suffix("") / prompt_set).is_dir()
    return any((file.path.with_suffix("") / prompt_set).is_dir() for file in files)


def _equal_short_names(found: Mapping[str, Scenario]) -> Iterator[str]:
    by_short: dict[str, str] = {}
    for scenario in found.values():
        other = by_short.setdefault(scenario.short_name, scenario.name)
        if other != scenario.name:
            yield f"{other} and {scenario.name} have the same short_name {scenario.short_name!r}; give one another"


def _invalid_values(error: ValidationError) -> Iterator[Fault]:
    """pydantic's faults in our words, each with its path in the file."""
    kinds = {tuple(fault["loc"]): fault["type"] for fault in error.errors(include_url=False, include_context=False)}
    for path, _, message in located_faults(error, ScenarioDeclaration):
        in_file = tuple(part for at, part in enumerate(path) if not _is_tag(path, at))
        if kinds[path] == "union_tag_not_found":
            message = "a step begins with `pose`, `say` or `repeat`"
        elif kinds[path] == "union_tag_invalid":
            message = "a loop inside of a loop; a loop has steps that begin with `pose` or `say`"
        elif kinds[path] == "extra_forbidden":
            message = unknown_name("key", str(path[-1]), _known_keys(path[:-1]))
        elif kinds[path] == "missing" and path[-1] == "repeat":
            message = "a loop without an end: `repeat` has to say how often it runs at most"
        yield in_file, f"{'.'.join(map(str, in_file)) or '(whole file)'}: {message}"


def _known_keys(path: Place) -> list[str]:
    tags = [at for at in range(len(path)) if _is_tag(path, at)]
    if not tags:
        return keys_at(ScenarioDeclaration, path)
    return keys_at(STEP_MODELS[str(path[tags[-1]])], path[tags[-1] + 1 :])


def _is_tag(path: Place, at: int) -> bool:
    """Whether a part of pydantic's path names the kind of a step; it is no key of the file."""
    return path[at] in STEP_MODELS and at >= 2 and path[at - 2] == "steps" and isinstance(path[at - 1], int)
