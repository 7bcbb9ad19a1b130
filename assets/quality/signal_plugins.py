"""Signals of plug-ins: a value per dialogue, as a further column of `scored_dialogues`.

A plug-in that raises, or returns what its column cannot hold, costs the values of those dialogues and no run.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any

import pandera.polars as pa
import polars as pl

from assets.quality.inputs import DialogueInput
from resources.plugins import Plugin, PluginGroup

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """The least and the most that a signal may be. `rejects`: a dialogue beyond it is rejected, else only flagged."""

    least: float = -inf
    most: float = inf
    rejects: bool = True

    def __str__(self) -> str:
        ends = (("at least", self.least), ("at most", self.most))
        return " and ".join(f"{words} {end:g}" for words, end in ends if isfinite(end))


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal of a plug-in; the entry point's name is its column's name.

    Attributes:
        measure: the value of a dialogue, which may be set aside and then has only some of its turns.
        column: type, checks and description. A column that is not nullable expects a value of each complete dialogue.
        limit: for a column of numbers.
    """

    measure: Callable[[DialogueInput], Any]
    column: pa.Column
    limit: Limit | None = None


class SignalGroup(PluginGroup[Signal]):
    """The installed signals."""

    def problem(self, name: str, value: Any) -> str | None:
        """Why an object cannot be the signal of that name; None where it can."""
        if problem := super().problem(name, value):
            return problem
        if not value.column.description or value.column.dtype is None:
            return "its column has to have a type and a description"
        if value.limit and not (value.column.dtype.type.is_numeric() and str(value.limit)):
            return "its limit needs `least` or `most`, and a column of numbers"
        return None

    def describe(self, value: Signal) -> str:
        """The description of its column."""
        return str(value.column.description)

    @property
    def columns(self) -> dict[str, pa.Column]:
        """The columns by name. Each may be null, for a plug-in may fail; `measure` validates the values."""
        return {
            name: pa.Column(plugin.value.column.dtype.type, nullable=True, description=self.describe(plugin.value))
            for name, plugin in self.plugins.items()
        }

    def measure(self, dialogues: Sequence[DialogueInput]) -> list[dict[str, Any]]:
        """The values of each dialogue by column. Failures are logged once per plug-in, and their values are None."""
        values = {name: _measure(plugin, dialogues) for name, plugin in self.plugins.items()}
        return [{name: column[row] for name, column in values.items()} for row in range(len(dialogues))]

    @property
    def reasons(self) -> dict[str, str]:
        """The rejection reasons of the limits that reject, with their meanings."""
        return {
            _reason(name): f"{self.describe(plugin.value)} It has to be {limit}."
            for name, plugin in self.plugins.items()
            if (limit := plugin.value.limit) and limit.rejects
        }

    def failed(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The reasons to reject a dialogue with these values; a missing value is no reason."""
        return tuple(
            _reason(name)
            for name, value in values.items()
            if value is not None
            and (limit := self.plugins[name].value.limit)
            and limit.rejects
            and not limit.least <= value <= limit.most
        )


def _reason(name: str) -> str:
    return f"{name}_beyond_limit"


def _measure(plugin: Plugin[Signal], dialogues: Sequence[DialogueInput]) -> list[Any]:
    faults: list[str] = []

    def one(dialogue: DialogueInput, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except Exception as error:  # code of others may raise anything
            faults.append(f"{dialogue.dialogue_id}: {type(error).__name__}: {str(error)[:300]}")
            return None

    values = [one(dialogue, partial(plugin.value.measure, dialogue)) for dialogue in dialogues]
    try:
        values = _validated(plugin, values)
    except Exception:  # validated one by one, which takes about a millisecond each
        pairs = zip(dialogues, values, strict=True)
        values = [(one(dialogue, partial(_validated, plugin, [value])) or [None])[0] for dialogue, value in pairs]
    if faults:
        logger.warning(
            "plug-in %s failed for %d of %d dialogues, whose value is null; the first: %s",
            *(plugin, len(faults), len(dialogues), faults[0]),
        )
    return values


def _validated(plugin: Plugin[Signal], values: Sequence[Any]) -> list[Any]:
    """The values as the column's type, NaN as None. An exception of polars or Pandera where it cannot hold them."""
    column = plugin.value.column
    frame = pl.DataFrame({plugin.name: values}, schema={plugin.name: column.dtype.type}).fill_nan(None)
    pa.DataFrameSchema({plugin.name: column}).validate(frame.drop_nulls())
    return frame[plugin.name].to_list()
