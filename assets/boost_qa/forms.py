"""The forms that the rows of a release or a training set can have, and the files that they leave as besides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa
from pandera.polars import DataFrameSchema

from assets.boost_qa.messages import labelled_line, messages_line, openai_line, preference_line, weighted_line
from assets.boost_qa.schema import LABELLED_ROW, PREFERENCE_ROW, RELEASE_ROW, VERIFIABLE_ROW

Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """The rows of a form as other programs read them: `<folder>/<split>.jsonl`, and Parquet where it has a schema."""

    line: Callable[[Row], Row]
    arrow: pa.Schema | None = None  # of `<folder>/<split>.parquet`


@dataclass(frozen=True)
class RowForm:
    """One form of rows. Every one has the columns `id` and `split`."""

    name: str  # in the manifest of a training set
    schema: DataFrameSchema
    # What JSONL has in place of null. Readers infer a column's type from its values: a column that is null throughout
    # one file would have another type there than in the others, and `datasets.load_dataset` would refuse them together.
    not_null: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)  # by folder
    llama_factory: Mapping[str, Any] = field(default_factory=dict)  # how LLaMA-Factory reads `llama_factory_folder`
    llama_factory_folder: str = "messages"

    @cached_property
    def arrow(self) -> pa.Schema:
        """The schema of the Parquet files."""
        return plain_schema(self.schema)


def plain_schema(schema: DataFrameSchema) -> pa.Schema:
    """A table's schema as an Arrow schema, with types that every reader of Parquet shows alike."""
    columns = {name: column.dtype.type for name, column in schema.columns.items()}
    large = pl.DataFrame(schema=columns).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    return pa.schema([(field.name, _plain(field.type)) for field in large])


def _plain(dtype: pa.DataType) -> pa.DataType:
    """An Arrow type without large offsets, which some readers show as separate types."""
    if pa.types.is_large_string(dtype):
        return pa.string()
    if pa.types.is_large_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, _plain(field.type)) for field in dtype])
    return dtype


MESSAGE = [("role", pa.string()), ("content", pa.string())]
ID = ("id", pa.string())
PLAIN = pa.list_(pa.struct(MESSAGE))
FLAGGED = pa.list_(pa.struct([*MESSAGE, ("train", pa.bool_())]))
ROLE_TAGS = {
    **{"role_tag": "role", "content_tag": "content"},
    **{"user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"},
}

CONVERSATION = RowForm(
    "conversation",
    RELEASE_ROW,
    {"partner_seed_id": "", "quality_score": -1.0},
    {
        "messages": Export(
            messages_line, pa.schema([ID, ("messages", FLAGGED), ("message_loss_mask", pa.list_(pa.int64()))])
        ),
        "openai": Export(openai_line),
        "llamafactory": Export(weighted_line),
    },
    {
        "columns": {"messages": "conversations", "system": "system"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    },
    "jsonl",
)
PREFERENCE = RowForm(
    "preference",
    PREFERENCE_ROW,
    {"partner_seed_id": ""},
    {
        "messages": Export(
            preference_line,
            pa.schema([ID, ("messages", PLAIN), *((name, pa.struct(MESSAGE)) for name in ("chosen", "rejected"))]),
        )
    },
    {
        "ranking": True,
        "columns": {"messages": "messages", "chosen": "chosen", "rejected": "rejected"},
        "tags": ROLE_TAGS,
    },
)
LABELLED = RowForm(
    "labelled",
    LABELLED_ROW,
    {"partner_seed_id": ""},
    {"messages": Export(labelled_line, pa.schema([ID, ("completion", PLAIN), ("label", pa.bool_())]))},
    {"columns": {"messages": "completion", "kto_tag": "label"}, "tags": ROLE_TAGS},
)
VERIFIABLE = RowForm("verifiable", VERIFIABLE_ROW)

FORMS: Mapping[str, RowForm] = {form.name: form for form in (CONVERSATION, PREFERENCE, LABELLED, VERIFIABLE)}
