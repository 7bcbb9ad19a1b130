"""The source of seeds `sqlite`."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Literal

from pydantic import Field

from assets.seeds.configuration import SeedSource
from resources.configuration import RelativePath


class SqliteSource(SeedSource):
    """The rows of a query in an SQLite database."""

    kind: Literal["sqlite"] = Field(description="This plug-in.")
    database: RelativePath = Field(description="The database's file, relative to the seeds configuration.")
    query: str = Field(min_length=1, description="SQL with an ORDER BY; its columns are the fields of the rows.")

    def read_rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows, one at a time."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield from map(dict, connection.execute(self.query))
