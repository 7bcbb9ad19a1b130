"""Checks of the latest review sample, on its published files."""

from functools import cached_property

from dagster import AssetChecksDefinition

from assets.framework.check_files import Check
from assets.framework.checks import CheckRun, asset_checks
from assets.framework.publication import wrong_files
from assets.review.sample import REVIEWS, Review
from assets.review.schema import REVIEW_SAMPLE


class ReviewCheckRun(CheckRun):
    """The latest review sample."""

    @cached_property
    def review(self) -> Review:
        """The latest sample."""
        return REVIEWS.latest(self.lake)


ALL_CHECKS: list[Check[ReviewCheckRun]] = [
    Check(
        "complete",
        "latest.json points to a sample whose files are what its manifest says.",
        lambda run: wrong_files(run.lake, run.review.folder, run.review.manifest["files"]),
    )
]

CHECKS: list[AssetChecksDefinition] = [asset_checks(REVIEW_SAMPLE.name, ALL_CHECKS, ReviewCheckRun)]
