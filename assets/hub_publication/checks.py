"""The check of what is on the hub."""

from collections.abc import Iterable

from dagster import AssetChecksDefinition

from assets.framework.check_files import Check, OffendingRow
from assets.framework.checks import CheckRun, NothingToCheck, asset_checks
from assets.hub_publication.configuration import PUBLISHED_RELEASE, HubConfiguration
from assets.hub_publication.pushing import differences
from resources.hub import HubError


def _different_files(run: CheckRun) -> Iterable[OffendingRow]:
    try:
        return differences(run.lake, run.resources["hub"])
    except HubError as error:
        raise NothingToCheck(str(error)) from None


ALL_CHECKS: list[Check[CheckRun]] = [
    Check("complete", "The latest release's tag on the hub has every file of the release.", _different_files)
]


def hub_checks(hub: HubConfiguration) -> list[AssetChecksDefinition]:
    """The checks of the assets that exist."""
    return [asset_checks(PUBLISHED_RELEASE, ALL_CHECKS, CheckRun, ["hub"])] if hub.repository else []
