"""The forms that the rows of a release or a training set can have, and the JSON lines in which they also leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa
from pandera.polars import DataFrameSchema

from assets.boost_qa.messages import openai_line
from assets.boost_qa.schema import LABELLED_ROW, PREFERENCE_ROW, RELEASE_ROW, VERIFIABLE_ROW

Row = dict[str, Any]


@dataclass(frozen=True)
class RowForm:
    """One form of rows. Every one has the columns `id` and `split`."""

    name: str  # in the manifest of a training set
    schema: DataFrameSchema
    # What JSONL has in place of null. Readers infer a column's type from its values: a column that is null throughout
    # one file would have another type there than in the others, and `datasets.load_dataset` would refuse them together.
    not_null: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, Callable[[Row], Row]] = field(default_factory=dict)  # folder -> how a line of it is made

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


CONVERSATION = RowForm(
    "conversation", RELEASE_ROW, {"partner_seed_id": "", "quality_score": -1.0}, {"openai": openai_line}
)
PREFERENCE = RowForm("preference", PREFERENCE_ROW, {"partner_seed_id": ""})
LABELLED = RowForm("labelled", LABELLED_ROW, {"partner_seed_id": ""})
VERIFIABLE = RowForm("verifiable", VERIFIABLE_ROW)

FORMS: Mapping[str, RowForm] = {form.name: form for form in (CONVERSATION, PREFERENCE, LABELLED, VERIFIABLE)}
