"""Rows of seeds and vectors, and the names of the checks that they fail."""

from datetime import UTC, datetime
from typing import Any

import pytest

from assets.framework.check_files import sql_checks
from assets.seeds.checks import FOLDER
from assets.seeds.sampling import seed_id
from assets.seeds.schema import EMBEDDINGS, READINGS, SEEDS
from tests.check_cases import Rows, failing

SEED_CHECKS, VECTOR_CHECKS = sql_checks(FOLDER / "raw_seeds"), sql_checks(FOLDER / "seed_embeddings")


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


GOOD: dict[str, Rows] = {
    "raw_seeds": [seed(0), seed(1)],
    "seed_readings": [line()],
    "seed_embeddings": [vector(0), vector(1)],
}


SEED_CASES: list[tuple[dict[str, Rows], set[str]]] = [
    ({}, set()),
    ({"raw_seeds": [], "seed_readings": []}, set()),
    ({"raw_seeds": [seed(0), seed(0, shard="sums-0001")]}, {"seed_ids_unique"}),
    ({"raw_seeds": [seed(0, question="What is 0 + 2?"), seed(1)]}, {"seed_ids_match"}),
    ({"raw_seeds": [seed(0, shard="pears-0000"), seed(1)]}, {"seed_ids_match"}),
    ({"raw_seeds": [seed(0, question=" "), seed(1)]}, {"texts_are_clean", "seed_ids_match"}),
    ({"raw_seeds": [seed(0, answer="\x1b[31mred"), seed(1)]}, {"texts_are_clean", "seed_ids_match"}),
    ({"raw_seeds": [seed(0, representative="f" * 32), seed(1)]}, {"representatives_exist", "near_duplicate_share"}),
    (
        {"raw_seeds": [seed(0, representative=seed(1)["seed_id"]), seed(1, representative=seed(0)["seed_id"])]},
        {"representatives_exist", "near_duplicate_share"},
    ),
    ({"raw_seeds": [seed(0), seed(1), seed(2)]}, {"shards_within_size", "rows_accounted_for"}),
    (
        {"raw_seeds": [seed(0), seed(1), seed(2)], "seed_readings": [line(reading=2, held=3, rows=3, added=0)]},
        {"shards_within_size"},
    ),
    ({"seed_readings": [line(rows=3)]}, {"rows_accounted_for"}),
    ({"seed_readings": [line(rows=3, added=3)]}, {"rows_accounted_for"}),
    ({"seed_readings": [line(rows=3, rejected=1)]}, {"rejected_share"}),
    ({"seed_readings": [line(rows=3, rejected=1), line(reading=2, held=2, added=0)]}, set()),  # the last one counts
    ({"raw_seeds": [seed(0), seed(1, representative=seed(0)["seed_id"])]}, {"near_duplicate_share"}),
    ({"raw_seeds": [seed(0), seed(1, representative=seed(0)["seed_id"], origin_row=0)]}, set()),  # one conversation
    ({"raw_seeds": [seed(0), seed(1, reference_final=None)]}, {"final_answers_read"}),
]
VECTOR_CASES: list[tuple[dict[str, Rows], set[str]]] = [
    ({}, set()),
    ({"raw_seeds": [], "seed_embeddings": []}, set()),
    ({"raw_seeds": [seed(0), seed(1), seed(7, source="pears", shard="pears-0000")]}, set()),  # not of this run
    ({"seed_embeddings": [vector(0)]}, {"every_seed_embedded"}),
    ({"raw_seeds": [seed(0)]}, {"no_vector_without_seed"}),
    ({"seed_embeddings": [vector(0), vector(1, shard="sums-0001")]}, {"no_vector_without_seed"}),
    ({"seed_embeddings": [vector(0), vector(1, vector=[0.6, 0.7])]}, {"unit_length"}),
    ({"seed_embeddings": [vector(0), vector(1, vector=[float("nan"), 0.7])]}, {"unit_length"}),
    ({"seed_embeddings": [vector(0), vector(1, embedder="test:y")]}, {"one_embedder"}),
    ({"seed_embeddings": [vector(0), vector(1, vector=[1.0])]}, {"one_embedder"}),
]


@pytest.mark.parametrize(("rows", "names"), SEED_CASES)
def test_seeds_fail_these_checks(rows: dict[str, Rows], names: set[str]) -> None:
    assert failing(SEED_CHECKS, [SEEDS, READINGS], GOOD | rows) == names


@pytest.mark.parametrize(("rows", "names"), VECTOR_CASES)
def test_vectors_fail_these_checks(rows: dict[str, Rows], names: set[str]) -> None:
    assert failing(VECTOR_CHECKS, [EMBEDDINGS, SEEDS], GOOD | rows) == names


def test_every_check_has_a_failing_case() -> None:
    names = set[str]().union(*(names for _, names in SEED_CASES + VECTOR_CASES))
    assert names == {check.name for check in SEED_CHECKS + VECTOR_CHECKS}
