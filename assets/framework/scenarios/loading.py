"""Reads scenarios from folders: `<name>.yaml`, and its prompts in `<name>/<set>/<prompt>.txt` beside it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from assets.framework.prompts import PromptBook, PromptForm
from assets.framework.scenarios.declaration import (
    GIVEN,
    QUESTIONS,
    SPEAKER,
    STEP_MODELS,
    Pose,
    Say,
    ScenarioDeclaration,
)
from assets.framework.scenarios.faults import Fault, declaration_faults, prompt_faults
from assets.framework.scenarios.scenario import Scenario, Scenarios
from resources.configuration import (
    ConfigurationError,
    Place,
    fault_list,
    keys_at,
    located_faults,
    read_yaml,
    unknown_key,
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
    has_set = any((path.with_suffix("") / prompt_set).is_dir() for path in first.values())
    if not has_set and prompt_set not in known_sets and not _is_folder(prompt_set):
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
        content = read_yaml(path)
    except ConfigurationError as error:
        faults.append(str(error))
        return None
    if not isinstance(content, Mapping):
        faults.append(f"{path}:1: should be a mapping of keys to values, is {type(content).__name__}")
        return None
    prompts = None
    try:
        declaration = ScenarioDeclaration.model_validate(content)
    except ValidationError as error:
        found = list(_invalid_values(error))
    else:
        found = declaration_faults(declaration)
        try:
            prompts = _read_prompts(path, declaration, prompt_set)
        except ConfigurationError as error:
            faults.append(str(error))
        else:
            placeholders = {name: prompts.placeholders(name) - {SPEAKER} for name in prompts.versions()}
            found += prompt_faults(declaration, placeholders)
    if found:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        numbered = sorted(((_line(node, place), message) for place, message in found), key=lambda fault: fault[0])
        faults += [f"{path}:{line}: {message}" for line, message in numbered]
    return Scenario(path.stem, declaration, prompts) if prompts and not found else None


def _read_prompts(path: Path, declaration: ScenarioDeclaration, prompt_set: str) -> PromptBook:
    own, sets = Path(prompt_set).expanduser(), path.with_suffix("")
    is_set = "/" not in prompt_set and ((sets / prompt_set).is_dir() or not own.is_dir())
    folders = [sets / prompt_set, sets / STANDARD] if is_set else [own / path.stem, own]
    steps = [turn for _, turn, _ in declaration.walk()]
    names = frozenset({*GIVEN, *(turn.say for turn in steps if isinstance(turn, Say))})
    chat = PromptForm(frozenset(), names, frozenset({SPEAKER}))
    plain = PromptForm(frozenset(), frozenset(QUESTIONS), plain=True)
    forms = {turn.prompt: plain for turn in steps if isinstance(turn, Pose) and turn.prompt}
    forms |= {name: chat for turn in steps if isinstance(turn, Say) for name in turn.prompts}
    return PromptBook(folders, forms)


def _is_folder(prompt_set: str) -> bool:
    return Path(prompt_set).expanduser().is_dir()


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
            message = unknown_key(str(path[-1]), _known_keys(path[:-1]))
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


def _line(node: yaml.Node | None, place: Place) -> int:
    """The line of the deepest part of `place` that the file has."""
    line = node.start_mark.line if node else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if str(key.value) == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
