"""Checks of the seeds and their vectors: one SQL file per check, in the folder of its asset."""

from pathlib import Path

from dagster import AssetChecksDefinition

from assets.framework.checks import table_checks
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS

FOLDER = Path(__file__).parent / "checks"

CHECKS: list[AssetChecksDefinition] = [
    table_checks(SEEDS, FOLDER / "raw_seeds", [READINGS, REJECTS]),
    table_checks(EMBEDDINGS, FOLDER / "seed_embeddings", [SEEDS, READINGS, REJECTS]),
]
