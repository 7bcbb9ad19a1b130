"""Checks of a calibration: one SQL file per check in `checks/`."""

from pathlib import Path

from dagster import AssetChecksDefinition

from assets.framework.checks import table_checks
from assets.judge_calibration.schema import JUDGE_CALIBRATION

FOLDER = Path(__file__).parent / "checks"
CHECKS: list[AssetChecksDefinition] = [table_checks(JUDGE_CALIBRATION, FOLDER)]
