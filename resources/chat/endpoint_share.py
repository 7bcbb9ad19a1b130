"""How the processes of one user on one machine share the caps of an endpoint."""

import fcntl
import hashlib
import os
import secrets
import time
from contextlib import suppress

from resources.runtime_folder import runtime_folder


class EndpointShare:
    """One process's part of the calls in flight that an endpoint allows.

    Each process has a file in the user's runtime folder, locked with `flock`, that holds its part. The kernel releases
    the lock of a dead process. `divide` counts the living processes and gives this one an equal part of what the
    others no longer use, so the sum never exceeds the cap, also while parts change. Where there are fewer slots than
    processes, the oldest processes get one each and the others wait.

    Args:
        name: the endpoint's name in the profile.
        address: its base URL; endpoints of the same name elsewhere are not shared.
        slots: the cap on calls in flight, for all processes together.
    """

    def __init__(self, name: str, address: str, slots: int) -> None:
        self._folder_name = hashlib.sha256(f"{name}\n{address}".encode()).hexdigest()[:16]
        self._file_name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        self._slots = slots
        self._file = self._mutex = -1  # not joined

    def divide(self, in_flight: int) -> int | None:
        """Calls in flight that this process may have from now on; None while another process divides: call again.

        Args:
            in_flight: calls that this process has in flight; it keeps their slots until they end.

        Raises:
            OSError, NoRuntimeFolder: the runtime folder cannot be used.
        """
        if self._file < 0 or self._mutex < 0 or not self._path.exists():  # at a logout the system deletes the folder
            self._join()
        try:
            fcntl.flock(self._mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        try:
            others = self._others()
            names = sorted([*others, self._file_name])
            part, left_over = divmod(self._slots, len(names))
            due = part + (names.index(self._file_name) < left_over)
            slots = max(0, min(due, self._slots - sum(others.values())))
            os.pwrite(self._file, b"%-20d" % max(slots, in_flight), 0)
            return slots
        finally:
            fcntl.flock(self._mutex, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave everything to the other processes."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
        for descriptor in (self._file, self._mutex):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._mutex = -1

    def _join(self) -> None:
        self.close()
        folder = runtime_folder() / "endpoints" / self._folder_name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, hidden = folder / self._file_name, folder / f".{self._file_name}"
        self._mutex = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.rename(self._path)  # no process sees the file before it is locked

    def _others(self) -> dict[str, int]:
        """The slots of every other living process, by file name. Files of dead processes are deleted."""
        found: dict[str, int] = {}
        for path in self._path.parent.glob("[0-9]*"):
            with suppress(FileNotFoundError):
                file = os.open(path, os.O_RDONLY)
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    found[path.name] = int(os.pread(file, 20, 0) or 0)
                finally:
                    os.close(file)
        return {name: slots for name, slots in found.items() if name != self._file_name}
