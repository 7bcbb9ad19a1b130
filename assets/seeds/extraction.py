"""Reading the question and answer out of a row, or the reason why it has none."""

import ast
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from assets.seeds.configuration import Fields, SourceConfiguration
from assets.seeds.messages import Exchange, exchanges, without_reasoning
from assets.seeds.normalise import normalise
from assets.seeds.rows import MISSING, RejectedRow, SourceRow, Unusable, beginning, field_value


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, in its context if it has one, and its reference answer, normalised."""

    system: str | None
    question: str
    answer: str
    tests: str | None = None  # of code, as Python


HEADINGS = {"question": "Earlier question:", "answer": "Earlier answer:"}
LAST_HEADING = "Question:"


def question_answers(row: SourceRow, source: SourceConfiguration, max_characters: int) -> Iterator[Pair | RejectedRow]:
    """The questions and answers of a row, from the source's fields or messages; one, but for `multi_turn: all`.

    A pair that cannot be used ends its row: those before it are used, and the row is rejected once.
    """
    try:
        for exchange in _exchanges(row, source):
            yield _pair(exchange, row, source, max_characters)
    except Unusable as error:
        yield RejectedRow(row.origin_file, row.origin_row, error.reason, beginning(error.detail, 400))


def _exchanges(row: SourceRow, source: SourceConfiguration) -> Iterator[Exchange]:
    """System prompt, question and answer as they are in the row."""
    name, fields = source.system_field, source.fields
    system = _joined(row, [name], None) if name and field_value(row.values, name) is not MISSING else None
    if fields is not None:
        yield Exchange(
            system, (), _joined(row, fields.question, None, headed=True), _joined(row, fields.answer, fields)
        )
        return
    conversation = field_value(row.values, source.conversations_field or "")
    if conversation is MISSING:
        raise Unusable("missing_field", f"no {source.conversations_field!r} in {beginning(row.values)}")
    for exchange in exchanges(conversation, source):
        yield replace(exchange, system=exchange.system or system)


def _pair(exchange: Exchange, row: SourceRow, source: SourceConfiguration, max_characters: int) -> Pair:
    texts = {"system": exchange.system or "", "question": exchange.question, "answer": exchange.answer}
    for part, text in texts.items():
        if len(text) > max_characters:
            raise Unusable(
                "oversized", f"the {part} has {len(text):,} characters, more than {max_characters:,}: {text[:200]}"
            )
        texts[part] = normalise(text)
    for part in ("question", "answer"):
        if not texts[part]:
            raise Unusable(f"empty_{part}", f"in {beginning(row.values)}")
    question = texts["question"]
    if exchange.earlier:
        question = normalise(in_context(exchange.earlier, question))
        if len(question) > max_characters:
            raise Unusable(
                "long_conversation",
                f"from this question on, the conversation has more than {max_characters:,} characters: "
                f"{texts['question'][:200]}",
            )
    system = (texts["system"] or None) if source.keep_system else None
    return Pair(system, question, texts["answer"], _tests(row, source.fields))


def _tests(row: SourceRow, fields: Fields | None) -> str | None:
    """The tests of a row, where it has some."""
    names = [name for name in (fields and fields.tests) or () if field_value(row.values, name) is not MISSING]
    if not fields or not names:
        return None
    tests = normalise(_joined(row, names, fields.model_copy(update={"list_answer": "joined"})))
    try:
        ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unusable("invalid_tests", f"the tests are no Python ({error}): {beginning(tests)}") from None
    return tests or None


def in_context(earlier: Sequence[tuple[str, str]], question: str) -> str:
    """A question below the conversation before it, each text with a heading on a line of its own."""
    texts = [(HEADINGS[kind], text.strip()) for kind, text in earlier]
    return "\n\n".join(f"{heading}\n{text}" for heading, text in [*texts, (LAST_HEADING, question)])


def _joined(row: SourceRow, names: Sequence[str], answer: Fields | None, *, headed: bool = False) -> str:
    """The texts of some fields; `headed`: each but the first field has its name above, `Input:`."""
    found = {name: field_value(row.values, name) for name in names}
    if all(value is MISSING for value in found.values()):
        raise Unusable("missing_field", f"no {' or '.join(map(repr, names))} in {beginning(row.values)}")
    read = {name: _text(value, name, answer) for name, value in found.items() if value is not MISSING}
    texts = {name: text for name, text in read.items() if text.strip()}
    if headed and len(texts) > 1:
        texts = {name: text if name == names[0] else _with_heading(name, text) for name, text in texts.items()}
    return "\n\n".join(texts.values())


def _with_heading(field: str, text: str) -> str:
    heading = f"{field.rpartition('.')[2].replace('_', ' ').strip().capitalize()}:"
    return text if text.lstrip().lower().startswith(heading.lower()) else f"{heading}\n{text}"


def _text(value: Any, where: str, answer: Fields | None) -> str:
    """A field's value as text. A bare number, a truth value or a list is a fine answer and never a question.

    Args:
        value: as read.
        where: the field's name, for errors.
        answer: the configuration of the answer's fields; None for a question or a system prompt.

    Raises:
        Unusable: the value is of another type, or a list of several texts without a configured choice.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return without_reasoning(value) if answer else value
    if isinstance(value, list):
        texts = [text for element in value if (text := _text(element, where, answer)).strip()]
        choice = answer and answer.list_answer
        if len(texts) > 1 and not choice:
            advice = "; write `list_answer: first` or `list_answer: joined` under `fields`" if answer else ""
            raise Unusable("wrong_type", f"{where} is a list of {len(texts)} texts{advice}: {beginning(value)}")
        return "\n".join(texts) if choice == "joined" else next(iter(texts), "")
    if answer and isinstance(value, bool):
        return "true" if value else "false"
    if answer and isinstance(value, int):
        return str(value)
    if answer and isinstance(value, float | Decimal) and math.isfinite(value):
        return _number(value)
    names = " or ".join(f"`{where}.{key}`" for key in value) if isinstance(value, dict) else ""
    advice = f"; write {beginning(names)}" if names else ""
    raise Unusable("wrong_type", f"{where} should be text, is {type(value).__name__}{advice}: {beginning(value)}")


def _number(value: float | Decimal) -> str:
    if value == int(value):
        return str(int(value))
    return f"{value:f}".rstrip("0") if isinstance(value, Decimal) else str(value)
