"""Rows of a training set -> token ids and labels. Loss falls on the assistant turns whose `trains` flag says so."""

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
COLUMNS = ["conversations", "system", "trains"]
NO_LOSS = -100  # what PyTorch's cross-entropy leaves out
Row = Mapping[str, Any]


@dataclass(slots=True)
class Tokenized:
    """Conversations ready to train on, and what became of the others."""

    input_ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)  # NO_LOSS where a token carries no loss
    left_out: Counter[str] = field(default_factory=Counter)  # by reason

    @property
    def tokens(self) -> int:
        """Of all conversations, once."""
        return sum(map(len, self.input_ids))

    @property
    def trained_tokens(self) -> int:
        """Those that carry loss. The first token of a sequence is never predicted."""
        return sum(label != NO_LOSS for labels in self.labels for label in labels[1:])


def read_rows(store: Store, files: Iterable[DataFile]) -> Iterator[Row]:
    """The rows of some Parquet files, in order.

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
        yield from pq.read_table(io.BytesIO(data), columns=COLUMNS).to_pylist()


def tokenize(rows: Iterable[Row], tokenizer: Any, max_tokens: int) -> Tokenized:
    """Token ids and labels of every conversation that fits and trains something.

    One that is longer than `max_tokens` is left out. Without its last turns it could end with a wrong answer whose
    correction is gone, and would train that.

    Args:
        rows: `conversations` [{from, value}], `system`, `trains` (a flag a turn).
        tokenizer: with one of the chat templates of `templates`.
        max_tokens: longest sequence.
    """
    result = Tokenized()
    control = control_tokens(tokenizer)
    for row in rows:
        messages, trains = _messages(row)
        if not any(trains):
            result.left_out["nothing to train on"] += 1
            continue
        # In model-written text such a token would end a turn that goes on.
        if any(control.search(message["content"]) for message in messages):
            result.left_out["control tokens in the text"] += 1
            continue
        ids, labels = _encode(messages, trains, tokenizer)
        if len(ids) > max_tokens:
            result.left_out["too long"] += 1
            continue
        result.input_ids.append(ids)
        result.labels.append(labels)
    return result


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
