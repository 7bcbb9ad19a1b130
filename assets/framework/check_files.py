"""Data-quality checks in SQL: one file per check, with its settings as YAML in a comment at the top.

    -- description: The judge gave a valid verdict on enough of the dialogues.
    -- severity: warn
    -- blocking: false
    -- parameters: {limit: $quality_rules.judge.minimum_coverage, least: 20}
    -- advice: Use a stronger judge.
    --
    -- Comment lines below an empty one are for the reader.
    SELECT scenario, shard FROM this_run WHERE …

The query returns the offending rows. The file's name is the check's name. `description` is required; `severity` is
`error` (the default) or `warn`; a failed check with `blocking: true`, whose severity has to be `error`, stops later
assets of the same run. `parameters` are the values of the query's `$names`; a value that begins with `$` is a setting
of one of the deployment's resources. `advice` says what to do where the check fails.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import duckdb
import yaml
from dagster import AssetCheckSeverity
from pydantic import Field, ValidationError, model_validator

from resources.configuration import Configuration, ConfigurationError, describe_faults, fault_list

CHUNK = 1000  # rows
NAME = re.compile(r"[a-z][a-z0-9_]*")

OffendingRow = Mapping[str, Any]


class Queryable(Protocol):
    """What SQL checks need: a connection with the views that they read, and the resources that hold their settings."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection: ...

    @property
    def resources(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class OpenConnection:
    """The plainest `Queryable`: an open connection."""

    connection: duckdb.DuckDBPyConnection
    resources: Mapping[str, Any]


Checked = TypeVar("Checked", contravariant=True)


@dataclass(frozen=True)
class Check(Generic[Checked]):
    """One check. `find` returns the offending rows; the check passes where there is none."""

    name: str
    description: str
    find: Callable[[Checked], Iterable[OffendingRow]]
    severity: AssetCheckSeverity | Callable[[Checked], AssetCheckSeverity] = AssetCheckSeverity.ERROR
    blocking: bool = False
    query: str = ""  # of a check in SQL
    advice: str = ""  # what to do where it fails
    limits: Callable[[Checked], Mapping[str, Any]] = lambda _: {}  # values that the query compares with, by name
    resources: frozenset[str] = frozenset()  # names of the resources whose settings the query takes


class FrontMatter(Configuration):
    """The settings at the top of a check's file."""

    description: str
    severity: Literal["error", "warn"] = "error"
    blocking: bool = False
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    advice: str = ""

    @model_validator(mode="after")
    def _blocks_on_errors(self) -> Self:
        if self.blocking and self.severity == "warn":
            raise ValueError("blocking: true needs severity: error, for Dagster does not block on a warning")
        return self


def sql_checks(folder: Path) -> list[Check[Queryable]]:
    """The checks of a folder, by name.

    Raises:
        ConfigurationError: files whose name, front matter or SQL is malformed, each fault with its file and line.
    """
    checks, faults = [], list[str]()
    for path in sorted(folder.glob("*.sql")):
        try:
            checks.append(_read_check(path))
        except ConfigurationError as error:
            faults.append(str(error))
    if not checks and not faults:
        faults.append(f"{folder}: no file *.sql is here")
    if faults:
        raise ConfigurationError(fault_list("the SQL checks cannot be loaded:", faults))
    return checks


def query_rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a query, by column name. They are fetched in chunks."""
    cursor = connection.execute(query, dict(parameters) if parameters else None)
    names = [column[0] for column in cursor.description or []]
    while rows := cursor.fetchmany(CHUNK):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _read_check(path: Path) -> Check[Queryable]:
    query = path.read_text(encoding="utf-8")
    if not NAME.fullmatch(path.stem):
        raise ConfigurationError(f"{path}:1: name the file as the check, in small letters, digits and underscores")
    settings = _read_front_matter(path, query)
    _compare_parameters(path, query, settings.parameters)
    limits = partial(_values, path, settings.parameters)
    return Check(
        path.stem,
        settings.description,
        lambda checked: query_rows(checked.connection, query, limits(checked)),
        AssetCheckSeverity(settings.severity.upper()),
        settings.blocking,
        query,
        settings.advice,
        limits,
        frozenset(resource for value in settings.parameters.values() if (resource := _setting(value)[0])),
    )


def _read_front_matter(path: Path, query: str) -> FrontMatter:
    comment = takewhile(lambda line: line.startswith("--") and line.strip() != "--", query.splitlines())
    text = "\n".join(line[2:].removeprefix(" ") for line in comment)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}:{line}: the comment at the top is not valid YAML: {error.problem}") from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(
            f"{path}:1: the file begins without settings; begin it with the line `-- description: …`"
        )
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    try:
        return FrontMatter.model_validate(content)
    except ValidationError as error:
        faults = describe_faults(error, FrontMatter)
        places = [lines.get(re.split(r"[.:]", fault)[0], 1) for fault in faults]
        raise ConfigurationError(
            "; ".join(f"{path}:{line}: {fault}" for line, fault in zip(places, faults, strict=True))
        ) from None


def _compare_parameters(path: Path, query: str, given: Mapping[str, Any]) -> None:
    try:
        (statement,) = duckdb.extract_statements(query)
    except (duckdb.ParserException, ValueError) as error:
        found = re.search(r"LINE (\d+)", str(error))
        problem = str(error).splitlines()[0] if found else "the file has to hold one SQL statement"
        raise ConfigurationError(f"{path}:{found[1] if found else 1}: {problem}") from None
    for name in sorted(set(statement.named_parameters) ^ set(given)):
        line = next((number for number, text in enumerate(query.splitlines(), 1) if name in text), 1)
        problem = "the query does not use it" if name in given else "`parameters` does not give its value"
        raise ConfigurationError(f"{path}:{line}: parameter {name}: {problem}")


def _setting(value: object) -> tuple[str, str]:
    """`("quality_rules", "judge.tolerated")` of `$quality_rules.judge.tolerated`; two empty strings of other values."""
    name = value[1:] if isinstance(value, str) and value.startswith("$") else ""
    resource, _, attribute = name.partition(".")
    return resource, attribute


def _values(path: Path, parameters: Mapping[str, Any], checked: Queryable) -> Mapping[str, Any]:
    values = dict(parameters)
    for name, value in parameters.items():
        resource, attribute = _setting(value)
        if resource:
            try:
                values[name] = attrgetter(attribute)(checked.resources[resource])
            except AttributeError as error:
                raise ConfigurationError(f"{path}: parameter {name} is {value}, but {error}") from None
    return values
