"""Opening the store at an address."""

from pathlib import Path

from resources.lake.store import DEFAULT_S3, LocalStore, S3Options, Store


def open_store(root: str, s3: S3Options = DEFAULT_S3) -> Store:
    """The store at `root`: an `s3://bucket/prefix`, reached as `s3` says, or a local folder."""
    if "://" not in root:
        return LocalStore(Path(root))
    from resources.lake.s3 import S3Store  # boto3 takes a second to import, and a local lake does not need it

    return S3Store(root, s3)
