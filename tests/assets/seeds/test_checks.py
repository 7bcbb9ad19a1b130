"""Each check passes on good rows and fails on the rows it is there for."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from assets.framework.checks import SqlCheck
from assets.seeds.checks import CHECKS, EMBEDDING_CHECKS, FOLDER, SEED_CHECKS
from assets.seeds.sampling import seed_id
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS
from resources.lake.tables import Lake, Table

BY_NAME = {check.name: check for check in [*SEED_CHECKS, *EMBEDDING_CHECKS]}


def seed(number: int = 0, **change: Any) -> dict[str, Any]:
    question, answer = f"What is {number} + 1?", f'{number} + 1 is "{number + 1}".\n\tüß'
    name = seed_id("sums", question, answer)
    return {
        "seed_id": name,
        "source": "sums",
        "shard": "sums-0000",
        "reading": 1,
        "domain": "math",
        "system": None,
        "question": question,
        "answer": answer,
        "reference_final": str(number + 1),
        "representative": name,
        "licence": "CC0-1.0",
        "origin_file": "sums.jsonl",
        "origin_row": number,
    } | change


def line(**change: Any) -> dict[str, Any]:
    counts = {"rows": 2, "rejected": 0, "repeated": 0, "beyond_sample": 0, "retracted": 0, "held": 0, "added": 2}
    return {"source": "sums", "reading": 1, "read_at": datetime.now(UTC), "shard_size": 2} | counts | change


def vector(number: int = 0, **change: Any) -> dict[str, Any]:
    given = {"seed_id": seed(number)["seed_id"], "source": "sums", "shard": "sums-0000"}
    return given | {"embedder": "test:x", "vector": [0.6, 0.8]} | change


GOOD: dict[str, list[dict[str, Any]]] = {
    "raw_seeds": [seed(0), seed(1)],
    "seed_readings": [line()],
    "seed_embeddings": [vector(0), vector(1)],
}
TABLES = {table.name: table for table in (SEEDS, READINGS, EMBEDDINGS)}


@pytest.fixture
def failures(lake: Lake) -> Callable[..., list[Any]]:
    """Rows that a check complains about in a lake of the given tables (good ones where none are given)."""

    def run(check: SqlCheck, **tables: list[dict[str, Any]]) -> list[Any]:
        for name, rows in (GOOD | tables).items():
            write(lake, TABLES[name], rows)
        checked = SEEDS if check in SEED_CHECKS else EMBEDDINGS
        with lake.connect(
            [SEEDS, READINGS, REJECTS, EMBEDDINGS], only={"this_run": lake.records(checked)}
        ) as connection:
            query = (FOLDER / check.sql).read_text(encoding="utf-8")
            return connection.execute(query, dict(check.parameters) or None).fetchall()

    return run


def write(lake: Lake, table: Table, rows: list[dict[str, Any]]) -> None:
    for values in {tuple(row[key] for key in table.keys) for row in rows}:
        part = [row for row in rows if tuple(row[key] for key in table.keys) == values]
        lake.write(table, dict(zip(table.keys, values, strict=True)), table.frame(part), fingerprint="x")


@pytest.mark.parametrize("name", BY_NAME)
def test_good_rows_pass(failures: Callable[..., list[Any]], name: str) -> None:
    assert failures(BY_NAME[name]) == []


BAD: list[tuple[str, dict[str, list[dict[str, Any]]]]] = [
    ("seed_ids_unique", {"raw_seeds": [seed(0), seed(0, shard="sums-0001")]}),
    ("seed_ids_match", {"raw_seeds": [seed(0, question="What is 0 + 2?")]}),
    ("seed_ids_match", {"raw_seeds": [seed(0, shard="pears-0000")]}),
    ("texts_are_clean", {"raw_seeds": [seed(0, question=" ")]}),
    ("texts_are_clean", {"raw_seeds": [seed(0, answer="\x1b[31mred")]}),
    ("representatives_stand", {"raw_seeds": [seed(0, representative="f" * 32)]}),
    (
        "representatives_stand",
        {"raw_seeds": [seed(0, representative=seed(1)["seed_id"]), seed(1, representative=seed(0)["seed_id"])]},
    ),
    ("shards_within_size", {"raw_seeds": [seed(0), seed(1), seed(2)]}),
    (
        "shards_within_size",
        {"raw_seeds": [seed(0), seed(1), seed(2)], "seed_readings": [line(reading=2, held=3, added=0)]},
    ),
    ("rows_accounted_for", {"seed_readings": [line(rows=3)]}),
    ("rows_accounted_for", {"seed_readings": [line(rows=3, added=3)]}),
    ("rejected_share", {"seed_readings": [line(rows=3, rejected=1)]}),
    ("near_duplicate_share", {"raw_seeds": [seed(0), seed(1, representative=seed(0)["seed_id"])]}),
    ("final_answers_read", {"raw_seeds": [seed(0), seed(1, reference_final=None)]}),
    ("every_seed_embedded", {"seed_embeddings": [vector(0)]}),
    ("no_vector_without_seed", {"raw_seeds": [seed(0)]}),
    ("no_vector_without_seed", {"seed_embeddings": [vector(0), vector(1, shard="sums-0001")]}),
    ("unit_length", {"seed_embeddings": [vector(0), vector(1, vector=[0.6, 0.7])]}),
    ("unit_length", {"seed_embeddings": [vector(0), vector(1, vector=[float("nan"), 0.7])]}),
    ("one_embedder", {"seed_embeddings": [vector(0), vector(1, embedder="test:y")]}),
    ("one_embedder", {"seed_embeddings": [vector(0), vector(1, vector=[1.0])]}),
]


@pytest.mark.parametrize(("name", "tables"), BAD, ids=[f"{name}-{number}" for number, (name, _) in enumerate(BAD)])
def test_bad_rows_fail(failures: Callable[..., list[Any]], name: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    assert len(failures(BY_NAME[name], **tables)) >= 1


def test_only_the_last_readings_rejected_share_counts(failures: Callable[..., list[Any]]) -> None:
    lines = [line(rows=3, rejected=1), line(reading=2, held=2, added=0)]
    assert failures(BY_NAME["rejected_share"], seed_readings=lines) == []


def test_a_source_outside_the_run_is_not_asked_for_vectors(failures: Callable[..., list[Any]]) -> None:
    other = seed(7, source="pears", shard="pears-0000")
    assert failures(BY_NAME["every_seed_embedded"], raw_seeds=[seed(0), seed(1), other]) == []


def test_every_check_is_shown_bad_rows() -> None:
    assert {name for name, _ in BAD} == set(BY_NAME)


def test_both_assets_have_checks() -> None:
    keys = {key.asset_key.to_user_string() for checks in CHECKS for key in checks.check_keys}
    assert keys == {"raw_seeds", "seed_embeddings"}
