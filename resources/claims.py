"""Claims on partitions: of the processes of this machine, only one at a time materializes a partition.

A claim is a file in the user's runtime folder, locked with `flock`. The kernel releases the locks of a dead process,
so nothing has to be cleaned up after a crash and no process id is trusted.
"""

import fcntl
import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path

from resources.runtime_folder import NoRuntimeFolder, runtime_folder

logger = logging.getLogger(__name__)


class PartitionClaim:
    """The right of this process to materialize one partition of one lake."""

    def __init__(self, file: int, path: Path) -> None:
        self._file = file
        self._path = path

    def release(self) -> None:
        """Give other processes access. Calling it again has no effect."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def claim_partition(partition: str) -> PartitionClaim | None:
    """Claim a partition; None if a living process of this machine, this one included, has claimed it.

    Where the runtime folder cannot be used, every caller gets a claim: a partition may then be materialized twice, as
    it may be on two machines.

    Args:
        partition: names lake, table and partition, such as `s3://bucket/lake/scored_dialogues/debate|x-0003`.
    """
    try:
        folder = runtime_folder() / "claims"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / hashlib.sha256(partition.encode()).hexdigest()[:32]
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return PartitionClaim(file, path)
            os.close(file)  # another process released its claim, and deleted the file, before we locked it
    except (OSError, NoRuntimeFolder) as error:
        logger.warning("partitions are not claimed, so two runs may materialize the same one: %s", error)
        return PartitionClaim(-1, Path())
