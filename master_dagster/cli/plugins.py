"""`plugins`: the installed plug-ins."""

from master_dagster.deployment import PLUGIN_GROUPS
from master_dagster.terminal import console
from resources.plugins import check_plugins


def print_plugins() -> None:
    """Print each group with its plug-ins.

    Raises:
        ConfigurationError: some plug-ins cannot be used.
    """
    for group in PLUGIN_GROUPS:
        lines = [f"  {plugin}: {group.describe(plugin.value)}" for plugin in group.plugins.values()]
        console.print("\n".join([group.name, *(lines or ["  none"])]), markup=False, soft_wrap=True)
    check_plugins(PLUGIN_GROUPS)
