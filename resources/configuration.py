"""Reading configuration files. One error names everything that is wrong in a file."""

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo


class ConfigurationError(ValueError):
    """A setting or a configuration file is wrong. The message names every fault, where it is and what to do."""


class Configuration(BaseModel):
    """Base of every configuration model: unknown keys are errors, and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Place: TypeAlias = tuple[int | str, ...]  # the path to a value in a file
Model = TypeVar("Model", bound=BaseModel)
PathOrText = TypeVar("PathOrText", Path, str)


def _beside_the_file(value: PathOrText, info: ValidationInfo) -> PathOrText:
    """A path as absolute, relative to the folder of the configuration file that is being read; "" or a URL as it is."""
    if not value or "://" in str(value) or not info.context:
        return value
    return type(value)(info.context["folder"] / Path(value).expanduser())


# Types for paths in a configuration file. `load_configuration` makes them absolute: they start at the file's folder.
RelativePath = Annotated[Path, AfterValidator(_beside_the_file)]  # on this machine
RelativeAddress = Annotated[str, AfterValidator(_beside_the_file)]  # or s3://


MOST_VALUES = 100_000  # of one YAML file, with the values of aliases counted each time
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 120  # characters

# Types of faults whose input is never shown: it may be a misplaced secret, and messages go to logs and metadata.
NEVER_SHOWN = {"extra_forbidden", "missing"}
MAY_HOLD_A_SECRET = re.compile("key|token(?!s)|secret|password|url|webhook", re.IGNORECASE)


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per fault: `endpoints.openai.max_concurrency: Input should be greater than 0 (given: 0)`.

    The given value is left out where it may be a secret: under an unknown key, and under a name with key, token,
    secret, password, url or webhook in it.

    Args:
        error: pydantic's error.
        model: the model of the validation, for the known keys.
    """
    return [f"{where}: {message}" for _, where, message in located_faults(error, model)]


def located_faults(error: ValidationError, model: type[BaseModel]) -> list[tuple[Place, str, str]]:
    """Each fault as in `describe_faults`: pydantic's path to it, the path in words, and the message."""
    found: list[tuple[Place, str, str]] = []
    faults = error.errors(include_url=False)
    for fault in faults:
        if fault["type"] == "too_short" and any(_lies_within(other["loc"], fault["loc"]) for other in faults):
            continue  # it has items, and their faults are listed
        where = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = unknown_name("key", str(fault["loc"][-1]), keys_at(model, fault["loc"][:-1]))
        elif fault["type"] == "missing":
            message = "has to be given"
        elif fault["type"] == "string_pattern_mismatch" and (wanted := description_at(model, fault["loc"])):
            message = f"is not written as it should be: {wanted}"
        elif fault["type"] == "union_tag_not_found":
            where, message = f"{where}.{fault['ctx']['discriminator'].strip(chr(39))}", "has to be given"
        given = fault["input"]
        hidden = (
            isinstance(given, Mapping | BaseModel) or fault["type"] in NEVER_SHOWN or MAY_HOLD_A_SECRET.search(where)
        )
        shown = "" if hidden else f" (given: {_SHORT.repr(given):.120})"
        found.append((fault["loc"], where, f"{message}{shown}"))
    return found


def _lies_within(place: Place, other: Place) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the most similar one and all known ones.

    Args:
        kind: what it would name, such as `key` or `speaker`.
        name: the unknown name.
        known: those that there are.
    """
    known = list(known)
    return f"there is no such {kind}{meant(name, known)} ({kind}s here: {', '.join(known) or 'none'})"


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `; is size meant?`, or nothing where no known one is similar."""
    similar = get_close_matches(name, list(known), 1)
    return f"; is {similar[0]} meant?" if similar else ""


