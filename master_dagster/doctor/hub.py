"""The check of the Hugging Face hub, where a repository to publish in is named."""

from collections.abc import Iterator

from master_dagster.doctor.findings import Finding, SetUp
from resources.hub import Hub, HubError, hub_address


def check_hub(set_up: SetUp, *, calls: bool = True) -> Iterator[Finding]:
    """Whether the hub is reachable and accepts the token. Nothing where no repository is named."""
    settings = set_up.settings
    if settings is None or not (settings.hub_repository or settings.hub_model_prefix):
        return
    try:
        hub = Hub()
        if not calls:
            yield Finding("hub", "skipped", f"{hub_address()} is not asked with --no-calls; HF_TOKEN is set")
            return
        user = hub.check_token()
    except HubError as error:
        yield Finding("hub", "fault", str(error))
    else:
        yield Finding("hub", "ok", f"{hub_address()} accepts the token of {user}")
