"""What a check of the set-up finds."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assets.seeds.configuration import SeedsConfiguration, load_seeds_configuration
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.settings import Settings, load_settings
from master_dagster.settings_folder import settings_folder
from resources.chat.profile import Profile, load_profile
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake

Status = Literal["ok", "warning", "fault", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes:
        check: what was checked.
        status: `fault` where a run would fail, `warning` where something else would.
        message: what was found.
        remedy: what to do, where the message does not say it.
    """

    check: str
    status: Status
    message: str
    remedy: str | None = None


@dataclass(frozen=True)
class SetUp:
    """The settings and the files that they name, each as far as it can be read.

    Attributes:
        folder: where the settings are.
        settings_error, deployment_error: why the settings or the configuration files are not valid.
    """

    folder: Path
    settings: Settings | None = None
    settings_error: str | None = None
    deployment: Deployment | None = None
    deployment_error: str | None = None
    profile: Profile | None = None
    seeds: SeedsConfiguration | None = None
    lake: Lake | None = None


Check = Callable[[SetUp], Iterable[Finding]]


def read_set_up() -> SetUp:
    """Read all that can be read. Where one file is not valid, the others are read nevertheless.

    Raises:
        ConfigurationError: MASTER_PROJECT names no folder.
    """
    folder = settings_folder()
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return SetUp(folder, settings_error=str(error))
    deployment = profile = seeds = lake = None
    deployment_error = None
    try:
        deployment = load_deployment(settings)
    except ConfigurationError as error:
        deployment_error = str(error)
    with suppress(ConfigurationError):
        profile = load_profile(settings.profile)
    with suppress(ConfigurationError):
        seeds = load_seeds_configuration(settings.seeds)
    with suppress(RuntimeError):  # the check of the lake reports it
        lake = Lake.at(settings.lake_root, settings.s3)
    return SetUp(folder, settings, None, deployment, deployment_error, profile, seeds, lake)


def run_checks(checks: Iterable[tuple[str, Check]], set_up: SetUp) -> Iterator[Finding]:
    """The findings of every check. An exception of one is a fault, and the others go on."""
    for name, check in checks:
        try:
            yield from check(set_up)
        except Exception as error:  # whatever it is, the other checks are of use
            kind = "" if isinstance(error, RuntimeError | ValueError | OSError) else f"{type(error).__name__}: "
            yield Finding(name, "fault", f"{kind}{error}")
