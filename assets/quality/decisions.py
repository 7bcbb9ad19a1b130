"""Manual decisions: they override the rules. They are in a file, so every run uses them again."""

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from resources.configuration import Configuration, ConfigurationError, describe_faults, fault_list, read_yaml

COLUMNS = ("dialogue_id", "verdict", "why")


class Decision(Configuration):
    """The manual decision about one dialogue."""

    dialogue_id: str = Field(pattern=r"^[0-9a-f]{32}$", description="The dialogue.")
    verdict: Literal["accept", "reject"] = Field(description="What becomes of it, whatever the rules say.")
    why: str = Field(min_length=1, description="Shown beside the dialogue.")


Decisions = Mapping[str, Decision]


def load_decisions(path: Path | None) -> Decisions:
    """The decisions of a file, by dialogue_id; none without a file.

    CSV with the columns dialogue_id, verdict, why; or YAML, a list of mappings with these keys. The file is read
    again when it changes.

    Raises:
        ConfigurationError: the file cannot be read or is not valid; every fault is named with its row.
    """
    if path is None:
        return {}
    try:
        status = path.stat()
    except OSError:
        raise ConfigurationError(f"{path}: there is no such file of manual decisions") from None
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, _size: int) -> Decisions:
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _yaml_rows(path)
    decisions: dict[str, Decision] = {}
    faults = []
    for where, row in rows:
        try:
            decision = Decision.model_validate(row)
        except ValidationError as error:
            faults += [f"{where}: {fault}" for fault in describe_faults(error, Decision)]
            continue
        if decision.dialogue_id in decisions:
            faults.append(f"{where}: dialogue {decision.dialogue_id} is decided twice")
        decisions[decision.dialogue_id] = decision
    if faults:
        raise ConfigurationError(fault_list(f"{path} is not a valid list of manual decisions:", faults))
    return decisions


def _csv_rows(path: Path) -> list[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ConfigurationError(f"{path}: its first line should be {','.join(COLUMNS)}")
            return [
                (f"line {reader.line_num}", {name: value for name, value in row.items() if name is not None})
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _yaml_rows(path: Path) -> list[tuple[str, Any]]:
    content = read_yaml(path)
    if content is None:
        return []
    if not isinstance(content, list):
        raise ConfigurationError(f"{path}: should be a list of decisions, each with {', '.join(COLUMNS)}")
    return [(f"entry {number}", entry) for number, entry in enumerate(content, 1)]
