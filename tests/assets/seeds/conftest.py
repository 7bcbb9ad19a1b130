import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.intake import Intake, take_in
from resources.lake.tables import Lake

Configure = Callable[..., SeedsConfiguration]
WriteRows = Callable[..., Path]
Intakes = Callable[..., Intake]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake on disk."""
    return Lake.at(str(tmp_path / "lake"))


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Make a configuration of one source `sums`, which reads `sums.jsonl` of the test's folder; keywords change it."""

    def make(source: dict[str, Any] | None = None, **settings: Any) -> SeedsConfiguration:
        given: dict[str, Any] = {"name": "sums", "domain": "math", "licence": "CC0-1.0"} | (source or {})
        if "hub" not in given:
            given.setdefault("files", ["sums.jsonl"])
        if "conversations" not in given:
            given.setdefault("fields", {"question": "question", "answer": "answer"})
        return SeedsConfiguration.model_validate({"sources": [given], "folder": tmp_path} | settings)

    return make


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Write rows as JSON lines into the test's folder; text is written as a line."""

    def write(rows: Iterable[Any], name: str = "sums.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def read_in(lake: Lake, configure: Configure, write_rows: WriteRows) -> Intakes:
    """Write rows, if any are given, and read the source: `read_in(rows, {"sample": 5}, shard_size=2)`."""

    def run(
        rows: Iterable[Any] | None = None,
        source: dict[str, Any] | None = None,
        retracted: Iterable[str] = (),
        **settings: Any,
    ) -> Intake:
        if rows is not None:
            write_rows(rows)
        return take_in(lake, configure(source, **settings), "sums", frozenset(retracted))

    return run


@pytest.fixture
def s3_client(s3_root: str) -> Iterator[Any]:
    """A client of the S3 server, whose address is in the environment; it has a bucket `seeds`."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="seeds", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    for listed in client.list_objects_v2(Bucket="seeds").get("Contents", []):
        client.delete_object(Bucket="seeds", Key=listed["Key"])
    client.delete_bucket(Bucket="seeds")
