"""What a file or dataset of questions holds, for people who have not described it yet: fields, domain, language."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from assets.answers.read import read_final
from assets.framework.languages import detect_language
from assets.seeds.configuration import CONVERSATIONS, Domain, SeedsConfiguration, SourceConfiguration
from assets.seeds.extraction import Pair, question_answers
from assets.seeds.hub import hub_rows
from assets.seeds.messages import TEXT_KEYS
from assets.seeds.reading import file_rows, find_files
from assets.seeds.rows import ROLE_KEYS, ReadOptions, RejectedRow, SourceRow, beginning, field_value
from resources.chat.reasoning import has_reasoning_marks

READ_ROWS = 1000  # rows whose values are looked at
COUNTED_ROWS = 100_000  # rows of files that are counted; a hub dataset is not read beyond READ_ROWS
GUESSED_FROM = 200  # question-answer pairs from which domain and language are guessed
GUESS_SHARE = 0.5  # of these pairs that have to look like mathematics or code
CODE_LINES_SHARE = 0.3  # of an answer's lines, from which on it is code

# Names of fields in published datasets, the most frequent first. Case, hyphens and spaces make no difference.
QUESTION_NAMES = ("question", "questions", "instruction", "prompt", "query", "problem", "user", "human")
CONTEXT_NAMES = ("input", "context", "passage")  # belong to the question; `input` alone is the question
ANSWER_NAMES = (
    "answer",
    "answers",
    "response",
    "output",
    "completion",
    "solution",
    "reply",
    "target",
    "assistant",
    "gpt",
)
SYSTEM_NAMES = ("system", "system_prompt")
# Fields of rows or messages that have a model's reasoning, which is not read. Others end like these: `model_reasoning`.
REASONING_NAMES = ("reasoning", "reasoning_content", "thinking", "thought", "thoughts", "cot", "chain_of_thought")

_CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*(?:#!|//|</?\w+[^>]*>)|^\s*(?:import|from|def|class|return|for|if|while|else|function|const|let|var|"
    r"public|private|print|echo|SELECT|INSERT|CREATE|UPDATE)\b.*[(){}\[\]:;=,*]"
)

_INLINE_CODE = re.compile(r"`[^`\n]*[(_.=][^`\n]*`")


@dataclass(frozen=True)
class Rows:
    """The first rows of a source.

    Attributes:
        values: the fields of each of the first `READ_ROWS` rows that can be read.
        rows: the same rows, with those that cannot be read.
        count: rows of the source, as far as they were counted.
        is_complete: whether these are all.
    """

    values: list[Mapping[str, Any]]
    rows: Sequence[SourceRow | RejectedRow]
    count: int
    is_complete: bool


@dataclass(frozen=True)
class FieldCandidates:
    """Fields by what their names and values say they hold, the likeliest first."""

    questions: list[str]
    contexts: list[str]
    answers: list[str]
    systems: list[str]
    conversations: list[str]


@dataclass(frozen=True)
class Content:
    """What a description of a source's fields finds in its first rows.

    Attributes:
        pairs: the questions and answers.
        rejected: rows that have none.
        reasons: how many rows were rejected for each reason.
    """

    pairs: list[Pair]
    rejected: list[RejectedRow]
    reasons: Counter[str]

    @property
    def rejected_share(self) -> float:
        """The share of the rows that have no question and answer, from 0 to 1."""
        return len(self.rejected) / max(1, len(self.rejected) + len(self.pairs))


def read_first_rows(source: SourceConfiguration, configuration: SeedsConfiguration) -> Rows:
    """The first rows of a source with all their fields, whatever its description says of fields.

    Raises:
        SeedsError: it cannot be read.
    """
    if source.hub is not None:
        found = list(islice(hub_rows(source.hub, (), configuration.folder), READ_ROWS + 1))
        return _rows(found[:READ_ROWS], len(found[:READ_ROWS]), is_complete=len(found) <= READ_ROWS)
    options = ReadOptions((), source.conversations_field or CONVERSATIONS, source.rows_in, source.encoding)
    stream = _every_row(source, configuration, options)
    first = list(islice(stream, READ_ROWS))
    count = len(first) + sum(1 for _ in islice(stream, COUNTED_ROWS - READ_ROWS))
    return _rows(first, count, is_complete=next(stream, None) is None)


def _every_row(
    source: SourceConfiguration, configuration: SeedsConfiguration, options: ReadOptions
) -> Iterator[SourceRow | RejectedRow]:
    for given in source.files or []:
        for path, shown in find_files(given, configuration):
            yield from file_rows(path, shown, options)


def _rows(rows: Sequence[SourceRow | RejectedRow], count: int, *, is_complete: bool) -> Rows:
    return Rows([row.values for row in rows if isinstance(row, SourceRow)], rows, count, is_complete)


def find_candidates(rows: Sequence[Mapping[str, Any]]) -> FieldCandidates:
    """Which fields may hold question, answer, system prompt and conversations.

    Args:
        rows: the fields of each row.
    """
    names = fields_with_values(rows)

    def named(known: Sequence[str]) -> list[str]:
        found = [(known.index(plain), name) for name in names if (plain := _plain(name)) in known]
        return [name for _, name in sorted(found, key=lambda one: one[0])]

    questions, contexts = named(QUESTION_NAMES), named(CONTEXT_NAMES)
    if not questions and "input" in map(_plain, contexts):
        questions = [name for name in contexts if _plain(name) == "input"]
        contexts = [name for name in contexts if name not in questions]
    conversations = [name for name in names if any(_is_conversation(row.get(name)) for row in rows[:GUESSED_FROM])]
    return FieldCandidates(questions, contexts, named(ANSWER_NAMES), named(SYSTEM_NAMES), conversations)


def fields_with_values(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields that some row has a value in, in the order of the rows; `answers.text` for one within a field."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, Mapping):
                inner = [f"{name}.{key}" for key in value if value[key] not in (None, "", [])]
                names.update(dict.fromkeys(inner))
            elif value not in (None, "", []):
                names.setdefault(name)
    return list(names)


def _plain(name: str) -> str:
    """A field's name for comparison: `answer` for `Answer` and for `answer.text`."""
    outer, _, inner = name.rpartition(".")
    name = outer if inner in TEXT_KEYS else inner
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def _is_conversation(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, Mapping) and not message.keys().isdisjoint(ROLE_KEYS) for message in value)
    )


