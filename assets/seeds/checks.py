"""What must hold of the seeds and their vectors."""

from pathlib import Path

from dagster import AssetChecksDefinition, AssetCheckSeverity

from assets.framework.checks import SqlCheck, sql_checks
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS

FOLDER = Path(__file__).parent / "checks"
WARN = AssetCheckSeverity.WARN

SEED_CHECKS = [
    SqlCheck("seed_ids_unique", "seed_ids_unique.sql", "No seed stands in two shards.", blocking=True),
    SqlCheck("seed_ids_match", "seed_ids_match.sql", "Each id is the hash of source, question, answer.", blocking=True),
    SqlCheck("texts_are_clean", "texts_are_clean.sql", "No question or answer is blank or holds control characters."),
    SqlCheck("representatives_stand", "representatives_stand.sql", "Who stands for a group is held in its source."),
    SqlCheck("shards_within_size", "shards_within_size.sql", "No shard is bigger than its reading allowed."),
    SqlCheck("rows_accounted_for", "rows_accounted_for.sql", "Every row read became one thing, and every new seed is."),
    SqlCheck(
        "rejected_share",
        "rejected_share.sql",
        "Few rows of the last reading were set aside.",
        severity=WARN,
        parameters={"limit": 0.01},
    ),
    SqlCheck(
        "near_duplicate_share",
        "near_duplicate_share.sql",
        "Few seeds of a source are near-duplicates of others.",
        severity=WARN,
        parameters={"limit": 0.2},
    ),
    SqlCheck(
        "final_answers_read",
        "final_answers_read.sql",
        "A final answer could be read off most of the mathematics.",
        severity=WARN,
        parameters={"limit": 0.3},
    ),
]

EMBEDDING_CHECKS = [
    SqlCheck("every_seed_embedded", "every_seed_embedded.sql", "Each seed of the sources has a vector.", blocking=True),
    SqlCheck("no_vector_without_seed", "no_vector_without_seed.sql", "Each vector belongs to a seed of its shard."),
    SqlCheck("unit_length", "unit_length.sql", "Each vector has length one.", parameters={"tolerance": 1e-3}),
    SqlCheck("one_embedder", "one_embedder.sql", "All vectors of a source come from one embedder, in one size."),
]

CHECKS: list[AssetChecksDefinition] = [
    sql_checks(SEEDS, SEED_CHECKS, FOLDER, [READINGS, REJECTS]),
    sql_checks(EMBEDDINGS, EMBEDDING_CHECKS, FOLDER, [SEEDS]),
]
