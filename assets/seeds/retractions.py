"""The list of retracted seeds. Written shards never change, so it is a file beside them."""

import re

from assets.seeds.configuration import SeedsConfiguration
from resources.configuration import ConfigurationError, fault_list
from resources.lake.store import DEFAULT_S3, S3Options

SEED_ID = re.compile(r"[0-9a-f]{32}")


def load_retractions(configuration: SeedsConfiguration, s3: S3Options = DEFAULT_S3) -> frozenset[str]:
    """Seed ids that must be in no release, nor anything made from them; none if the configuration names no list.

    Raises:
        ConfigurationError: the list is missing or unreadable, or has lines without a seed id, which are all named.
    """
    if configuration.retractions is None:
        return frozenset()
    import fsspec
    from botocore.exceptions import BotoCoreError, ClientError

    address = configuration.address(configuration.retractions)
    try:
        with fsspec.open(address, "rb", **(s3.reading_options if address.startswith("s3://") else {})) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigurationError(f"retractions: there is no file {address}") from None
    except (OSError, UnicodeDecodeError, BotoCoreError, ClientError) as error:
        raise ConfigurationError(f"retractions: {address} cannot be read: {error}") from error
    entries = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, start=1)]
    wrong = [
        f"line {number}: {entry[:80]!r} is not a seed id, which is 32 hex digits"
        for number, entry in entries
        if entry and not SEED_ID.fullmatch(entry)
    ]
    if wrong:
        raise ConfigurationError(fault_list(f"retractions: {address} is not valid:", wrong[:50]))
    return frozenset(entry for _, entry in entries if entry)
