"""A scenario's YAML file with the files that it extends: their keys, and which file and line each is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from resources.configuration import ConfigurationError, Place, read_yaml

EXTENDS = "extends"


@dataclass(frozen=True)
class ScenarioFile:
    """The keys of a scenario. Of a file that it extends, those keys hold that the extending file does not have."""

    path: Path
    own: Mapping[str, Any]  # the keys of this file alone
    base: "ScenarioFile | None"

    @cached_property
    def content(self) -> dict[str, Any]:
        """All keys, those of the extended files included."""
        inherited = self.base.content if self.base else {}
        return {key: value for key, value in inherited.items() if key != EXTENDS} | dict(self.own)

    @property
    def files(self) -> tuple["ScenarioFile", ...]:
        """This file, then the one that it extends, and so on."""
        return (self, *(self.base.files if self.base else ()))

    def line(self, place: Place) -> tuple[int, int]:
        """Where a path of keys is: the index of its file in `files`, and the line in it."""
        for index, file in enumerate(self.files):
            if not place or place[0] in file.own:
                return index, _line(file.path, place)
        return 0, 1


def read_scenario_file(path: Path, extending: tuple[Path, ...] = ()) -> ScenarioFile:
    """Read a file and those that it extends.

    Args:
        path: the file.
        extending: files that extend it, directly or through others.

    Raises:
        ConfigurationError: a file is not readable, not YAML or no mapping; or it extends itself or a missing file.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{path}:1: should be a mapping of keys to values, is {type(content).__name__}")
    if EXTENDS not in content:
        return ScenarioFile(path, content, None)
    name, where = content[EXTENDS], f"{path}:{_line(path, (EXTENDS,))}: {EXTENDS}"
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{where}: should be the path of a scenario file, such as ../debate.yaml")
    extended = path.parent / name
    if not extended.is_file():
        raise ConfigurationError(f"{where}: there is no file {extended}; the path is relative to this file's folder")
    before = (*extending, path)
    if extended.resolve() in {one.resolve() for one in before}:
        raise ConfigurationError(f"{where}: {name} extends this file, directly or through others; remove one of them")
    return ScenarioFile(path, content, read_scenario_file(extended, before))


def _line(path: Path, place: Place) -> int:
    """The line of the deepest part of `place` that the file has."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
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