def keys_at(model: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    """The keys that a model allows at a path within it, such as `("endpoints", "openai")`."""
    kinds: list[Any] = [model]
    for part in place:
        kinds = [inner for kind in kinds for inner in _within(kind, part)]
    models = [one for kind in kinds for one in _alternatives(kind) if _is_model(one)]
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


def description_at(model: type[BaseModel], place: Iterable[int | str]) -> str | None:
    """The description of the field at a path within a model; of an item, that of the field that has it."""
    kinds, found = list[Any]([model]), None
    for part in place:
        models = [one for kind in kinds for one in _alternatives(kind) if _is_model(one)]
        found = next((one.model_fields[part].description for one in models if part in one.model_fields), found)
        kinds = [inner for kind in kinds for inner in _within(kind, part)]
    return found


def _within(kind: Any, part: int | str) -> Iterator[Any]:
    """The types under a key, at an index, or under the tag of a discriminated union."""
    alternatives = list(_alternatives(kind))
    tagged = [one for one in alternatives if len(alternatives) > 1 and _is_model(one) and part in _tags(one)]
    if tagged:
        yield from tagged
        return
    for one in alternatives:
        if not _is_model(one):
            yield from get_args(one)[:1] if isinstance(part, int) else get_args(one)[-1:]
        elif part in one.model_fields:
            yield one.model_fields[part].annotation


def _tags(model: type[BaseModel]) -> set[Any]:
    """The values of the field that distinguishes a model from the others of a union."""
    return {
        value
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    }


def _alternatives(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from _alternatives(one)
    else:
        yield from _alternatives(get_args(kind)[0]) if get_origin(kind) is Annotated else [kind]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def fault_list(title: str, faults: Iterable[str]) -> str:
    """A message of several faults: the title, then one indented line each."""
    return "\n".join([title, *(f"  - {fault}" for fault in faults)])


def read_yaml(path: Path) -> Any:
    """The parsed content of one YAML file.

    Raises:
        ConfigurationError: the file is missing, unreadable, not UTF-8 or not YAML, or its aliases hold too many values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    try:
        content = yaml.safe_load(text)
        values = _count_values(content, {})
    except RecursionError:
        raise ConfigurationError(f"{path}: is nested too deeply, or an alias is part of its own value") from None
    except ValueError:
        raise ConfigurationError(f"{path}: is not valid YAML: a number or a date in it cannot be read") from None
    except yaml.YAMLError as error:
        # PyYAML's own message quotes the line, which may have a secret in it.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: is not valid YAML: {problem or 'unreadable characters'}") from None
    if values > MOST_VALUES:
        raise ConfigurationError(f"{path}: has more than {MOST_VALUES:,} values, by its aliases; write fewer")
    return content


def _count_values(value: Any, counted: dict[int, int]) -> int:
    """How many values a parsed YAML file has; one with an alias is looked at once and counted each time."""
    if not isinstance(value, Mapping | list):
        return 1
    if id(value) not in counted:
        inner = value.values() if isinstance(value, Mapping) else value
        counted[id(value)] = 1 + sum(_count_values(one, counted) for one in inner)
    return counted[id(value)]


def load_configuration(path: Path, model: type[Model], **context: Any) -> Model:
    """Read `path` as YAML and validate it against `model`; its relative paths start at the file's folder.

    Args:
        path: the file.
        model: its form.
        context: for the model's validators.

    Raises:
        ConfigurationError: the file cannot be read or is not valid; the message names every fault.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{path}: should be a mapping of keys to values, is {type(content).__name__}")
    return validate(content, model, f"{path} is not valid:", path.parent, **context)


def validate(content: Mapping[str, Any], model: type[Model], title: str, folder: Path, **context: Any) -> Model:
    """The content of a configuration file as its model.

    Args:
        content: the parsed file.
        model: its form.
        title: the first line of the message about its faults.
        folder: where its relative paths start.
        context: for the model's validators.

    Raises:
        ConfigurationError: it is not valid; the message names every fault.
    """
    try:
        return model.model_validate(content, context={"folder": folder.absolute(), **context})
    except ValidationError as error:
        faults = describe_faults(error, model)
    # Raised outside the except clause: pydantic's error keeps its frames in memory, and the collector cannot free them.
    raise ConfigurationError(fault_list(title, faults))


def shipped_or_path(value: str, folder: Path) -> Path:
    """The file that a setting names: a shipped configuration by its bare name, else a path.

    Args:
        value: `paper`, or `my/profile.yaml`.
        folder: the folder of the shipped configurations.

    Raises:
        ConfigurationError: neither exists; the message lists the shipped names.
    """
    shipped = folder / f"{value}.yaml"
    if shipped.is_file():
        return shipped
    path = Path(value).expanduser()
    if path.is_file():
        return path
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    shipped_names = f"{', '.join(names)}{meant(value, names)}"
    raise ConfigurationError(f"{value!r} is neither a file nor one of the shipped names: {shipped_names}")
