"""What processes of one machine agree on without talking: who has how much of an endpoint.

Each is a file in the user's runtime folder that is locked with `flock`. The kernel lets go of a dead process's
locks, whatever killed it, so nothing has to be cleaned up and no process id is believed.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resources.runtime_folder import NoRuntimeFolder, runtime_folder

_STATE_BYTES = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """What a process may use of an endpoint's caps.

    Attributes:
        slots: calls in flight.
        rate: share of the caps a minute (0..1).
        whole: it is all that this process is due; False while others have still to give way.
    """

    slots: int
    rate: float
    whole: bool


class EndpointShare:
    """One process's part in an endpoint that all processes of this machine use by turns.

    Each holds a file of its own in the endpoint's folder, locked, which says what it uses. `divide` counts the living
    and gives this process an equal part, of what the others have already let go of: so the sum never exceeds the caps,
    also while parts change. Of fewer slots than processes, the first come have one each and the others wait.

    Args:
        folder: the endpoint's own; its parent holds one lock for all endpoints.
        slots: the cap on calls in flight, for all processes together.
    """

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder = folder
        self._slots = slots
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        hidden = folder / f".{name}"
        self._path = folder / f"{name}.share"
        while True:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the last one to leave removed the folder
                self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                break
        self._lock = os.open(folder.parent / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._write(0, 0.0)
        hidden.rename(self._path)  # nobody sees it before it is locked

    def divide(self, in_flight: int) -> Share | None:
        """This process's part from now on; None where another process is dividing at this moment: ask again soon.

        Takes some 50 microseconds.

        Args:
            in_flight: calls that this process has under way, which it keeps until they end.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        try:
            others = self._others()
            names = sorted([*others, self._path.name])
            part, left_over = divmod(self._slots, len(names))
            due = part + (names.index(self._path.name) < left_over)
            used_slots = sum(slots for slots, _ in others.values())
            used_rate = sum(rate for _, rate in others.values())
            slots = max(0, min(due, self._slots - used_slots))
            rate = max(0.0, min(1 / len(names), 1 - used_rate))
            rate = rate if rate > 1e-6 else 0.0
            self._write(max(slots, in_flight), rate)
            return Share(slots, rate, whole=slots == due and rate >= 1 / len(names) - 1e-6)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give everything up."""
        os.close(self._file)
        os.close(self._lock)
        with suppress(OSError):  # others are there, or it is not ours any more
            self._path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _others(self) -> dict[str, tuple[int, float]]:
        """What every other living process uses: slots and rate by file name. Files of the dead are removed."""
        found: dict[str, tuple[int, float]] = {}
        for entry in os.scandir(self._folder):
            if not entry.name.endswith(".share") or entry.name == self._path.name:
                continue
            with suppress(FileNotFoundError):
                file = os.open(entry.path, os.O_RDONLY)
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    slots, rate = os.pread(file, _STATE_BYTES, 0).split()
                    found[entry.name] = int(slots), float(rate)
                else:
                    Path(entry.path).unlink(missing_ok=True)
                finally:
                    os.close(file)
        return found

    def _write(self, slots: int, rate: float) -> None:
        os.pwrite(self._file, f"{slots} {rate:.9f}".encode().ljust(_STATE_BYTES), 0)


def share_endpoint(name: str, address: str, slots: int) -> EndpointShare | None:
    """This process's part in the endpoint of that name and address; None, with a warning, where nothing is shared."""
    try:
        return EndpointShare(_folder("endpoints", f"{name}\n{address}"), slots)
    except (OSError, NoRuntimeFolder) as error:
        logger.warning(
            "endpoint %r: its caps hold for each process alone, not for all of this machine: %s", name, error
        )
        return None


def _folder(kind: str, identity: str) -> Path:
    folder = runtime_folder() / kind
    return folder / hashlib.sha256(identity.encode()).hexdigest()[:16] if identity else folder
