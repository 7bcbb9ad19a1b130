"""Checks of the scores: one SQL file per check in `checks/`."""

from pathlib import Path

from dagster import AssetChecksDefinition

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.checks import table_checks
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS

FOLDER = Path(__file__).parent / "checks"

CHECKS: list[AssetChecksDefinition] = [table_checks(SCORED, FOLDER, [DIALOGUES, DIALOGUE_PLANS, SEEDS])]
