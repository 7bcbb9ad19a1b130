"""Temporary files and folders of this machine. A lock marks those in use; what a killed process left is deleted later.

The kernel releases the lock of a process that dies, however it dies. The next process that writes in the same place, or
the next run, finds the file without a lock and deletes it.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.runtime_folder import own_folder

NEW_SECONDS = 60.0  # a file of this age may be one that its process has not locked yet


def mark_in_use(descriptor: int) -> None:
    """Lock an open file or folder until it is closed. File systems without locks are left as they are."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def delete_abandoned(paths: Iterable[Path]) -> list[Path]:
    """Delete those of the files and folders that no process uses any more. Returns what was deleted."""
    return [path for path in paths if _delete_if_abandoned(path)]


def _delete_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # deleted meanwhile, or not ours
        return False
    try:
        # A time in the future is of a clock that was set back.
        if abs(time.time() - os.fstat(descriptor).st_mtime) < NEW_SECONDS:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:  # in use, or on a file system without locks
        return False
    finally:
        os.close(descriptor)
    return True


def write_atomically(target: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path in the target's folder and rename it to `target`; an error leaves no file."""
    delete_abandoned(target.parent.glob(f".{target.name}.*"))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    staged = Path(name)
    try:
        mark_in_use(handle)
        write(staged)
        staged.replace(target)
    finally:
        os.close(handle)
        staged.unlink(missing_ok=True)


def scratch_home() -> Path:
    """The folder of this user's scratch folders, in the temporary directory.

    Raises:
        NoRuntimeFolder: it cannot be used.
    """
    return own_folder(Path(tempfile.gettempdir()) / f"master-dagster-scratch-{os.getuid()}", "TMPDIR")


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """An empty folder for large temporary files, deleted at the end; those of dead processes are deleted first."""
    home = scratch_home()
    delete_abandoned(home.iterdir())
    with tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=home) as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            mark_in_use(descriptor)
            yield Path(name)
        finally:
            os.close(descriptor)
