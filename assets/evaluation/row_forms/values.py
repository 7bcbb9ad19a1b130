"""Reading the fields of a benchmark's row. Each reader raises `NotAQuestion` and names the field."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assets.evaluation.benchmark_question import BenchmarkQuestion, NotAQuestion, Option
from assets.evaluation.configuration import Fields
from assets.seeds.rows import beginning

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

RowValues = Mapping[str, Any]


def read_value(values: RowValues, name: str) -> Any:
    """The field of that name; `a.b` is the field b of the object in a."""
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise NotAQuestion(f"it has no field {name!r}")
        found = found[part]
    return found


def read_text(values: RowValues, name: str) -> str:
    """A text or number as text; not empty."""
    found = read_value(values, name)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise NotAQuestion(f"its field {name!r} should be a text, is {beginning(found, 40)}")
    if not str(found).strip():
        raise NotAQuestion(f"its field {name!r} is empty")
    return str(found).strip("\n") if isinstance(found, str) else str(found)


def read_texts(values: RowValues, name: str) -> list[str]:
    """A list of texts or numbers as texts."""
    found = read_value(values, name)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str | int | float) for one in found):
        raise NotAQuestion(f"its field {name!r} should be a list of texts, is {beginning(found, 40)}")
    return [str(one) for one in found]


def read_index(values: RowValues, name: str) -> int:
    """A whole number."""
    found = read_text(values, name)
    try:
        return int(found)
    except ValueError:
        raise NotAQuestion(f"its field {name!r} should be a number, is {beginning(found, 40)!r}") from None


def optional_text(values: RowValues, name: str) -> str:
    """A text or whole number as text; empty where there is none."""
    found = values.get(name)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def lettered(texts: Iterable[str]) -> tuple[Option, ...]:
    """Options labelled A, B, …"""
    texts = list(texts)
    if len(texts) > len(LETTERS):
        raise NotAQuestion(f"it has {len(texts)} options, more than there are letters")
    return tuple(Option(label, text.strip()) for label, text in zip(LETTERS, texts, strict=False))


def label_at(options: Sequence[Option], index: int) -> str:
    """The label of the option with that index, from 0."""
    if not 0 <= index < len(options):
        raise NotAQuestion(f"its answer {index} is none of the {len(options)} options, which count from 0")
    return options[index].label


def read_common_fields(
    values: RowValues,
    fields: Fields,
    *,
    reference: str,
    options: tuple[Option, ...] = (),
    entry_point: str = "",
    solution: str = "",
) -> BenchmarkQuestion:
    """A question whose text, id and cluster are read by the mapping; the kind gives the rest. Raises NotAQuestion."""
    names = [fields.question] if isinstance(fields.question, str) else list(fields.question)
    return BenchmarkQuestion(
        "\n\n".join(read_text(values, name) for name in names),
        reference,
        read_text(values, fields.id) if fields.id else "",
        read_text(values, fields.cluster) if fields.cluster else "",
        options=options,
        entry_point=entry_point,
        solution=solution,
    )