def read_content(
    rows: Iterable[SourceRow | RejectedRow], source: SourceConfiguration, configuration: SeedsConfiguration
) -> Content:
    """The questions and answers that a source's description finds in rows."""
    found = [
        one
        for row in rows
        for one in (
            question_answers(row, source, configuration.max_characters) if isinstance(row, SourceRow) else [row]
        )
    ]
    rejected = [one for one in found if isinstance(one, RejectedRow)]
    pairs = [one for one in found if isinstance(one, Pair)]
    return Content(pairs, rejected, Counter(one.reason for one in rejected))


def guess_domain(pairs: Sequence[Pair]) -> Domain:
    """What most of the pairs are about: code by the lines of its answers, mathematics by their final answers."""
    pairs = pairs[:GUESSED_FROM]
    if sum(map(_has_code, pairs)) > GUESS_SHARE * len(pairs):
        return "code"
    return "math" if sum(map(_has_result, pairs)) > GUESS_SHARE * len(pairs) else "general"


def _has_code(pair: Pair) -> bool:
    lines = [line for line in pair.answer.splitlines() if line.strip()]
    if "```" in pair.answer or _INLINE_CODE.search(pair.answer):
        return True
    return sum(bool(_CODE_LINE.search(line)) for line in lines) > CODE_LINES_SHARE * len(lines)


def _has_result(pair: Pair) -> bool:
    final = read_final(pair.answer, "math")
    return final is not None and any(map(str.isdigit, final)) and any(map(str.isdigit, pair.question))


def guess_language(pairs: Sequence[Pair]) -> str:
    """The English name of the language that the questions are likely in."""
    return detect_language("\n".join(pair.question for pair in pairs[:GUESSED_FROM]))


def has_several_texts(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether some row has a list of several texts in a field, of which a source takes the first or joins them."""
    values = (field_value(row, name) for row in rows)
    return any(isinstance(value, list) and len(value) > 1 for value in values)


def describe_forms(
    rows: Rows, content: Content, source: SourceConfiguration, configuration: SeedsConfiguration
) -> list[str]:
    """Lines for a source's entry about forms that the rows have: several questions, system prompts, reasoning.

    Each is a key with its present value and a comment on what else could be written, or a comment alone.

    Args:
        rows: the first rows.
        content: what the source's description finds in them.
        source: as described.
        configuration: of the source.
    """
    single = read_content(rows.rows, source.model_copy(update={"multi_turn": "set_aside"}), configuration)
    marked = sum(any(map(has_reasoning_marks, _answer_texts(row, source))) for row in rows.values)
    systems = sum(pair.system is not None for pair in content.pairs)
    fields = _reasoning_fields(rows.values, source)
    several, read = single.reasons["multi_turn"], f"of the first {len(rows.rows):,} rows"
    asks = ", in case it asks for the reasoning that is left out" if marked else ""
    found = [
        (several, f"multi_turn: first  # {several:,} {read} have several questions; all: each is a seed, below the "
         "conversation before it; set_aside: these rows are rejected"),
        (systems, f"keep_system: true  # {systems:,} {read} have a system prompt; false: it is left out{asks}"),
        (marked, f"# {marked:,} {read} have reasoning in an answer, such as <think>…</think>; it is left out"),
        (len(fields), f"# {beginning(', '.join(fields))}: reasoning of a model, which is not read"),
    ]  # fmt: skip
    return [line for count, line in found if count]


def _answer_texts(row: Mapping[str, Any], source: SourceConfiguration) -> list[str]:
    names = source.fields.answer if source.fields else [source.conversations_field or CONVERSATIONS]
    return [str(value) for name in names if (value := field_value(row, name)) is not None]


def _reasoning_fields(rows: Sequence[Mapping[str, Any]], source: SourceConfiguration) -> list[str]:
    """The fields with a model's reasoning, of the rows or of the messages of conversations."""
    if source.conversations_field is None:
        names = [name for name in fields_with_values(rows) if name not in source.wanted_fields]
    else:
        conversations = [field_value(row, source.conversations_field) for row in rows]
        messages = [one for conversation in conversations if _is_conversation(conversation) for one in conversation]
        names = fields_with_values(messages)
    return [name for name in names if _plain(name).endswith(REASONING_NAMES)]
