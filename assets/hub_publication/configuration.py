"""Where releases and adapters are pushed, from the settings MASTER_HUB_…."""

from resources.configuration import Configuration

PUBLISHED_RELEASE, PUBLISHED_ADAPTERS = "published_release", "published_adapters"  # the names of the assets


class HubConfiguration(Configuration):
    """The repositories on the hub. Without a name nothing is pushed."""

    repository: str | None = None  # of releases: `namespace/name`
    model_prefix: str | None = None  # of adapters: `namespace/name`, followed by `-<base>-<variant>`
    private: bool = True  # a repository that is created; one that exists keeps its visibility
    delete_withdrawn: bool = False  # the history too, where a later release withdraws rows of retracted seeds

    def model_repository(self, base: str, variant: str) -> str:
        """The repository of one adapter."""
        return f"{self.model_prefix}-{base}-{variant}"
