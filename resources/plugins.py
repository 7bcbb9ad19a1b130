"""Plug-ins: what other installed distributions add, found by their Python entry points.

A group is one kind of plug-in, such as `master_dagster.signals`. The name of an entry point is the plug-in's name, and
its object is what the group asks for. A plug-in that cannot be used is left out, and `check_plugins` reports it with
all others.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

from resources.configuration import Configuration, ConfigurationError, describe_faults, fault_list

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
Value = TypeVar("Value")
Model = TypeVar("Model", bound=Configuration)


@dataclass(frozen=True, slots=True)
class Plugin(Generic[Value]):
    """An installed plug-in that can be used."""

    name: str
    distribution: str
    version: str  # of the distribution
    value: Value

    @property
    def origin(self) -> str:
        """Its distribution and that one's version."""
        return f"{self.distribution} {self.version}"

    def __str__(self) -> str:
        return f"{self.name} of {self.origin}"


@dataclass(frozen=True)
class PluginGroup(Generic[Value]):
    """One kind of plug-in. The entry points are read and loaded once, at first use.

    Attributes:
        name: of the group of entry points.
        summary: what such a plug-in adds, in a sentence.
        contract: the class that a plug-in has to be an object of.
        taken: names that a plug-in cannot have.
    """

    name: str
    summary: str
    contract: type[Any]
    taken: frozenset[str] = frozenset()

    @property
    def plugins(self) -> Mapping[str, Plugin[Value]]:
        """Those that can be used, by name."""
        return self._loaded[0]

    @property
    def faults(self) -> list[str]:
        """What is wrong with the others, and what to do."""
        return self._loaded[1]

    @property
    def versions(self) -> dict[str, str]:
        """Distribution and version of each plug-in, by name."""
        return {name: plugin.origin for name, plugin in self.plugins.items()}

    def problem(self, name: str, value: Any) -> str | None:
        """Why an object cannot be a plug-in of that name; None where it can."""
        return None if isinstance(value, self.contract) else f"it has to be an object of {path_of(self.contract)}"

    def describe(self, value: Value) -> str:
        """What a plug-in is, in a sentence of its own."""
        return (inspect.getdoc(value) or "").partition("\n")[0]

    @cached_property
    def _loaded(self) -> tuple[Mapping[str, Plugin[Value]], list[str]]:
        by_name: dict[str, list[EntryPoint]] = defaultdict(list)
        for point in sorted(entry_points(group=self.name), key=lambda one: (one.name, _origin(one))):
            by_name[point.name].append(point)
        plugins: dict[str, Plugin[Value]] = {}
        faults = []
        for name, (point, *others) in by_name.items():
            distribution, version = _origin(point)
            try:
                if others:
                    raise ValueError(f"{', '.join(' '.join(_origin(one)) for one in others)} has one of the same name")
                plugins[name] = Plugin(name, distribution, version, self._load(point))
            except Exception as error:  # code of others may raise anything
                faults.append(
                    f"plug-in {name!r} ({self.name}) of the distribution {distribution} {version}: {error}; "
                    f"correct it, or uninstall it: `pip uninstall {distribution}`"
                )
        return plugins, faults

    def _load(self, point: EntryPoint) -> Value:
        if point.name in self.taken:
            raise ValueError("the name is taken")
        if not NAME.fullmatch(point.name):
            raise ValueError("the name may have only small letters, digits and `_`")
        try:
            value: Value = point.load()
        except Exception as error:  # code of others may raise anything
            raise ValueError(f"{point.value} cannot be loaded: {type(error).__name__}: {error}") from error
        if problem := self.problem(point.name, value):
            raise ValueError(f"{point.value}: {problem}")
        return value


@dataclass(frozen=True)
class ConfigurationGroup(PluginGroup[type[Model]]):
    """Plug-ins that are subclasses of a configuration class; the key `kind` of a configuration file chooses one.

    `taken` has the kinds that this project brings.
    """

    def problem(self, name: str, value: Any) -> str | None:
        """Why an object cannot be a plug-in of that name; None where it can."""
        if not (isinstance(value, type) and issubclass(value, Configuration) and issubclass(value, self.contract)):
            return f"it has to be a subclass of {path_of(self.contract)}"
        if missing := ", ".join(sorted(getattr(value, "__abstractmethods__", ()))):
            return f"the class lacks {missing}"
        kind = value.model_fields["kind"].annotation
        if get_origin(kind) is not Literal or get_args(kind) != (name,):
            return f'the class has to have the field `kind: Literal["{name}"]`'
        return None

    @property
    def validator(self) -> WrapValidator:
        """Validates a field whose key `kind` names a plug-in; other kinds are validated by the field's own type."""

        def validate(given: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            kind = given.get("kind") if isinstance(given, Mapping) else None
            if not isinstance(kind, str) or kind in self.taken:
                return handler(given)
            plugin = self.plugins.get(kind)
            if plugin is None:
                known = ", ".join([*sorted(self.taken), *(f"{one} (plug-in)" for one in self.plugins)])
                raise ValueError(f"there is no kind {kind!r}; kinds: {known or 'none, for no plug-in is installed'}")
            try:
                return plugin.value.model_validate(given, context=info.context)
            except ValidationError as error:
                faults = "; ".join(describe_faults(error, plugin.value))
            raise ValueError(f"{faults} (plug-in {plugin})")

        return WrapValidator(validate)


def check_plugins(groups: Iterable[PluginGroup[Any]]) -> None:
    """Load every plug-in of the groups.

    Raises:
        ConfigurationError: some cannot be used; the message names each, its distribution and what to do.
    """
    if faults := [fault for group in groups for fault in group.faults]:
        raise ConfigurationError(fault_list("plug-ins cannot be used:", faults))


def path_of(contract: type[Any]) -> str:
    """A class as it is imported: `assets.quality.signal_plugins.Signal`."""
    return f"{contract.__module__}.{contract.__qualname__}"


def _origin(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution of an entry point."""
    return (point.dist.name, point.dist.version) if point.dist else ("(unknown)", "")
