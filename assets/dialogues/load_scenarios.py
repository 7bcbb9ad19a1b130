"""The scenarios of a deployment: those shipped in `scenarios/`, and those in folders of the user's own."""

from pathlib import Path

from assets.framework.prompts import shipped_sets
from assets.framework.scenarios.loading import load_scenario_folders
from assets.framework.scenarios.scenario import Scenarios
from resources.configuration import ConfigurationError

SHIPPED = Path(__file__).parent / "scenarios"
STANDARD = "standard"
SETS = {STANDARD: SHIPPED, "paper": SHIPPED / "paper"}
"""The shipped sets of scenarios: ours, and the same without what differs from the paper on purpose."""


def load_scenarios(setting: str = STANDARD, prompt_set: str = "standard") -> Scenarios:
    """The scenarios that a setting names.

    Args:
        setting: a name of `SETS`, or the path of a folder; several are separated by commas.
        prompt_set: see `load_scenario_folders`.

    Raises:
        ConfigurationError: a folder does not exist, or some scenario cannot be used; every fault is named at once.
    """
    folders = []
    for name in (part.strip() for part in setting.split(",") if part.strip()):
        folder = SETS.get(name) or Path(name).expanduser()
        if not folder.is_dir():
            raise ConfigurationError(f"{name!r} is neither a folder of scenarios nor one of {', '.join(SETS)}")
        folders.append(folder)
    if not folders:
        raise ConfigurationError(f"{setting!r} names no scenarios; write {STANDARD!r} or the path of a folder")
    shipped = shipped_sets([path.with_suffix("") for path in SHIPPED.glob("*.yaml")])
    return load_scenario_folders(folders, prompt_set, shipped)
