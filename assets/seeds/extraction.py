"""Reading the question and answer out of a row, or the reason why it has none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from assets.seeds.configuration import SourceConfiguration
from assets.seeds.normalise import normalise
from assets.seeds.rows import RejectedRow, SourceRow, beginning

QUESTION_ROLES = ("human", "user")
ANSWER_ROLES = ("gpt", "assistant")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its reference answer, normalised."""

    system: str | None
    question: str
    answer: str


class _Unusable(Exception):
    """Why a row is rejected: (reason, detail)."""


def question_answer(row: SourceRow, source: SourceConfiguration, max_characters: int) -> Pair | RejectedRow:
    """The question and answer of a row, from the source's fields or messages.

    Of several turns the first question that is followed by an answer is taken, with the system prompt before it.
    """
    try:
        system, question, answer = _from_fields(row, source) if source.fields else _from_messages(row, source)
        texts = {"system": system or "", "question": question, "answer": answer}
        for part, text in texts.items():
            if len(text) > max_characters:
                raise _Unusable(
                    "oversized", f"the {part} has {len(text):,} characters, more than {max_characters:,}: {text[:200]}"
                )
            texts[part] = normalise(text)
        for part in ("question", "answer"):
            if not texts[part]:
                raise _Unusable(f"empty_{part}", f"in {beginning(row.values)}")
    except _Unusable as error:
        reason, detail = error.args
        return RejectedRow(row.origin_file, row.origin_row, reason, beginning(detail, 400))
    return Pair((texts["system"] or None) if source.keep_system else None, texts["question"], texts["answer"])


def _from_fields(row: SourceRow, source: SourceConfiguration) -> tuple[str | None, str, str]:
    fields = source.fields
    assert fields is not None  # noqa: S101 - the configuration has fields or messages
    question = _joined(row.values, fields.question, numbers=False)
    # A bare number is a fine answer and never a question.
    answer = _joined(row.values, fields.answer, numbers=True)
    system = _joined(row.values, [fields.system], numbers=False) if fields.system in row.values else None
    return system, question, answer


def _joined(values: Mapping[str, Any], names: Sequence[str | None], *, numbers: bool) -> str:
    if not any(name in values for name in names):
        raise _Unusable("missing_field", f"no {' or '.join(map(repr, names))} in {beginning(values)}")
    texts = [_text(values.get(name or ""), f"field {name!r}", numbers=numbers) for name in names]
    return "\n\n".join(text for text in texts if text.strip())


def _text(value: Any, where: str, *, numbers: bool = False) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if numbers and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(int(value)) if float(value).is_integer() else str(value)
    raise _Unusable("wrong_type", f"{where} should be text, is {type(value).__name__}: {beginning(value)}")


def _from_messages(row: SourceRow, source: SourceConfiguration) -> tuple[str | None, str, str]:
    name = source.conversations_field or ""
    if name not in row.values:
        raise _Unusable("missing_field", f"no {name!r} in {beginning(row.values)}")
    messages = row.values[name]
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise _Unusable("wrong_type", f"field {name!r} should be a list of messages, is {beginning(messages)}")
    turns = [_turn(message) for message in messages]
    if source.multi_turn == "set_aside" and sum(role in QUESTION_ROLES for role, _ in turns) > 1:
        raise _Unusable("multi_turn", f"several questions in {beginning(row.values)}")
    for at, ((role, question), (next_role, answer)) in enumerate(pairwise(turns)):
        if role in QUESTION_ROLES and next_role in ANSWER_ROLES:
            system = "\n\n".join(text for role, text in turns[:at] if role == "system" and text.strip())
            return system or None, question, answer
    raise _Unusable("no_pair", f"no question that is followed by an answer in {beginning(row.values)}")


def _turn(message: Mapping[str, Any]) -> tuple[str, str]:
    role_key, text_key = ("role", "content") if message.get("role") is not None else ("from", "value")
    role = message.get(role_key)
    if not isinstance(role, str):
        raise _Unusable("wrong_type", f"a message without `from` or `role`: {beginning(message)}")
    return role, _text(message.get(text_key), f"the {role} message's {text_key!r}")
