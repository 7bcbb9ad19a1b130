"""The folder in which the processes of one user on one machine share locks, state and logs."""

import os
import stat
import tempfile
from pathlib import Path


class NoRuntimeFolder(RuntimeError):
    """The runtime folder cannot be used. The message says why and what to do."""


def runtime_folder() -> Path:
    """This user's folder: in `$XDG_RUNTIME_DIR`, else in the temporary directory.

    Raises:
        NoRuntimeFolder: the folder belongs to somebody else, is open to others, or cannot be created.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and os.access(given, os.W_OK | os.X_OK):
        folder = Path(given) / "master-dagster"
    else:
        folder = Path(tempfile.gettempdir()) / f"master-dagster-{os.getuid()}"
    return own_folder(folder, "XDG_RUNTIME_DIR")


def own_folder(folder: Path, setting: str) -> Path:
    """Create a folder that only this user can read, unless it exists.

    Args:
        folder: its path.
        setting: the environment variable that the message names.

    Raises:
        NoRuntimeFolder: the folder belongs to somebody else, is open to others, or cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise NoRuntimeFolder(
            f"the runtime folder {folder} cannot be created: {error}; set {setting} to a folder of your own"
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise NoRuntimeFolder(
            f"the runtime folder {folder} must be a folder of your own with mode 0700; "
            f"remove it, or set {setting} to a folder of your own"
        )
    return folder
