"""Rows of a training set -> what the trainers take. Of a conversation, the turns that `trains` names carry loss."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pyarrow.parquet as pq

from assets.training_programs.fine_tuning.errors import TrainingProgramError
from assets.training_programs.specification import DataFile
from resources.lake.store import Store

ROLES = {"human": "user", "gpt": "assistant"}
COLUMNS = {
    "conversation": ["conversations", "system", "trains"],
    "preference": ["prompt", "chosen", "rejected"],
    "labelled": ["prompt", "completion", "label"],
}  # by form
ANSWERS = {"preference": ("chosen", "rejected"), "labelled": ("completion",)}
NO_LOSS = -100  # what PyTorch's cross-entropy leaves out
Row = Mapping[str, Any]


@dataclass(slots=True)
class Tokenized:
    """Rows ready to train on, and what became of the others."""

    # Each with `input_ids` and `labels` (NO_LOSS where a token carries no loss), of a pair those of its chosen answer,
    # and `rejected_ids` of the other. Pairs and labelled answers also have the columns that TRL tokenizes itself.
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # by reason

    @property
    def tokens(self) -> int:
        """Of all rows, once."""
        return sum(len(row["input_ids"]) + len(row.get("rejected_ids", ())) for row in self.rows)

    @property
    def trained_tokens(self) -> int:
        """Those that carry loss. The first token of a sequence is never predicted."""
        return sum(label != NO_LOSS for row in self.rows for label in row["labels"][1:])


def read_rows(store: Store, files: Iterable[DataFile], form: str = "conversation") -> Iterator[Row]:
    """The rows of some Parquet files, in order, with the columns that training on their form needs.

    Raises:
        TrainingProgramError: a file is missing, or is not the one that was specified.
    """
    for file in files:
        where = store.uri(file.path)
        try:
            data = store.get(file.path)
        except FileNotFoundError:
            raise TrainingProgramError(
                f"{where} is missing, which the training set should hold; materialise it again"
            ) from None
        digest = hashlib.sha256(data).hexdigest()
        if (len(data), digest) != (file.bytes, file.sha256):
            raise TrainingProgramError(
                f"{where} is not the file that was specified: {len(data)} bytes with sha256 {digest}, expected "
                f"{file.bytes} bytes with {file.sha256}; restore it, or materialise the training set again"
            )
        yield from pq.read_table(io.BytesIO(data), columns=COLUMNS[form]).to_pylist()


def tokenize(rows: Iterable[Row], tokenizer: Any, max_tokens: int, form: str = "conversation") -> Tokenized:
    """Every row that fits and trains something, with its token ids and labels.

    One that is longer than `max_tokens` is left out. Without its last turns a conversation could end with a wrong
    answer whose correction is gone, and would train that.

    Args:
        rows: with the columns of their form, see COLUMNS.
        tokenizer: with one of the chat templates of `templates`.
        max_tokens: longest sequence.
        form: of the rows.
    """
    result = Tokenized()
    control = control_tokens(tokenizer)
    for row in rows:
        fault, sequences = _sequences(row, form)
        # In model-written text such a token would end a turn that goes on.
        if not fault and any(control.search(one["content"]) for messages, _ in sequences for one in messages):
            fault = "control tokens in the text"
        if fault:
            result.left_out[fault] += 1
            continue
        encoded = [_encode(messages, trains, tokenizer) for messages, trains in sequences]
        if max(len(ids) for ids, _ in encoded) > max_tokens:
            result.left_out["too long"] += 1
            continue
        (ids, labels), *others = encoded
        kept = {} if form == "conversation" else dict(row)
        rejected = {"rejected_ids": others[0][0]} if others else {}
        result.rows.append({**kept, "input_ids": ids, "labels": labels, **rejected})
    return result


Sequences = list[tuple[list[dict[str, str]], list[bool]]]  # messages, and for each of them whether it carries loss


def _sequences(row: Row, form: str) -> tuple[str | None, Sequences]:
    """What a row is encoded as, one sequence for each of its answers; or why it cannot be trained on."""
    if form == "conversation":
        messages, trains = _messages(row)
        return (None if any(trains) else "nothing to train on"), [(messages, trains)]
    answers = [row[name] for name in ANSWERS[form]]
    if any(not one["content"].strip() for answer in answers for one in answer):
        return "an empty answer", []
    if len(answers) == 2 and answers[0] == answers[1]:
        return "chosen equal to rejected", []
    prompt = row["prompt"]
    return None, [([*prompt, *answer], [False] * len(prompt) + [True] * len(answer)) for answer in answers]


def control_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Finds text that the tokenizer would take for a control token."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return re.compile("|".join(sorted(re.escape(token) for token in special | set(tokenizer.all_special_tokens))))


def _messages(row: Row) -> tuple[list[dict[str, str]], list[bool]]:
    """The conversation as messages, and for each whether it carries loss."""
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    turns = [{"role": ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    flags = [flag and turn["role"] == "assistant" for turn, flag in zip(turns, row["trains"], strict=True)]
    return system + turns, [False] * len(system) + flags


def _encode(
    messages: Sequence[Mapping[str, str]], trains: Sequence[bool], tokenizer: Any
) -> tuple[list[int], list[int]]:
    encoded = tokenizer.apply_chat_template(list(messages), return_dict=True, return_assistant_tokens_mask=True)
    ids: list[int] = encoded["input_ids"]
    flags = iter([flag for message, flag in zip(messages, trains, strict=True) if message["role"] == "assistant"])
    labels: list[int] = []
    place = 0
    for answered, run in groupby(encoded["assistant_masks"]):
        end = place + len(list(run))
        kept = bool(answered) and next(flags)
        labels += ids[place:end] if kept else [NO_LOSS] * (end - place)
        place = end
    if next(flags, None) is not None:
        raise ValueError("an assistant turn has no tokens of its own in the chat template")
    return ids, labels
